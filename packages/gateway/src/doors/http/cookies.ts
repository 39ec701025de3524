/** The refresh token's two cookies, exactly as the clients of the seeds need them (wire facts 0.4, 1.6). */
import { REFRESH_COOKIES } from '@countersign/protocol';
import type { FastifyReply } from 'fastify';

const MAX_COOKIE_HEADER = 8 * 1024;

/**
 * Sets both cookies, in the order of {@link REFRESH_COOKIES}: one client takes the first `Set-Cookie` whatever
 * its name (F2).
 *
 * @param maxAge seconds until the refresh token ends; 0 removes the cookies
 * @param secure whether the request came over https: over plain http python-requests would keep such a cookie
 *   but never send it back
 */
export function setRefreshCookies(reply: FastifyReply, token: string, maxAge: number, secure: boolean): void {
  // SameSite and HttpOnly as in RFC 6265bis sections 5.6.6 and 5.6.7; no Domain, so that the host alone gets them.
  const attributes = `Path=/; HttpOnly; SameSite=Lax; Max-Age=${Math.max(0, Math.floor(maxAge))}${secure ? '; Secure' : ''}`;
  reply.header(
    'set-cookie',
    REFRESH_COOKIES.map((name) => `${name}=${token}; ${attributes}`),
  );
}

/** The refresh tokens that a `Cookie` header carries (RFC 6265 section 5.4), in the order of {@link REFRESH_COOKIES}. */
export function refreshCookies(header: string | undefined): string[] {
  if (header === undefined || header.length > MAX_COOKIE_HEADER) return [];
  const found = new Map<string, string>();
  for (const pair of header.split(';')) {
    const equals = pair.indexOf('=');
    if (equals < 0) continue;
    const name = pair.slice(0, equals).trim();
    const value = pair.slice(equals + 1).trim();
    if (value !== '' && !found.has(name)) found.set(name, value);
  }
  return REFRESH_COOKIES.flatMap((name) => found.get(name) ?? []);
}
