/** Nodes and leases as the database keeps them, and as the port speaks of them. */
import type { Lease, LeaseKind, LeaseStanding, LeaseState } from './leases.ts';
import type { Node } from './nodes.ts';

export interface NodeRow {
  id: string;
  address: string;
  version: string;
  started_at: number;
  seen_at: number;
  dead_at: number | null;
  position: number;
  lease_position: number;
  settled_at: number;
}

export interface LeaseRow {
  id: string;
  kind: LeaseKind;
  subject: string;
  seconds: number;
  data: string;
  /** A removed one stays for a while, so that every follower learns of it. */
  state: LeaseState | 'removed';
  sequence: number;
  event_id: string;
  armed_at: number;
  left_at: number;
  due_at: number | null;
  gone_at: number | null;
  attempts: number;
  next_attempt_at: number | null;
  give_up_at: number | null;
  outcome: string | null;
  ended_at: number | null;
}

export interface LeaseHolderRow {
  lease_id: string;
  node_id: string;
}

export const toNode = (row: NodeRow): Node => ({
  id: row.id,
  address: row.address,
  version: row.version,
  startedAt: row.started_at,
  seenAt: row.seen_at,
  deadAt: row.dead_at,
  position: row.position,
  leasePosition: row.lease_position,
  settledAt: row.settled_at,
});

/** Null for one that has been removed. */
export const toLease = (row: LeaseRow | undefined): Lease | null =>
  row === undefined || row.state === 'removed'
    ? null
    : {
        id: row.id,
        kind: row.kind,
        subject: row.subject,
        seconds: row.seconds,
        data: row.data,
        state: row.state,
        sequence: row.sequence,
        eventId: row.event_id,
        armedAt: row.armed_at,
        leftAt: row.left_at,
        dueAt: row.due_at,
        goneAt: row.gone_at,
        attempts: row.attempts,
        nextAttemptAt: row.next_attempt_at,
        giveUpAt: row.give_up_at,
        outcome: row.outcome,
        endedAt: row.ended_at,
      };

export const toStanding = (
  row: Pick<LeaseRow, 'id' | 'kind' | 'subject' | 'sequence' | 'state'>,
): LeaseStanding => ({
  id: row.id,
  kind: row.kind,
  subject: row.subject,
  sequence: row.sequence,
  armed: row.state === 'armed',
});
