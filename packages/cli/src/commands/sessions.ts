/** `countersign sessions`: where the user of the saved session is signed in, and how to end that. */
import { defineCommand } from 'citty';
import { CliError } from '../cli-error.ts';
import { type Io, printable } from '../io.ts';
import { type Call, call, isAboutToExpire, refresh } from '../session/api.ts';
import { removeSession, requireSession, saveSession } from '../session/session-file.ts';
import { instant, ioOf, jsonFlag } from './shared.ts';

/** As the API shows a session; times in milliseconds. */
interface SessionAnswer {
  sid: string;
  current: boolean;
  wallet: string;
  chainId: number;
  createdAt: number;
  expiresAt: number;
  lastRefreshAt: number | null;
  source: string | null;
  userAgent: string | null;
}

const at = (milliseconds: number) => instant(Math.floor(milliseconds / 1000));

async function asker(io: Io) {
  const { path, session: saved } = requireSession(io.env);
  const session = isAboutToExpire(saved) ? await refresh(saved, io.stop) : saved;
  if (session !== saved) saveSession(path, session);
  const ask = <Data>(route: string, options: Pick<Call, 'method' | 'body'> = {}) =>
    call<Data>(session.url, `/v1/user${route}`, {
      ...options,
      bearer: session.accessToken,
      signal: io.stop,
    });
  return { ask, path };
}

function lineOf({ sid, current, createdAt, lastRefreshAt, expiresAt, source, userAgent }: SessionAnswer) {
  const used = lastRefreshAt === null ? 'never refreshed' : `refreshed ${at(lastRefreshAt)}`;
  const from = [source, userAgent].filter((part) => part).join(' ');
  const mark = current ? '  (this one)' : '';
  return printable(`${sid}  since ${at(createdAt)}  ${used}  until ${at(expiresAt)}  ${from}${mark}`, 400);
}

const listCommand = defineCommand({
  meta: { name: 'list', description: 'List the live sessions of the user who is logged in' },
  args: jsonFlag,
  async run(context) {
    const io = ioOf(context);
    const { ask } = await asker(io);
    const { sessions } = await ask<{ sessions: SessionAnswer[] }>('/sessions');
    for (const session of sessions) io.out(context.args.json ? JSON.stringify(session) : lineOf(session));
  },
});

const revokeCommand = defineCommand({
  meta: { name: 'revoke', description: 'End one session, and every connection that stands on it' },
  args: {
    sid: { type: 'positional', required: true, description: 'Id of the session, as `list` shows it' },
    ...jsonFlag,
  },
  async run(context) {
    const io = ioOf(context);
    const { sid } = context.args;
    if (!/^[\w-]{1,64}$/.test(sid)) throw new CliError('usage', 'that is no id of a session');
    const { ask } = await asker(io);
    await ask(`/sessions/${sid}`, { method: 'DELETE' });
    io.out(context.args.json ? JSON.stringify({ revoked: sid }) : `ended ${sid}`);
  },
});

const logoutAllCommand = defineCommand({
  meta: { name: 'logout-all', description: 'End every session of the user, everywhere' },
  args: {
    'keep-current': { type: 'boolean', description: 'Except this one' },
    ...jsonFlag,
  },
  async run(context) {
    const io = ioOf(context);
    const keep = context.args['keep-current'] === true;
    const { ask, path } = await asker(io);
    await ask('/logout/all', { method: 'POST', body: keep ? { keepCurrent: 'true' } : {} });
    if (!keep) removeSession(path);
    if (context.args.json) io.out(JSON.stringify({ loggedOut: true, keptCurrent: keep }));
    else io.out(keep ? 'ended every other session' : 'ended every session, and forgot this one');
  },
});

export const sessionsCommand = defineCommand({
  meta: { name: 'sessions', description: 'See where you are logged in, and end sessions' },
  subCommands: { list: listCommand, revoke: revokeCommand, 'logout-all': logoutAllCommand },
});
