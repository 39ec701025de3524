import type { RestUser } from '@countersign/protocol';
import { defineCommand } from 'citty';
import { printable } from '../io.ts';
import { call, isAboutToExpire, refresh } from '../session/api.ts';
import { requireSession, saveSession } from '../session/session-file.ts';
import { instant, ioOf, jsonFlag } from './shared.ts';

export const whoamiCommand = defineCommand({
  meta: { name: 'whoami', description: 'Ask the gateway who the saved session belongs to' },
  args: jsonFlag,
  async run(context) {
    const io = ioOf(context);
    const { path, session: saved } = requireSession(io.env);
    let session = saved;
    if (isAboutToExpire(session)) {
      session = await refresh(session, io.stop);
      saveSession(path, session);
    }
    const { user } = await call<{ user: RestUser }>(session.url, '/v1/user/info', {
      bearer: session.accessToken,
      signal: io.stop,
    });
    if (context.args.json) {
      const { accessExpiresAt, sessionExpiresAt, url } = session;
      io.out(JSON.stringify({ user, url, accessExpiresAt, sessionExpiresAt }));
      return;
    }
    io.out(`user ${user.userId}, wallet ${printable(String(user.address))}, at ${session.url}`);
    for (const account of user.accounts ?? [])
      io.out(`account ${account.accountId}: ${printable(account.name)}`);
    io.out(`access token until ${instant(session.accessExpiresAt)}`);
    if (session.sessionExpiresAt !== null) io.out(`session until ${instant(session.sessionExpiresAt)}`);
  },
});
