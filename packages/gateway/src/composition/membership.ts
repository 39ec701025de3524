/** This node among the others: how it is called, and what is noted when one of them dies. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Clock } from '../operations/clock.ts';
import type { Config } from '../operations/config.ts';
import type { Logger } from '../operations/log.ts';
import { createMembership, type Membership, type MembershipOptions } from '../operations/membership.ts';
import type { Metrics } from '../operations/metrics.ts';
import type { SharedClock } from '../operations/shared-clock.ts';
import type { Store } from '../store/store.ts';

export interface MembershipParts extends Pick<MembershipOptions, 'address' | 'position'> {
  store: Store;
  config: Config;
  clock: Clock;
  log: Logger;
  fault: (event: string, error: unknown) => void;
  metrics: Metrics;
  time: SharedClock;
}

export function openMembership({
  store,
  config,
  log,
  fault,
  metrics,
  ...parts
}: MembershipParts): Membership {
  return createMembership({
    ...parts,
    store: store.nodes,
    version: versionOfThis(),
    newId: () => `node_${randomBytes(16).toString('hex')}`,
    deadAfter: config.nodes.deadAfter * 1000,
    onDead: ({ id, address: host }) => {
      metrics.nodesGivenUp.inc();
      log.warn({ event: 'node.dead', node: id, host }, 'a node is not heard of any more');
    },
    onProblem: (error) => fault('membership', error),
  });
}

function versionOfThis(): string {
  const file = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
