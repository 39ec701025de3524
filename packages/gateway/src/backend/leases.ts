/**
 * Leases as the venue's backend uses them: "tell me when this user, or this session, has had no connection for so many
 * seconds". What they are good for is in docs/guides/leases.md.
 */
import { Refusal } from '@countersign/protocol';
import type { Membership } from '../operations/membership.ts';
import type { Lease, LeaseKind, LeasePage } from '../store/leases.ts';
import type { Store } from '../store/store.ts';
import type { LeaseTracker } from './leases/tracker.ts';

/** Milliseconds for which the delivery of an event is tried. */
export const GIVE_UP_MS = 24 * 3_600_000;

export interface LeaseRequest {
  kind: LeaseKind;
  /** User id as text, or sid. */
  subject: string;
  seconds: number;
  data: string;
}

export interface Leases {
  /**
   * Arms a lease, a new one or again. `superseded`: the event of the arming before, if it was not delivered; it will not be.
   *
   * @throws Refusal `not_found` if there is no such user or session; `unavailable` if no webhook is configured, or as many
   *   leases are armed as may be
   */
  arm(id: string, request: LeaseRequest): Promise<{ lease: Lease; superseded: string | null }>;
  find(id: string): Promise<Lease | null>;
  list(page: LeasePage): Promise<Lease[]>;
  /** False if there is none. */
  remove(id: string): Promise<boolean>;
  /** Delivers the event once more, under the same id. Null if there is no event. */
  redeliver(id: string): Promise<Lease | null>;
}

export function createLeases({
  store,
  membership,
  tracker,
  kick,
  newEventId,
  most,
  hasWebhook,
}: {
  store: Pick<Store, 'leases' | 'users' | 'sessions'>;
  membership: Pick<Membership, 'now'>;
  tracker: Pick<LeaseTracker, 'armed' | 'catchUp'>;
  /** Has events looked for that can be delivered. */
  kick: () => void;
  newEventId: () => string;
  /** Armed leases at most, over all nodes. */
  most: number;
  hasWebhook: boolean;
}): Leases {
  const { leases } = store;

  async function exists({ kind, subject }: LeaseRequest): Promise<boolean> {
    if (kind === 'user') return (await store.users.find(Number(subject))) !== null;
    return (await store.sessions.find(subject)) !== null;
  }

  return {
    async arm(id, request) {
      if (!hasWebhook) {
        throw new Refusal('unavailable', 'leases.webhook is not set', {
          message: 'No webhook is configured (leases.webhook): nobody could be told.',
        });
      }
      if (tracker.armed() >= most) {
        throw new Refusal('unavailable', 'as many leases are armed as may be', {
          message: `${most} leases are armed (leases.most): no more are taken.`,
        });
      }
      if (!(await exists(request))) throw new Refusal('not_found', `there is no such ${request.kind}`);
      const armed = await leases.arm({ id, ...request, eventId: newEventId() }, membership.now());
      // So that this node holds it when the answer arrives; the others read it within a second.
      await tracker.catchUp().catch(() => {});
      return { ...armed, lease: (await leases.find(id)) ?? armed.lease };
    },
    find: (id) => leases.find(id),
    list: (page) => leases.list(page),
    remove: (id) => leases.remove(id, membership.now()),
    async redeliver(id) {
      const lease = await leases.redeliver(id, membership.now(), GIVE_UP_MS);
      if (lease !== null) kick();
      return lease;
    },
  };
}
