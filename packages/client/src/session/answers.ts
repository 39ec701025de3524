/** Reads what servers of this API answer to verify and refresh, in all the shapes they use. */
import { decodeBase64url } from '@countersign/tokens/web';
import { isObject, type Reply } from '../http/caller.ts';

export interface TokenAnswer {
  accessToken: string;
  /** Milliseconds since 1970 by the server's clock. */
  issuedAt: number;
  expiresAt: number;
  /** Null where the answer holds none: the one that was presented stays good. */
  refreshToken: string | null;
  refreshExpiresAt: number | null;
  userId: number | null;
  /** Lower case; null where the answer names none. */
  address: string | null;
  /** True if the token itself says when it was issued: a hint about the server's clock. */
  dated: boolean;
}

/** In this order: some servers send both, for old clients. Also exported by the protocol package, for servers. */
const COOKIES = ['x_auth_refresh_token', 'refreshToken'];
const DEFAULT_LIFE = 3600;
/** Far beyond any real token; guards against times that are not. */
const LONGEST_LIFE = 366 * 86_400;

const text = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? value : null);
const number = (value: unknown): number | null =>
  typeof value === 'number' && Number.isFinite(value) ? value : null;

/**
 * @param serverNow milliseconds since 1970, for tokens that do not say when they were issued
 * @returns null when there is no access token in the answer
 */
export function readTokenAnswer(
  data: Record<string, unknown>,
  reply: Reply,
  serverNow: number,
): TokenAnswer | null {
  const given = data.accessToken;
  const object = isObject(given) ? given : {};
  const accessToken = text(given) ?? text(object.token);
  if (accessToken === null) return null;

  const inner = isObject(object.data) && isObject(object.data.payload) ? object.data.payload : {};
  const claims = readClaims(accessToken) ?? inner;
  const iat = number(claims.iat);
  const exp = number(claims.exp) ?? number(inner.exp) ?? number(object.expiresAt);
  const issued = iat ?? serverNow / 1000;
  const expires = exp ?? issued + (number(data.expiresIn) ?? DEFAULT_LIFE);
  if (!(expires > issued) || expires - issued > LONGEST_LIFE) return null;

  const refreshToken = text(data.refreshToken) ?? readCookie(reply.headers);
  const refreshExp = refreshToken === null ? null : number(readClaims(refreshToken)?.exp);
  const user = isObject(data.user) ? data.user : isObject(claims.user) ? claims.user : {};
  return {
    accessToken,
    issuedAt: issued * 1000,
    expiresAt: expires * 1000,
    refreshToken,
    refreshExpiresAt: refreshExp === null ? null : refreshExp * 1000,
    userId: number(user.userId),
    address: text(user.address)?.toLowerCase() ?? null,
    dated: iat !== null,
  };
}

/** The claims of a JWT, unverified: only to know its times. Null for tokens that are none. */
function readClaims(token: string): Record<string, unknown> | null {
  const parts = token.split('.');
  const bytes = parts.length === 3 ? decodeBase64url(parts[1] ?? '') : undefined;
  if (bytes === undefined) return null;
  try {
    const claims: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return isObject(claims) ? claims : null;
  } catch {
    return null;
  }
}

/** Node shows cookies to programs; browsers keep them to themselves and send them back. */
function readCookie(headers: Headers): string | null {
  const lines = headers.getSetCookie?.() ?? [];
  for (const name of COOKIES) {
    for (const line of lines) {
      const [pair = ''] = line.split(';', 1);
      const at = pair.indexOf('=');
      if (at > 0 && pair.slice(0, at).trim() === name) return text(unquote(pair.slice(at + 1).trim()));
    }
  }
  return null;
}

const unquote = (value: string): string => /^"(.*)"$/.exec(value)?.[1] ?? value;
