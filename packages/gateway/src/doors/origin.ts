/**
 * Which origins a browser may open a socket from (requirement R56, RFC 6455 section 10.2). A missing Origin is
 * allowed: no cookie ever authenticates a socket, so only a browser could be made to act for somebody else.
 */
import type { IncomingMessage } from 'node:http';

export type OriginCheck = (request: IncomingMessage) => boolean;

/**
 * @param allowed exact origins, `scheme://host[:port]`
 * @returns a check that also accepts the gateway's own origin, which Python's websocket-client sends
 */
export function createOriginCheck(allowed: readonly string[]): OriginCheck {
  const exact = new Set(allowed.map((origin) => origin.toLowerCase()));
  return (request) => {
    const count = request.rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'origin').length;
    if (count === 0) return true;
    if (count > 1) return false;
    const origin = request.headers.origin;
    if (origin === undefined) return false;
    if (exact.has(origin.toLowerCase())) return true;
    const host = request.headers.host?.toLowerCase();
    return host !== undefined && (origin === `http://${host}` || origin === `https://${host}`);
  };
}
