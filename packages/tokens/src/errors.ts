/** Every way a token, key, signature or message can be refused. Stable: log pipelines and tests key on these. */
export type TokenErrorCode =
  /** Not the one canonical spelling of a compact JWS, or larger than allowed. */
  | 'malformed'
  /** Header or claims are not one strict JSON object. */
  | 'json'
  /** A header parameter that must not be there, or has the wrong type. */
  | 'header'
  /** The header's `alg` is not the one of the key record. */
  | 'algorithm'
  /** No usable key, or a key that must not be used for this. */
  | 'key'
  /** The signature does not verify, or is not in its only accepted form. */
  | 'signature'
  /** A claim is missing, has the wrong type, or an unexpected value. */
  | 'claim'
  /** `exp` has passed. */
  | 'expired'
  /** `nbf` or `iat` lies in the future. */
  | 'not_yet_valid'
  /** The token would live longer than its kind may. */
  | 'lifetime'
  /** The token is bound to another request. */
  | 'request'
  /** Not an Ethereum address, or its mixed-case checksum is wrong. */
  | 'address'
  /** Typed data that cannot be hashed without guessing. */
  | 'typed_data'
  /** Not an EIP-4361 message. */
  | 'siwe'
  /** Bytes that are not the canonical ABI encoding. */
  | 'abi';

/** What was expected where. Holds names and rules only: never the token, a key, a signature or a claim's value. */
export interface TokenErrorCause {
  /** The claim, header parameter, JWK member or message line that failed. */
  readonly name?: string;
  /** The rule it broke, in words. */
  readonly expected?: string;
}

/**
 * The one error class of this package. `message` and `cause` are safe to log; they must not be shown to the
 * peer, because all refusals have to look alike from outside.
 */
export class TokenError extends Error {
  readonly code: TokenErrorCode;
  override readonly cause: TokenErrorCause;

  constructor(code: TokenErrorCode, message: string, cause: TokenErrorCause = {}) {
    super(message);
    this.name = 'TokenError';
    this.code = code;
    this.cause = cause;
  }
}
