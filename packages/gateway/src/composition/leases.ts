/** Who is connected to which node, and whom to tell when somebody has gone. */
import { randomBytes, randomInt } from 'node:crypto';
import { createConfirmations } from '../backend/confirmations.ts';
import { createLeaseDelivery } from '../backend/leases/delivery.ts';
import { sweepLeases } from '../backend/leases/sweep.ts';
import { createLeaseTracker } from '../backend/leases/tracker.ts';
import { createWebhook } from '../backend/leases/webhook.ts';
import { createLeases, GIVE_UP_MS } from '../backend/leases.ts';
import type { Lease } from '../store/leases.ts';
import type { Core } from './core.ts';

export type LeaseParts = ReturnType<typeof createLeaseParts>;

const random = (prefix: string) => `${prefix}_${randomBytes(16).toString('hex')}`;

export function createLeaseParts({
  config,
  clock,
  log,
  fault,
  store,
  metrics,
  registry,
  identity,
  membership,
}: Core) {
  const { changes, signingKeys } = identity;
  const { webhook: url, most } = config.leases;

  const webhook = url === null ? null : createWebhook({ url, signingKeys, clock, issuer: config.issuer });
  const delivery =
    webhook === null
      ? null
      : createLeaseDelivery({
          store: store.leases,
          clock,
          now: membership.now,
          send: webhook.send,
          random: () => randomInt(2 ** 47) / 2 ** 47,
          onResult: (lease, result, { outcome }) => {
            metrics.leaseEvents.inc({ outcome: result });
            const about = { ...named(lease), count: lease.attempts, outcome };
            if (result === 'failed') log.error({ event: 'lease.failed', ...about }, 'an event was given up');
            else if (result === 'retried')
              log.warn({ event: 'lease.retried', ...about }, 'an event was not taken');
            else log.info({ event: 'lease.delivered', ...about }, 'an event was taken');
          },
          onProblem: (error) => fault('lease-delivery', error),
        });
  const tracker = createLeaseTracker({
    store: store.leases,
    membership,
    presence: registry.presence,
    clock,
    giveUpAfter: GIVE_UP_MS,
    onFollowed: (armed) => metrics.leasesArmed.set(armed),
    onGone: (gone) => {
      for (const lease of gone) {
        metrics.leaseEvents.inc({ outcome: 'gone' });
        log.info({ event: 'lease.gone', ...named(lease) }, 'nobody is there any more');
      }
      delivery?.kick();
    },
    onProblem: (error) => fault('leases', error),
  });
  membership.sayWhile(tracker.fit);
  const stopSweeping = sweepLeases({
    store: store.leases,
    clock,
    now: membership.now,
    onProblem: (error) => fault('lease-sweep', error),
  });

  return {
    newLeaseId: () => random('lease'),
    confirmations: createConfirmations({ membership, position: changes.position, clock }),
    leases: createLeases({
      store,
      membership,
      tracker,
      kick: () => delivery?.kick(),
      newEventId: () => random('event'),
      most,
      hasWebhook: webhook !== null,
    }),
    /** Once the public listener has an address: this is when the node joins. */
    async start(): Promise<void> {
      await tracker.start();
      await membership.start();
      delivery?.start();
    },
    /** After the doors: what they let go of is written before this node leaves. Idempotent. */
    async close(): Promise<void> {
      stopSweeping();
      await tracker.close();
      await delivery?.close();
      webhook?.close();
      await membership.close();
    },
  };
}

const named = ({ id, kind, subject, eventId }: Lease) => ({ lease: id, kind, subject, eventId });
