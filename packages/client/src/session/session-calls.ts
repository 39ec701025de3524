/** Calls that carry the session's token. */
import type { RefusedError } from '../errors.ts';
import { dataOf, refusalOf } from '../http/caller.ts';

export interface SessionInfo {
  sid: string;
  /** This session. */
  current: boolean;
  chainId: number;
  /** Milliseconds since 1970. */
  createdAt: number;
  expiresAt: number;
  lastRefreshAt: number | null;
  /** Network address of the login. */
  source: string | null;
  userAgent: string | null;
}

export interface SignedRequest {
  url: URL;
  init: RequestInit;
  fetch(url: URL, init: RequestInit): Promise<Response>;
  token(signal: AbortSignal | undefined): Promise<string>;
  reject(token: string): 'replaced' | 'renewing' | 'given-up';
}

/** Sends a request with a token; on 401 once more with the next one. */
export async function sendSigned({ url, init, fetch, token, reject }: SignedRequest): Promise<Response> {
  const signal = init.signal ?? undefined;
  const send = async (): Promise<[Response, string]> => {
    const used = await token(signal);
    const headers = new Headers(init.headers);
    headers.set('authorization', `Bearer ${used}`);
    return [await fetch(url, { ...init, headers }), used];
  };
  const [response, used] = await send();
  if (response.status !== 401) return response;
  // Told in any case: the next caller must not run into it again.
  const outcome = reject(used);
  if (outcome === 'given-up' || isStream(init.body)) return response;
  await response.body?.cancel();
  return (await send())[0];
}

/** A stream has been read and cannot be sent again. */
const isStream = (body: unknown): boolean =>
  typeof body === 'object' && body !== null && ('getReader' in body || Symbol.asyncIterator in body);

/** @throws RefusedError for any answer that is no success */
export async function readSessionList(answer: Promise<Response>, what: string): Promise<SessionInfo[]> {
  const response = await answer;
  const reply = {
    status: response.status,
    headers: response.headers,
    body: await response.json().catch(() => null),
    sentAt: 0,
    receivedAt: 0,
  };
  const data = dataOf(reply);
  if (data === null) throw refusalOf(reply, what, Date.now()) as RefusedError;
  return Array.isArray(data.sessions) ? (data.sessions as SessionInfo[]) : [];
}
