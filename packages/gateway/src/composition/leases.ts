/** Which nodes there are, who is connected to which, and whom to tell when somebody has gone. */
import { randomBytes, randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createConfirmations } from '../backend/confirmations.ts';
import { createLeaseDelivery } from '../backend/leases/delivery.ts';
import { sweepLeases } from '../backend/leases/sweep.ts';
import { createLeaseTracker, type LeaseTracker } from '../backend/leases/tracker.ts';
import { createWebhook } from '../backend/leases/webhook.ts';
import { createLeases, GIVE_UP_MS } from '../backend/leases.ts';
import { createMembership } from '../operations/membership.ts';
import type { Lease } from '../store/leases.ts';
import type { Core } from './core.ts';

export type LeaseParts = ReturnType<typeof createLeaseParts>;

const random = (prefix: string) => `${prefix}_${randomBytes(16).toString('hex')}`;

function versionOfThis(): string {
  const file = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

export function createLeaseParts({
  config,
  clock,
  log,
  fault,
  store,
  metrics,
  registry,
  identity,
  time,
}: Core) {
  const { changes, signingKeys } = identity;
  const { webhook: url, most } = config.leases;
  let address = '';
  let tracker: LeaseTracker | null = null;

  const membership = createMembership({
    store: store.nodes,
    clock,
    time,
    address: () => address,
    version: versionOfThis(),
    position: changes.position,
    fit: () => tracker?.fit() ?? true,
    newId: () => random('node'),
    deadAfter: config.nodes.deadAfter * 1000,
    onDead: ({ id, address: host }) => {
      metrics.nodesGivenUp.inc();
      log.warn({ event: 'node.dead', node: id, host }, 'a node is not heard of any more');
    },
    onProblem: (error) => fault('membership', error),
  });
  changes.onChange(() => membership.moved());

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
  tracker = createLeaseTracker({
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
  const following = tracker;
  const stopSweeping = sweepLeases({
    store: store.leases,
    clock,
    now: membership.now,
    onProblem: (error) => fault('lease-sweep', error),
  });

  return {
    membership,
    newLeaseId: () => random('lease'),
    confirmations: createConfirmations({ membership, position: changes.position, clock }),
    leases: createLeases({
      store,
      membership,
      tracker: following,
      kick: () => delivery?.kick(),
      newEventId: () => random('event'),
      most,
      hasWebhook: webhook !== null,
    }),
    /** @param at host and port of the public listener */
    async start(at: string): Promise<void> {
      address = at;
      await following.start();
      await membership.start();
      delivery?.start();
    },
    /** After the doors: what they let go of is written before this node leaves. Idempotent. */
    async close(): Promise<void> {
      stopSweeping();
      await following.close();
      await delivery?.close();
      webhook?.close();
      await membership.close();
    },
  };
}

const named = ({ id, kind, subject, eventId }: Lease) => ({ lease: id, kind, subject, eventId });
