/**
 * Which web pages may use the gateway from a browser: one list and one rule for every door. CORS guards reading
 * (R72), the cookie rule guards writing, because a browser attaches cookies to requests of any page (R73), and
 * the check of upgrades guards sockets, which CORS does not cover (R56, RFC 6455 section 10.2).
 */
import type { IncomingMessage } from 'node:http';
import type { Sources } from './source.ts';

export type OriginCheck = (request: IncomingMessage) => boolean;

export interface Origins {
  /** True if the page at this origin may use the API: listed, or the gateway's own. `null` never is. */
  allows(request: IncomingMessage, origin: string): boolean;
  /**
   * True if this upgrade may become a socket. Without an Origin it may: no cookie ever authenticates a socket, so
   * only a browser, which always sends one, could be made to act for somebody else.
   */
  mayConnect: OriginCheck;
  /**
   * True if a cookie on this request may count: it comes from an allowed page, from the browser's own address
   * bar, or from a program that is no browser and so sends neither header.
   */
  mayUseCookie: OriginCheck;
}

/**
 * @param listed exact origins as browsers write them: `scheme://host[:port]`, in lower case
 * @param sources says whether the client itself came by https, also behind a trusted proxy (R71)
 */
export function createOrigins(listed: readonly string[], sources: Pick<Sources, 'secure'>): Origins {
  const allowed = new Set(listed.map((origin) => origin.toLowerCase()));
  allowed.delete('null');
  allowed.delete('*');

  const allows = (request: IncomingMessage, origin: string): boolean => {
    if (allowed.has(origin)) return true;
    const { host } = request.headers;
    if (host === undefined) return false;
    // Python's websocket-client sends the gateway's own origin, with the host as its user wrote it.
    return origin.toLowerCase() === `${sources.secure(request) ? 'https' : 'http'}://${host}`.toLowerCase();
  };

  return {
    allows,
    mayConnect(request) {
      // Node joins repeated Origin headers to one text, which no list has.
      const { origin } = request.headers;
      return origin === undefined || allows(request, origin);
    },
    mayUseCookie(request) {
      const { origin, 'sec-fetch-site': site } = request.headers;
      if (origin !== undefined) return allows(request, origin);
      return site === undefined || site === 'same-origin' || site === 'none';
    },
  };
}
