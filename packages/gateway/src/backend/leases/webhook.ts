/**
 * Sends events to the one address that is configured: no request can name another. Redirects are not followed, since they
 * would be another address.
 *
 * Each event carries a token that only this gateway can have made for exactly this body: an ES256 JWT, verifiable with the
 * published key set, like those that say who asks.
 */
import { hash } from 'node:crypto';
import { signEs256 } from '@countersign/tokens/node';
import { type Clock, seconds } from '../../operations/clock.ts';
import type { SigningKeys } from '../../session/signing-keys.ts';
import type { Lease } from '../../store/leases.ts';
import { createVenueConnections, headerOf } from '../venue-connections.ts';

/** Audience and `typ` of the tokens: no door of ours takes one, and nobody takes one for another kind (RFC 8725 section 3.11). */
export const WEBHOOK_AUDIENCE = 'webhook';
export const WEBHOOK_TYPE = 'webhook+jwt';
export const SIGNATURE_HEADER = 'x-countersign-signature';

const LIFE_SECONDS = 300;
const TIMEOUT_MS = 5000;
const MAX_SOCKETS = 16;
/** Of an answer that nobody reads; more is not waited for. */
const MAX_ANSWER = 64 * 1024;

export interface Attempt {
  /** The receiver has taken it: it answered 2xx. */
  taken: boolean;
  /** Status, or what went wrong, for operators. */
  outcome: string;
  /** Milliseconds that the receiver asks to wait (RFC 9110 section 10.2.3), or null. */
  retryAfter: number | null;
}

export interface Webhook {
  /** Never rejects. */
  send(lease: Lease): Promise<Attempt>;
  close(): void;
}

/** What is sent, the same text in every attempt. */
export const eventBody = (lease: Lease): string =>
  JSON.stringify({
    id: lease.eventId,
    type: `${lease.kind}.gone`,
    lease: lease.id,
    subject: lease.subject,
    goneSince: lease.leftAt,
    seconds: lease.seconds,
    data: lease.data,
  });

export function createWebhook({
  url,
  signingKeys,
  clock,
  issuer,
  timeoutMs = TIMEOUT_MS,
}: {
  url: string;
  signingKeys: Pick<SigningKeys, 'active'>;
  clock: Clock;
  issuer: string;
  timeoutMs?: number;
}): Webhook {
  const target = new URL(url);
  const path = `${target.pathname}${target.search}`;
  const connections = createVenueConnections(target.origin, MAX_SOCKETS);

  function sign(eventId: string, body: string): string {
    const { kid, privateKey } = signingKeys.active();
    const iat = seconds(clock);
    return signEs256(
      {
        iss: issuer,
        aud: WEBHOOK_AUDIENCE,
        jti: eventId,
        body_sha256: hash('sha256', body, 'base64url'),
        iat,
        exp: iat + LIFE_SECONDS,
      },
      { typ: WEBHOOK_TYPE, kid },
      privateKey,
    );
  }

  return {
    send: (lease) =>
      new Promise((resolve) => {
        const body = eventBody(lease);
        const headers = ['content-type', 'application/json', SIGNATURE_HEADER, sign(lease.eventId, body)];
        let answer: Attempt | null = null;
        let size = 0;
        const settle = (attempt: Attempt) => {
          cancelTimer();
          resolve(attempt);
        };
        const cancelTimer = clock.after(timeoutMs, () => {
          exchange.cancel();
          // What it said counts, if only the rest of the body is missing.
          settle(answer ?? { taken: false, outcome: 'no answer in time', retryAfter: null });
        });
        const exchange = connections.send(
          { method: 'POST', path, headers, body },
          {
            start(status, headers) {
              answer = {
                taken: status >= 200 && status < 300,
                outcome: String(status),
                retryAfter: waitOf(headerOf(headers, 'retry-after'), clock),
              };
            },
            data(chunk) {
              size += chunk.length;
              if (size <= MAX_ANSWER) return;
              exchange.cancel();
              settle(answer as Attempt);
            },
            end: () => settle(answer as Attempt),
            fail(error) {
              const { code, name } = error as NodeJS.ErrnoException;
              settle(answer ?? { taken: false, outcome: code ?? name, retryAfter: null });
            },
          },
        );
      }),
    close: () => connections.close(),
  };
}

/** Seconds or a date. */
function waitOf(header: string | null, clock: Clock): number | null {
  if (header === null) return null;
  if (/^\d{1,9}$/.test(header)) return Number(header) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? null : Math.max(0, date - clock.now());
}
