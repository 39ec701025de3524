import { Refusal } from '@countersign/protocol';

const RETRY_SECONDS = 2;

/** @throws Refusal `unavailable` while the clock of this node is surely wrong: a token of it would be early or live too long */
export function requireClock(agrees: () => boolean): void {
  if (!agrees())
    throw new Refusal('unavailable', 'the clock of this node is off', { retryAfter: RETRY_SECONDS });
}
