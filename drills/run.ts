/**
 * Runs reliability drills against real gateways on this machine.
 *
 * npm run drills                 all of them
 * npm run drills -- d01          one
 *   --rounds N   how often to inject the fault in d01 (default 20)
 *   --seed N     repeat a run
 *   --long       the long form of those that have one (d02, d03, d05, d12, d29)
 *   --nodes N    gateways in the drills that can have several (default 2 where PostgreSQL and Redis are installed, else 1)
 *
 * Exit code 0 if every promise held.
 */
import { parseArgs } from 'node:util';
import { missingForCluster } from '@countersign/testkit';
import { budget } from './budget-doors.ts';
import { d01 } from './d01-kill-during-logins.ts';
import { d02 } from './d02-postgres-dies.ts';
import { d03 } from './d03-redis-dies.ts';
import { d04 } from './d04-redis-failover.ts';
import { d05 } from './d05-redis-unreachable.ts';
import { d06 } from './d06-redis-forgets.ts';
import { d07 } from './d07-signals-lost.ts';
import { d08 } from './d08-revocation.ts';
import { d09 } from './d09-database-slow.ts';
import { d12 } from './d12-clock-jumps.ts';
import { d13 } from './d13-rolling-restart.ts';
import { d14 } from './d14-reconnect-storm.ts';
import { d15 } from './d15-half-open.ts';
import { d17 } from './d17-slow-readers.ts';
import { d18 } from './d18-message-flood.ts';
import { d28 } from './d28-split-node.ts';
import { d29 } from './d29-nodes-die-in-turn.ts';
import { lease } from './lease.ts';

const DRILLS = {
  d01,
  d02,
  d03,
  d04,
  d05,
  d06,
  d07,
  d08,
  d09,
  d12,
  d13,
  d14,
  d15,
  d17,
  d18,
  d28,
  d29,
  budget,
  lease,
} as const;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '20' },
    long: { type: 'boolean', default: false },
    nodes: { type: 'string', default: missingForCluster().length === 0 ? '2' : '1' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
});
const chosen = positionals.length === 0 ? Object.keys(DRILLS) : positionals;
const unknown = chosen.find((name) => !(name in DRILLS));
if (unknown !== undefined) {
  process.stderr.write(`there is no drill "${unknown}"; there are: ${Object.keys(DRILLS).join(', ')}\n`);
  process.exit(2);
}
let held = true;
for (const name of chosen as (keyof typeof DRILLS)[]) {
  held =
    (await DRILLS[name]({
      rounds: Number(values.rounds),
      seed: Number(values.seed),
      long: values.long,
      nodes: Number(values.nodes),
    })) && held;
}
process.exit(held ? 0 : 1);
