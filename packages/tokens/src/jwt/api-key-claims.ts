import { utf8 } from '../encoding/bytes.ts';
import type { JsonObject } from '../encoding/strict-json.ts';
import { TokenError } from '../errors.ts';
import { type ParsedJwt, readKid } from './compact.ts';
import { checkTimes } from './times.ts';

/** Issuers real clients write. */
export const API_KEY_ISSUERS: readonly string[] = ['cdp', 'coinbase-cloud'];
/** Audiences real clients write, when they write one. */
export const API_KEY_AUDIENCES: readonly string[] = [
  'cdp_service',
  'retail_rest_api_proxy',
  'public_websocket_api',
];

interface CommonRules {
  /** Seconds since the epoch. */
  readonly now: number;
  /** Seconds of clock difference tolerated at both ends. Default 5. */
  readonly leeway?: number;
  /** Longest `exp − nbf` in seconds. Default 120. */
  readonly maxLife?: number;
  /** Accepted `iss`. Default {@link API_KEY_ISSUERS}. */
  readonly issuers?: readonly string[];
  /** Accepted `aud`, if the token has one. Default {@link API_KEY_AUDIENCES}. */
  readonly audiences?: readonly string[];
}

/** A token that rides in a WebSocket message: it must not be bound to a request. */
export interface WebSocketRules extends CommonRules {
  readonly kind: 'websocket';
}

/** A token that rides in one REST request: it must be bound to that request. */
export interface RestRules extends CommonRules {
  readonly kind: 'rest';
  /** The request's method, upper case. */
  readonly method: string;
  /** The names, with port where it is not the default, this server answers to. */
  readonly hosts: readonly string[];
  /** The request's path as received, without the query. */
  readonly path: string;
}

export type ApiKeyRules = WebSocketRules | RestRules;

const MAX_FIELD_BYTES = 256;
/** Text without any of these has as many bytes as characters, and encoding each field would cost more than all other rules. */
const NOT_ASCII = /[\u0080-\uffff]/;

const refuseClaim = (name: string, expected: string): never => {
  throw new TokenError('claim', `The claim ${name} is not as expected`, { name, expected });
};

function checkFieldSizes(fields: JsonObject, skip: readonly string[]): void {
  for (const name of Object.keys(fields)) {
    const value = fields[name];
    // No number takes more than 25 characters.
    if (typeof value === 'number' || skip.includes(name)) continue;
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    if (text.length > MAX_FIELD_BYTES || (NOT_ASCII.test(text) && utf8(text).length > MAX_FIELD_BYTES)) {
      // The name is the sender's and could be anything, so it is not repeated.
      throw new TokenError('claim', 'A field is too large', { expected: `at most ${MAX_FIELD_BYTES} bytes` });
    }
  }
}

function checkAudience(claims: JsonObject, accepted: readonly string[]): void {
  const { aud } = claims;
  if (aud === undefined) return;
  // RFC 7519 §4.1.3: one string or an array of them; one match is enough.
  const given = Array.isArray(aud) ? aud : [aud];
  if (!given.every((value) => typeof value === 'string')) refuseClaim('aud', 'string or array of strings');
  if (!given.some((value) => accepted.includes(value as string))) refuseClaim('aud', 'a known audience');
}

function checkRequest(claims: JsonObject, rules: RestRules): void {
  const { uri, uris } = claims;
  if (uri !== undefined && typeof uri !== 'string') refuseClaim('uri', 'string');
  if (uris !== undefined && !(Array.isArray(uris) && uris.every((value) => typeof value === 'string'))) {
    refuseClaim('uris', 'array of strings');
  }
  const given = [...(uri === undefined ? [] : [uri]), ...((uris ?? []) as string[])];
  // Compared as text with no normalisation: `//`, `%2F`, case and a trailing slash are different requests.
  const wanted = rules.hosts.flatMap((host) =>
    ['', 'https://', 'http://'].map((scheme) => `${rules.method} ${scheme}${host}${rules.path}`),
  );
  if (!given.some((value) => wanted.includes(value as string))) {
    throw new TokenError('request', 'The token is not bound to this request', {
      name: 'uri',
      expected: 'METHOD host/path of this request',
    });
  }
}

/**
 * Checks the header and claims of an API-key JWT: a short-lived token its holder signed for one WebSocket message
 * or one REST request. `sub` equals `kid`, `iss` is known, `aud` is absent or known, the life is short, every field
 * is bounded. `typ`, `iat`, `jti` and the form of `nonce` are not demanded: real clients differ in all four.
 *
 * Does NOT verify the signature (call `verifyJws` first) and does NOT prevent reuse (see `replayId`).
 *
 * @throws {TokenError} `header`, `claim`, `expired`, `not_yet_valid`, `lifetime` or `request`
 */
export function checkApiKeyClaims(parsed: ParsedJwt, rules: ApiKeyRules): void {
  const { header, claims } = parsed;
  const { now, leeway = 5, maxLife = 120, issuers = API_KEY_ISSUERS, audiences = API_KEY_AUDIENCES } = rules;
  const kid = readKid(parsed);
  checkFieldSizes(header, []);
  checkFieldSizes(claims, ['uri', 'uris']);
  // RFC 8725 §3.11: a token that says it is of another kind is of another kind.
  if (typeof header.typ === 'string' && header.typ.toUpperCase() !== 'JWT') {
    throw new TokenError('header', 'The token is of another type', {
      name: 'typ',
      expected: 'absent or JWT',
    });
  }
  if (claims.sub !== kid) refuseClaim('sub', 'equal to kid');
  if (typeof claims.iss !== 'string' || !issuers.includes(claims.iss)) refuseClaim('iss', 'a known issuer');
  checkAudience(claims, audiences);
  checkTimes(claims, { now, leeway, notBeforeLeeway: leeway, maxLife });
  if (rules.kind === 'rest') {
    checkRequest(claims, rules);
  } else if (claims.uri !== undefined || claims.uris !== undefined) {
    // A token for one REST request, taken from its header, must not open a stream.
    refuseClaim(claims.uri !== undefined ? 'uri' : 'uris', 'absent on a WebSocket token');
  }
}
