import type { CountersignError } from '../errors.ts';
import type { FeedUpdate, ResyncReason } from './update.ts';

/** Takes what a subscription brings. None of these may throw. */
export interface Sink {
  deliver(update: FeedUpdate): void;
  /** What was delivered so far is not the present any more. */
  stale(reason: ResyncReason): void;
  /** What was delivered so far is the present (again). */
  live(): void;
  /** It is over for good. */
  failed(error: CountersignError): void;
}
