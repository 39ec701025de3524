/** A gateway whose log nobody reads any more, by the program in a process of its own. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, it } from 'vitest';

it('goes on serving when whoever read its log has gone, and still ends in good order', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-unheard-'));
  const main = createRequire(import.meta.url)
    .resolve('@countersign/cli/package.json')
    .replace('package.json', 'dist/main.js');
  const flags = ['serve', '--json', '--port', '0', '--internal-port', '0', '--data-dir', folder];
  const gateway = spawn(process.execPath, [main, ...flags, '--log-level', 'debug'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  try {
    gateway.stderr.resume();
    const [line] = (await once(createInterface({ input: gateway.stdout }), 'line')) as [string];
    const { rest, internal } = JSON.parse(line) as { rest: string; internal: string };
    gateway.stderr.destroy();
    gateway.stdout.destroy();
    // Each of them is a line in the log that cannot be written.
    for (let i = 0; i < 20; i++) {
      const answer = await fetch(`${rest}/v1/user/info`, { headers: { authorization: 'Bearer x' } });
      expect(answer.status).toBe(401);
    }
    expect((await fetch(`${internal}/livez`)).status).toBe(200);
    gateway.kill('SIGTERM');
    expect(await once(gateway, 'exit')).toEqual([0, null]);
  } finally {
    gateway.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
});
