/**
 * The whole way once: a new wallet logs in, subscribes, is sent something by the backend, receives it, and is thrown
 * out. What it leaves is a suspended user without any right, named in the findings.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { CliError } from '../cli-error.ts';
import { askForChallenge, call, verifyLogin } from '../session/api.ts';
import type { SavedSession } from '../session/session-file.ts';
import { checkOffer, walletOf } from '../session/wallet.ts';
import { type Finding, messageOf, ok, problem, skipped } from './finding.ts';
import { openProbe, type Probe } from './probe.ts';

export interface LiveOptions {
  base: string;
  webSocketUrl: string;
  internal: string;
  adminToken: string;
  backendToken: string;
  /** The site that the login message must name. */
  domain: string;
  chainId: number | undefined;
  stop: AbortSignal;
}

/** Every gateway has this channel: each signed-in user may read their own orders. */
const CHANNEL = { channel: 'accountOrderUpdate', marketType: 'wholeBlock' };
/** What a revocation may take by the promise of the gateway (R46). */
const REVOKED_WITHIN_MS = 2000;

const STEPS = ['live.login', 'live.subscribe', 'live.receive', 'live.revoke'] as const;
const MENDS: Readonly<Record<(typeof STEPS)[number], string>> = {
  'live.login': 'compare --domain and --chain-id with the settings wallet.domain and wallet.chainIds',
  'live.subscribe': 'is there a proxy that does not pass WebSocket upgrades on? Look at the log of both',
  'live.receive': 'check the backend token, and the broker in the readiness checks',
  'live.revoke': 'look at the broker and at store.changes: every node has to hear of revocations',
};

export async function* checkLive(options: LiveOptions): AsyncGenerator<Finding> {
  const { internal, adminToken, stop } = options;
  let session: SavedSession | null = null;
  let probe: Probe | null = null;
  let step: (typeof STEPS)[number] = 'live.login';
  const admin = <Data>(path: string, method: 'DELETE' | 'PATCH', body?: Record<string, unknown>) =>
    call<Data>(internal, `/admin/v1${path}`, {
      method,
      bearer: adminToken,
      signal: stop,
      ...(body ? { body } : {}),
    });
  try {
    const startedAt = performance.now();
    session = await logIn(options);
    yield ok(step, `a throw-away wallet logged in as user ${session.userId} in ${since(startedAt)}`);

    step = 'live.subscribe';
    probe = await openProbe(options.webSocketUrl, stop);
    probe.send({ op: 'login', args: [{ accessToken: session.accessToken }], id: 1 });
    await probe.hear(({ event }) => event === 'login');
    probe.send({ op: 'subscribe', args: [CHANNEL], id: 2 });
    await probe.hear(({ event }) => event === 'subscribe');
    yield ok(step, `it subscribed to ${CHANNEL.channel} at ${options.webSocketUrl}`);

    step = 'live.receive';
    const mark = randomUUID();
    const sentAt = performance.now();
    const pushed = probe.hear(
      ({ e, P }) => e === CHANNEL.channel && JSON.stringify(P ?? null).includes(mark),
    );
    // The publish may fail first; then nobody waits for the push.
    pushed.catch(() => undefined);
    await call(internal, `/backend/v1/users/${session.userId}/events`, {
      method: 'POST',
      bearer: options.backendToken,
      body: { channel: CHANNEL.channel, key: CHANNEL.marketType, data: { doctor: mark } },
      signal: stop,
    });
    await pushed;
    yield ok(step, `what the backend published arrived in ${since(sentAt)}`);

    step = 'live.revoke';
    const revokedAt = performance.now();
    await admin(`/sessions/${sidOf(session)}`, 'DELETE');
    await probe.closed;
    const took = performance.now() - revokedAt;
    if (await isAccepted(session, stop)) throw new Error('the gateway still takes the revoked access token');
    if (took > REVOKED_WITHIN_MS)
      throw new Error(`the connection was closed only after ${Math.round(took)} ms`);
    yield ok(
      step,
      `its session was revoked: socket closed in ${Math.round(took)} ms, REST refuses the token`,
    );
  } catch (error) {
    yield problem(step, messageOf(error), MENDS[step]);
    for (const later of STEPS.slice(STEPS.indexOf(step) + 1))
      yield skipped(later, `not tried, because ${step} failed`, `mend ${step} first`);
  } finally {
    probe?.close();
  }
  if (session === null) return;
  try {
    await admin(`/users/${session.userId}`, 'PATCH', { status: 2, permissions: [] });
    yield ok('live.cleanup', `user ${session.userId} is suspended and has no rights`);
  } catch (error) {
    yield problem('live.cleanup', messageOf(error), `suspend user ${session.userId} on the admin API`);
  }
}

const since = (start: number) => `${Math.round(performance.now() - start)} ms`;

async function logIn({ base, domain, chainId, stop }: LiveOptions): Promise<SavedSession> {
  const { address, sign } = await walletOf(randomBytes(32).toString('hex'));
  const chain = chainId === undefined ? {} : { chainId: String(chainId) };
  const challenge = await askForChallenge(
    base,
    { addr: address, name: 'countersign doctor', ...chain },
    stop,
  );
  const nonce = String(challenge?.nonceHash ?? '');
  const signedFor = checkOffer(challenge?.eip712Message, { nonce, chainId, domain });
  const signature = sign({ nonce, chainId: signedFor, domain });
  return verifyLogin(base, { addr: address, nonceHash: nonce, signature }, stop);
}

function sidOf({ accessToken }: SavedSession): string {
  const claims = JSON.parse(Buffer.from(accessToken.split('.')[1] ?? '', 'base64url').toString()) as {
    sid?: unknown;
  };
  if (typeof claims.sid === 'string' && /^[\w-]{1,64}$/.test(claims.sid)) return claims.sid;
  throw new Error('the access token names no session');
}

async function isAccepted({ url, accessToken }: SavedSession, signal: AbortSignal): Promise<boolean> {
  try {
    await call(url, '/v1/user/info', { bearer: accessToken, signal });
    return true;
  } catch (error) {
    if (error instanceof CliError && error.exit === 'refused') return false;
    throw error;
  }
}
