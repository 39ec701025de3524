/** Calls to a gateway's REST API, with every way of failing turned into one line and an exit code. */
import type { AccessTokenObject, LoginAnswer, RestUser } from '@countersign/protocol';
import { CliError } from '../cli-error.ts';
import { printable } from '../io.ts';
import type { SavedSession } from './session-file.ts';

const TIMEOUT_MS = 15_000;
const LONGEST_ANSWER = 1024 * 1024;

export const DEFAULT_URL = 'http://127.0.0.1:4400';

/** What the API answers to a verified login and to a refresh, as far as it is used here. */
export interface TokenAnswer {
  user: RestUser;
  accessToken: AccessTokenObject;
  refreshToken: string;
}

/**
 * The base of an address that a person typed: its origin, and `/api` where that was given, because the venue's own
 * service answers below it only. `/ws` at its end is dropped: it is what other tools are given.
 *
 * @throws CliError `usage` for anything but http, https, ws and wss, and for userinfo, which would end in logs
 */
export function baseOf(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (!url || !/^(?:https?|wss?):$/.test(url.protocol)) {
    throw new CliError('usage', `--url: "${printable(text, 80)}" is no http or https address`);
  }
  if (url.username !== '' || url.password !== '')
    throw new CliError('usage', '--url must not carry a user or password');
  const below = /^\/api(?:\/|$)/.test(url.pathname) ? '/api' : '';
  return `${url.protocol.replace(/^ws/, 'http')}//${url.host}${below}`;
}

/** `/v1/...` stands below the base; `/api/...` is spelt from the root already. */
export const urlBelow = (base: string, path: string): string =>
  path.startsWith('/api/') ? `${new URL(base).origin}${path}` : `${base}${path}`;

export interface Call {
  method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Sent as JSON. Credentials travel here or in the header, never in the address. */
  body?: Record<string, unknown>;
  bearer?: string;
  signal?: AbortSignal;
}

/**
 * @param origin as {@link baseOf} gives it
 * @param path from the root, such as `/v1/user/info`
 * @returns `data` of the answer
 * @throws CliError `refused` when the server said no, `unreachable` when it said nothing that can be read
 */
export async function call<Data>(
  origin: string,
  path: string,
  { method = 'GET', body, bearer, signal }: Call = {},
): Promise<Data> {
  const { response, text } = await exchange(urlBelow(origin, path), {
    method,
    headers: {
      accept: 'application/json',
      ...(body ? { 'content-type': 'application/json' } : {}),
      ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
    },
    ...(body ? { body: JSON.stringify(body) } : {}),
    ...(signal ? { signal } : {}),
  });
  let answer: { success?: unknown; data?: unknown; message?: unknown; errorMsgKey?: unknown } | null;
  try {
    answer = JSON.parse(text);
  } catch {
    answer = null;
  }
  if (response.ok && answer?.success === true) return answer.data as Data;
  if (answer === null)
    throw new CliError('unreachable', `${origin} does not answer like a Countersign gateway`);
  const message = typeof answer.message === 'string' ? printable(answer.message) : 'no reason given';
  const wait = response.headers.get('retry-after');
  const later = wait && /^\d+$/.test(wait) ? ` Try again in ${wait} s.` : '';
  throw new CliError('refused', `refused (${response.status}): ${message}${later}`);
}

export interface Exchange {
  method: string;
  headers: Record<string, string>;
  body?: string;
  signal?: AbortSignal;
}

/**
 * One request and its whole answer, whatever its status.
 *
 * @throws CliError `unreachable` when nothing came back in time, or too much did
 */
export async function exchange(
  url: string,
  { signal, ...request }: Exchange,
): Promise<{ response: Response; text: string }> {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  try {
    const response = await fetch(url, {
      ...request,
      // A redirect would carry the credential to wherever it points.
      redirect: 'error',
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    });
    return { response, text: await bounded(response) };
  } catch (error) {
    if (error instanceof CliError) throw error;
    if (signal?.aborted) throw new CliError('interrupted', 'stopped');
    throw new CliError('unreachable', `cannot reach ${new URL(url).origin}: ${whyUnreachable(error)}`);
  }
}

async function bounded(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true });
    if (text.length > LONGEST_ANSWER)
      throw new CliError('unreachable', 'the answer is longer than any gateway would send');
  }
  return text + decoder.decode();
}

/** One phrase for the error of a `fetch` or a socket. */
export function whyUnreachable(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  const name = error instanceof Error ? error.name : '';
  const phrases: Record<string, string> = {
    ECONNREFUSED: 'connection refused (is the gateway running?)',
    ENOTFOUND: 'there is no such host',
    EAI_AGAIN: 'the host name could not be looked up',
    ECONNRESET: 'the connection was cut',
  };
  if (name === 'TimeoutError') return 'no answer in time';
  return phrases[code] ?? printable(cause instanceof Error ? cause.message || code : String(cause), 120);
}

export const askForChallenge = (origin: string, body: Record<string, unknown>, signal: AbortSignal) =>
  call<LoginAnswer>(origin, '/v1/user/login', { method: 'POST', body, signal });

export const verifyLogin = async (origin: string, body: Record<string, unknown>, signal: AbortSignal) =>
  tokensOf(
    origin,
    await call<TokenAnswer>(origin, '/v1/user/login/verify', { method: 'POST', body, signal }),
  );

/** Gives a session with a new access token, and with the refresh token's successor where there is one. */
export async function refresh(session: SavedSession, signal?: AbortSignal): Promise<SavedSession> {
  const answer = await call<TokenAnswer>(session.url, '/v1/user/login/refresh', {
    method: 'POST',
    body: { refreshToken: session.refreshToken },
    ...(signal ? { signal } : {}),
  });
  return { ...tokensOf(session.url, answer), sessionExpiresAt: session.sessionExpiresAt };
}

function tokensOf(url: string, answer: TokenAnswer): SavedSession {
  const { user, accessToken, refreshToken } = answer ?? {};
  if (
    typeof user?.userId !== 'number' ||
    typeof accessToken?.token !== 'string' ||
    typeof refreshToken !== 'string'
  ) {
    throw new CliError('unreachable', `${url} does not answer a login like a Countersign gateway`);
  }
  return {
    url,
    userId: user.userId,
    address: user.address,
    accessToken: accessToken.token,
    accessExpiresAt: accessToken.expiresAt,
    refreshToken,
    sessionExpiresAt: expiryOf(refreshToken),
  };
}

/** `exp` of a JWT, unverified: only to tell its holder when it ends. Null if it is no JWT. */
function expiryOf(token: string): number | null {
  try {
    const payload = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8')) as {
      exp?: unknown;
    };
    return typeof payload.exp === 'number' ? payload.exp : null;
  } catch {
    return null;
  }
}

/** True if less than half a minute is left: time to refresh before the token is used. */
export const isAboutToExpire = (session: SavedSession, nowMs = Date.now()): boolean =>
  session.accessExpiresAt - nowMs / 1000 < 30;
