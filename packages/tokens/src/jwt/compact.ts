import { decodeBase64url } from '../encoding/base64url.ts';
import { utf8 } from '../encoding/bytes.ts';
import { type JsonObject, parseStrictJson } from '../encoding/strict-json.ts';
import { TokenError } from '../errors.ts';

/** A compact JWS taken apart. Nothing in it is to be trusted until its signature has been verified. */
export interface ParsedJws {
  readonly header: JsonObject;
  /** The payload, not interpreted. */
  readonly payloadBytes: Uint8Array;
  /** `header.payload` as signed. Canonical by construction, so equal signed content has equal bytes. */
  readonly signingInput: Uint8Array;
  /** 64 bytes: `r‖s` for ES256 (RFC 7518 §3.4), `R‖S` for EdDSA (RFC 8032 §5.1.6). */
  readonly signature: Uint8Array;
}

/** A JWT taken apart: a JWS whose payload is a claims set (RFC 7519 §3). */
export interface ParsedJwt extends ParsedJws {
  readonly claims: JsonObject;
}

export interface ParseOptions {
  /** Largest accepted token in characters. Default 4096. Checked before anything else. */
  readonly maxBytes?: number;
  /** Tolerates header bytes that are not UTF-8, as the C++ API-key sample sends. Default false. */
  readonly lenientHeaderText?: boolean;
}

/**
 * Header parameters no token may carry: key material of the sender's choosing (RFC 8725 §3.10, RFC 7515 §4.1.2
 * to §4.1.8), extensions we do not implement (RFC 7515 §4.1.11: any `crit` must then be refused; RFC 7797 `b64`),
 * and encryption or compression (RFC 7516).
 */
const REFUSED_PARAMETERS: ReadonlySet<string> = new Set([
  'jwk',
  'jku',
  'x5u',
  'x5c',
  'x5t',
  'x5t#S256',
  'crit',
  'b64',
  'zip',
  'enc',
]);
const TEXT_PARAMETERS: ReadonlySet<string> = new Set(['alg', 'kid', 'typ', 'cty']);

const malformed = (expected: string): TokenError =>
  new TokenError('malformed', 'Not a canonical compact JWS', { expected });

/** Takes a compact JWS with any payload apart. See {@link parseCompact} for the rules. */
export function parseCompactJws(token: string, options: ParseOptions = {}): ParsedJws {
  const { maxBytes = 4096, lenientHeaderText = false } = options;
  if (typeof token !== 'string') throw malformed('text');
  if (token.length > maxBytes) throw malformed(`at most ${maxBytes} bytes`);
  const first = token.indexOf('.');
  const second = token.indexOf('.', first + 1);
  if (first < 0 || second < 0 || token.indexOf('.', second + 1) >= 0) throw malformed('three parts');
  const { length } = token;
  if (first === 0 || second === first + 1 || second + 1 === length) throw malformed('no empty part');
  // 64 bytes are 86 characters; checked first because it costs nothing (RFC 7518 §3.4, RFC 8037 §3.1).
  if (length - second - 1 !== 86) throw malformed('a signature of 64 bytes');
  const headerBytes = decodeBase64url(token, 0, first);
  const payloadBytes = decodeBase64url(token, first + 1, second);
  const signature = decodeBase64url(token, second + 1, length);
  if (!headerBytes || !payloadBytes || !signature) throw malformed('canonical base64url (RFC 4648 §3.5)');

  const header = parseStrictJson(headerBytes, { lenientText: lenientHeaderText });
  for (const name of Object.keys(header)) {
    if (REFUSED_PARAMETERS.has(name)) {
      throw new TokenError('header', `The header parameter ${name} is not accepted`, {
        name,
        expected: 'absent',
      });
    }
    if (TEXT_PARAMETERS.has(name) && typeof header[name] !== 'string') {
      throw new TokenError('header', `The header parameter ${name} is not a string`, {
        name,
        expected: 'string',
      });
    }
  }
  const signingInput = utf8(token.slice(0, second));
  return { header, payloadBytes, signingInput, signature };
}

/**
 * Takes a JWT apart, accepting its one canonical spelling only: three non-empty parts of canonical base64url, at
 * most `maxBytes`, a signature of exactly 64 bytes, header and claims strict JSON objects, and no header parameter
 * that brings a key, an extension, compression or encryption.
 *
 * Does NOT verify the signature, look at `alg`, or check any claim.
 *
 * @throws {TokenError} `malformed`, `json` or `header`
 */
export function parseCompact(token: string, options: ParseOptions = {}): ParsedJwt {
  const { header, payloadBytes, signingInput, signature } = parseCompactJws(token, options);
  return { header, payloadBytes, signingInput, signature, claims: parseStrictJson(payloadBytes) };
}

const KID = /^[A-Za-z0-9/_.:-]{1,160}$/;

/**
 * The header's `kid`, bounded so that it can be used as a lookup key anywhere: 1 to 160 of `A-Za-z0-9/_.:-`.
 *
 * @throws {TokenError} `header`
 */
export function readKid(parsed: ParsedJws): string {
  const { kid } = parsed.header;
  if (typeof kid === 'string' && KID.test(kid)) return kid;
  throw new TokenError('header', 'The header parameter kid is missing or not a key id', {
    name: 'kid',
    expected: '1 to 160 of A-Za-z0-9/_.:-',
  });
}
