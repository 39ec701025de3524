/**
 * Works a store until it is killed. Each acknowledgement is written to a file of its own, with fsync, before
 * anything follows from it: that file is what the store will be held to.
 */
import { fsyncSync, openSync, writeSync } from 'node:fs';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { challenge, digest, openSession, sealed, wide } from './samples.ts';

const [path, acknowledgements, run] = process.argv.slice(2) as [string, string, string];
const store = await openSqliteStore({ path });
const out = openSync(acknowledgements, 'a');
const acknowledge = (line: string) => {
  writeSync(out, `${line}\n`);
  fsyncSync(out);
  process.stdout.write('.');
};

async function work(worker: number): Promise<never> {
  for (let i = 0; ; i++) {
    const id = `${run}-${worker}-${i}`;
    await openSession(store, id, { address: `0x${id}` });
    acknowledge(`opened ${id}`);
    await store.sessions.rotate({
      digest: digest(`${id}-R0`),
      now: 2_000,
      graceMs: 0,
      successor: { digest: digest(`${id}-R1`), sealed: sealed('R1') },
      rotation: 'strict',
    });
    acknowledge(`rotated ${id}`);
    if (i % 2 === 0) {
      await store.sessions.revoke(id, 3_000, 'logout');
      acknowledge(`revoked ${id}`);
    }
    await store.challenges.issue(challenge({ nonce: id, source: id }), wide);
    acknowledge(`issued ${id}`);
    await store.challenges.spend(challenge().address, id, 2_000);
    acknowledge(`spent ${id}`);
  }
}

await Promise.all([0, 1, 2, 3, 4, 5].map(work));
