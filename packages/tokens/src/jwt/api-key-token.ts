import { toHex } from '../encoding/bytes.ts';
import type { JsonObject } from '../encoding/strict-json.ts';

export interface ApiKeyTokenOptions {
  /** The key's name, `organizations/{org}/apiKeys/{key}` or a bare id: becomes `kid` and `sub`. */
  readonly keyName: string;
  /** Seconds since the epoch. Default: the system clock. */
  readonly now?: number;
  /** Header `nonce`. Default: 16 random bytes in hex. */
  readonly nonce?: string;
  /** For REST: `METHOD host/path`, without scheme and query. Leave out for WebSocket messages. */
  readonly uri?: string;
  /** Seconds from `nbf` to `exp`. Default 120, which is also the most servers accept. */
  readonly lifetime?: number;
  /** `iss`. Default `cdp`. */
  readonly issuer?: string;
}

/** Header and claims of an API-key JWT, ready to be signed. `alg` comes from the key at signing. */
export function apiKeyTokenParts(options: ApiKeyTokenOptions): { header: JsonObject; claims: JsonObject } {
  const { keyName, uri, lifetime = 120, issuer = 'cdp' } = options;
  const now = Math.floor(options.now ?? Date.now() / 1000);
  const nonce = options.nonce ?? toHex(globalThis.crypto.getRandomValues(new Uint8Array(16)));
  const claims: JsonObject = { sub: keyName, iss: issuer, nbf: now, exp: now + lifetime };
  if (uri !== undefined) claims.uri = uri;
  return { header: { typ: 'JWT', kid: keyName, nonce }, claims };
}
