/** The build checks these files against Node's types; browsers have others for the same things. */
import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

test('what browsers load is accepted with the types of a browser, and none of Node', async () => {
  const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
  const config = fileURLToPath(new URL('../../tsconfig.web.json', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [tsc, '-p', config]).catch(
    (failure: { stdout: string }) => failure,
  );
  expect(stdout).toBe('');
}, 60_000);
