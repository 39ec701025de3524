/** Who the gateway says is asking. */
import { type Account, readAccounts } from '../principal.ts';

export interface Identity {
  userId: string;
  accounts: readonly Account[];
}

/**
 * Reads the claims of the `x-countersign-identity` header, a JWT the gateway signs for its backends.
 * NOT checked: the signature. Only the gateway reaches this port of a simulated venue; a real one verifies the
 * token against the gateway's JWKS (RFC 7515 section 5.2) before it believes a word of it.
 *
 * @returns null without the header, or if it cannot be read
 */
export function readIdentity(header: string | string[] | undefined): Identity | null {
  if (typeof header !== 'string' || header.length > 8192) return null;
  const payload = header.split('.')[1];
  if (payload === undefined) return null;
  try {
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as {
      sub?: unknown;
      accounts?: unknown;
    };
    const { sub } = claims;
    if ((typeof sub !== 'string' || sub === '') && typeof sub !== 'number') return null;
    return { userId: String(sub), accounts: readAccounts(claims.accounts) };
  } catch {
    return null;
  }
}
