import { hash } from 'node:crypto';
import { TokenError } from '../errors.ts';
import { checkTimes } from '../jwt/times.ts';
import type { PublicJwk } from '../keys/jwk.ts';
import { verifyJws } from './verify.ts';

/** What a gateway sends when the subject of a lease has been gone for as long as the lease says. */
export interface WebhookEvent {
  /** The same in every attempt: what was seen before needs no second answer but 2xx. */
  readonly id: string;
  readonly type: 'user.gone' | 'session.gone';
  /** Id of the lease, as the backend chose it. */
  readonly lease: string;
  /** User id as text, or the session's id. */
  readonly subject: string;
  /** When the last connection was seen to go, in milliseconds since 1970. */
  readonly goneSince: number;
  readonly seconds: number;
  /** What the backend gave with the lease. */
  readonly data: string;
}

export interface WebhookToVerify {
  /** The header `x-countersign-signature`. */
  readonly signature: string | undefined;
  /** The body exactly as it was received: not parsed and written again. */
  readonly body: string | Uint8Array;
  /** The gateway's key set, as `/.well-known/jwks.json` has it. Fetch it anew when an error of code `key` is thrown. */
  readonly keys: { readonly keys: readonly object[] };
  /** `issuer` of the gateway's settings. */
  readonly issuer: string;
  /** The present in seconds since 1970. Default: the machine's. */
  readonly now?: number;
  /** Seconds by which the clocks may differ. Default 30. */
  readonly leeway?: number;
}

/** Longest life that a signature may have, in seconds. */
const MAX_LIFE = 300;

/**
 * Verifies that a webhook comes from the gateway and carries this very body, and parses it.
 *
 * Does NOT check whether the event was seen before: keep its `id` for a day, and answer 2xx to what you know already.
 *
 * @throws {TokenError} `key` for a key that is not in the set (it may be new: fetch the set again, at most once a
 *   minute), and another code for what must be refused
 * @example
 * const event = verifyWebhook({ signature: request.headers['x-countersign-signature'], body, keys, issuer });
 * if (event.type === 'user.gone') await cancelOrders(Number(event.subject));
 */
export function verifyWebhook(input: WebhookToVerify): WebhookEvent {
  const { signature, body, keys, issuer, now = Date.now() / 1000, leeway = 30 } = input;
  if (signature === undefined) throw new TokenError('malformed', 'There is no signature');
  const records = keys.keys.map((key) => ({
    // The algorithm is the gateway's, whatever a token or a key says (RFC 8725 section 3.1).
    alg: 'ES256' as const,
    key: key as PublicJwk,
    kid: (key as { kid?: string }).kid ?? '',
  }));
  const { header, claims } = verifyJws(signature, records);
  const expect = (name: string, value: unknown, expected: string) => {
    if (value !== expected) throw new TokenError('claim', `The ${name} is another one`, { name });
  };
  // Explicit types keep one kind of token from passing for another (RFC 8725 section 3.11).
  expect('typ', header.typ, 'webhook+jwt');
  expect('aud', claims.aud, 'webhook');
  expect('iss', claims.iss, issuer);
  checkTimes(claims, { now, leeway, notBeforeLeeway: leeway, maxLife: MAX_LIFE });
  expect('body_sha256', claims.body_sha256, hash('sha256', body, 'base64url'));
  const event = JSON.parse(Buffer.from(body as string).toString('utf8')) as WebhookEvent;
  expect('jti', claims.jti, event.id);
  return event;
}
