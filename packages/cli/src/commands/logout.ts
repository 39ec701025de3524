import { defineCommand } from 'citty';
import { CliError } from '../cli-error.ts';
import { call, isAboutToExpire, refresh } from '../session/api.ts';
import { removeSession, requireSession } from '../session/session-file.ts';
import { ioOf, jsonFlag } from './shared.ts';

export const logoutCommand = defineCommand({
  meta: { name: 'logout', description: 'End the saved session at the gateway and forget it here' },
  args: jsonFlag,
  async run(context) {
    const io = ioOf(context);
    const { path, session: saved } = requireSession(io.env);
    let ended = true;
    try {
      const session = isAboutToExpire(saved) ? await refresh(saved, io.stop) : saved;
      await call(session.url, '/v1/user/logout', {
        method: 'POST',
        bearer: session.accessToken,
        signal: io.stop,
      });
    } catch (error) {
      // Refused means that the session is over already. When the gateway cannot be reached the session is
      // still good there, and the file is the only way left to end it: keep it.
      if (!(error instanceof CliError) || error.exit !== 'refused') throw error;
      ended = false;
    }
    removeSession(path);
    if (context.args.json) io.out(JSON.stringify({ loggedOut: true, wasLive: ended }));
    else io.out(ended ? `logged out of ${saved.url}` : 'the session had ended already; forgot it');
  },
});
