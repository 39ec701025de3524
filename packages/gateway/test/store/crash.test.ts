import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { challenge, digest, sealed } from './samples.ts';

const ROUNDS = 4;
const folder = mkdtempSync(join(tmpdir(), 'countersign-crash-'));
const path = join(folder, 'store.db');
const acknowledgements = join(folder, 'acknowledged');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Lets a child work until it has acknowledged `count` things, and kills it in the middle of what comes next. */
async function workAndDie(run: number, count: number): Promise<void> {
  const script = fileURLToPath(new URL('crash-child.ts', import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', script, path, acknowledgements, String(run)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const died = once(child, 'exit');
  let seen = 0;
  child.stdout.on('data', (dots: Buffer) => {
    seen += dots.length;
    if (seen >= count) child.kill('SIGKILL');
  });
  const [, signal] = (await died) as [number | null, string | null];
  expect(signal).toBe('SIGKILL');
}

describe('the store on SQLite, killed at random (drill D01)', () => {
  it('has everything that was acknowledged: sessions, rotations, revocations, spent nonces', async () => {
    for (let run = 0; run < ROUNDS; run++) {
      await workAndDie(run, randomInt(1, 400));
      const store = await openSqliteStore({ path });
      const lines = readFileSync(acknowledgements, 'utf8').split('\n').slice(0, -1);
      expect(lines.length).toBeGreaterThan(0);
      let revoked = 0;
      for (const line of lines) {
        const [what, id] = line.split(' ') as [string, string];
        const session = await store.sessions.find(id);
        if (what === 'opened') {
          expect(session, line).not.toBeNull();
          expect(await store.users.find(session!.userId), line).toMatchObject({ address: `0x${id}` });
          expect(await store.sessions.findRefresh(digest(`${id}-R0`)), line).not.toBeNull();
        } else if (what === 'rotated') {
          expect(await store.sessions.findRefresh(digest(`${id}-R1`)), line).toMatchObject({ generation: 1 });
          expect(session!.rotation, line).toBe('strict');
        } else if (what === 'revoked') {
          revoked++;
          expect(session!.revokedAt, line).toBe(3_000);
          const successor = { digest: digest('x'), sealed: sealed('x') };
          const again = await store.sessions.rotate({
            digest: digest(`${id}-R1`),
            now: 3_001,
            graceMs: 0,
            successor,
          });
          expect(again.outcome, line).toBe('gone');
        } else if (what === 'issued') {
          const again = challenge({ nonce: id, source: id });
          const limits = { perAddressAndSource: 9, perSource: 9 };
          expect(await store.challenges.issue(again, limits), line).toBe('nonce-used');
        } else {
          expect(await store.challenges.spend(challenge().address, id, 2_000), line).toBeNull();
        }
      }
      expect(await store.changes.head()).toBeGreaterThanOrEqual(revoked);
      await store.close();
    }
  });
});
