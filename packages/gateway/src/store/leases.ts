/**
 * The part of the store's port that keeps leases: "tell me when this subject has had no connection for so long".
 *
 * A lease is armed until the time is up; then it is gone, and an event of its own is delivered until the receiver took
 * it or it was given up. Which nodes hold a lease is kept beside it: it is due while none does. Every time is in
 * milliseconds of the clock that the nodes share (`nodes.time`).
 *
 * Writes that concern who holds what happen one after the other, over all nodes. So an answer "nobody holds it" is true
 * at the moment when it is acted upon.
 */

export type LeaseKind = 'user' | 'session';
export type LeaseState = 'armed' | 'gone' | 'delivered' | 'failed';

export interface Lease {
  /** Chosen by whoever asked for it. */
  id: string;
  kind: LeaseKind;
  /** User id as text, or sid. */
  subject: string;
  seconds: number;
  /** The backend's own; given back with the event. */
  data: string;
  state: LeaseState;
  /** Rises over all leases with each arming and each change that followers must know of. */
  sequence: number;
  /** Given when it was armed: one arming can make one event. */
  eventId: string;
  armedAt: number;
  /** When the last connection was seen to go, or when it was armed if there was none since. */
  leftAt: number;
  /** When the time is up; null while somebody holds it, and after. */
  dueAt: number | null;
  goneAt: number | null;
  /** Deliveries tried. */
  attempts: number;
  /** When delivery may be tried next; whoever tries moves it on first. */
  nextAttemptAt: number | null;
  giveUpAt: number | null;
  /** How the last delivery ended, for operators. */
  outcome: string | null;
  /** When it was delivered, or given up. */
  endedAt: number | null;
}

export type NewLease = Pick<Lease, 'id' | 'kind' | 'subject' | 'seconds' | 'data' | 'eventId'>;

/** What a follower needs to know of a lease. `armed` is false too when it has been removed. */
export interface LeaseStanding {
  id: string;
  kind: LeaseKind;
  subject: string;
  sequence: number;
  armed: boolean;
}

/** What became known on one node. Armings that are not the present one are passed over. */
export interface Presence {
  node: string;
  /** Somebody is connected there. */
  hold: readonly { id: string; sequence: number }[];
  /** Nobody is any more, since `at`. */
  release: readonly { id: string; sequence: number; at: number }[];
  /** Newest lease whose holders here are in the store once this is written. */
  leasePosition: number;
  /** Everything that happened on the node before this is in the store once this is written. */
  settledAt: number;
}

/** `retry`: not yet; `again` says when to try next. */
export type DeliveryReport = { id: string; eventId: string; at: number; outcome: string } & (
  | { result: 'delivered' | 'failed' }
  | { result: 'retry'; again: number }
);

export interface LeasePage {
  limit: number;
  /** The id that the page before ended with. */
  after?: string;
  of?: { kind: LeaseKind; subject: string };
  state?: LeaseState;
}

export interface LeaseStore {
  /**
   * Arms a lease, new or not, whatever became of it before. Nobody holds it then until nodes say so.
   *
   * @returns `superseded`: the id of the event of the arming before, if that had not been delivered
   */
  arm(lease: NewLease, at: number): Promise<{ lease: Lease; superseded: string | null }>;
  find(id: string): Promise<Lease | null>;
  /** By id. */
  list(page: LeasePage): Promise<Lease[]>;
  /** False if there is none. */
  remove(id: string, at: number): Promise<boolean>;
  /** Sequence of the newest change, 0 if there was none. */
  head(): Promise<number>;
  /** Changes after `sequence`, oldest first; of each lease only the newest. */
  since(sequence: number, limit: number): Promise<LeaseStanding[]>;
  /** All of it or nothing. False, and nothing written, if the node was given up or never joined. */
  present(presence: Presence): Promise<boolean>;
  /** Lets go what dead nodes hold, as of when they were last seen. Returns how many, at most `limit`. */
  releaseDead(limit: number): Promise<number>;
  /** When the next armed lease is due that nobody holds; null if there is none. */
  nextDue(): Promise<number | null>;
  /**
   * Makes gone what is due at `now`, as far as every node that is alive has settled up to then and follows the lease: so
   * none of them had the subject connected when the time was up.
   */
  expire(now: number, giveUpAfter: number, limit: number): Promise<Lease[]>;
  /** Events whose delivery is due; nobody else is given them before `until`. */
  claim(now: number, until: number, limit: number): Promise<Lease[]>;
  /** False if the lease has another event by now, or none. */
  report(report: DeliveryReport): Promise<boolean>;
  /** Has the event delivered again, or at once if it is still being tried. Null if there is no event. */
  redeliver(id: string, at: number, giveUpAfter: number): Promise<Lease | null>;
  /** Forgets what was delivered, given up or removed before `before`. Returns how many, at most `limit`. */
  sweep(before: number, limit: number): Promise<number>;
}
