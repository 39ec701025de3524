import { sha256 } from '@noble/hashes/sha2.js';
import { toHex } from '../encoding/bytes.ts';
import { type ParsedJws, readKid } from './compact.ts';

/**
 * What makes a token "the same token": its key id and the SHA-256 of the signed bytes, as `kid:hex`. The text of a
 * token and its signature have several valid forms (`(r, n−s)` also verifies), so neither may be used for this.
 * Store it only after the signature has verified, or anyone could spend somebody else's token.
 *
 * @throws {TokenError} `header` when there is no usable `kid`
 */
export function replayId(parsed: ParsedJws): string {
  return `${readKid(parsed)}:${toHex(sha256(parsed.signingInput))}`;
}
