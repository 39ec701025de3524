/** Ways to run a sample in a folder of its own, from which it finds the packages it needs. */
import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const CACHE = fileURLToPath(
  new URL('../../../node_modules/.cache/countersign-conformance/', import.meta.url),
);

async function inFolder(work) {
  await mkdir(CACHE, { recursive: true });
  const folder = await mkdtemp(join(CACHE, 'page-003-'));
  try {
    return await work(folder);
  } finally {
    // The sample holds a private key.
    await rm(folder, { recursive: true, force: true });
  }
}

export const runNode = (program) =>
  inFolder(async (folder) => {
    await writeFile(join(folder, 'main.cjs'), program, { mode: 0o600 });
    return (await run(process.execPath, [join(folder, 'main.cjs')], { timeout: 20_000 })).stdout;
  });

/** @param modules folder with the go.mod and go.sum that the page makes with `go mod tidy` */
export const runGo = (program, modules) =>
  inFolder(async (folder) => {
    await writeFile(join(folder, 'main.go'), program, { mode: 0o600 });
    for (const file of ['go.mod', 'go.sum']) await copyFile(join(modules, file), join(folder, file));
    return (await run('go', ['run', '-C', folder, '.'], { timeout: 80_000 })).stdout;
  });
