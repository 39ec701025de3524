/**
 * `npm start`: set-up, then `countersign serve --sandbox` with whatever flags were given, in this very process.
 *
 * npm runs this below a shell. A SIGTERM sent to npm ends npm and the shell, and neither tells the gateway: so it
 * looks whether its parent is still there, and stops in good order when it is not.
 */
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { setUp } from './setup.mjs';

const parent = process.ppid;
if (process.env.npm_lifecycle_event === 'start') {
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    process.kill(process.pid, 'SIGTERM');
  }, 250);
  watch.unref();
}

await setUp({ build: true });
const main = join(dirname(dirname(fileURLToPath(import.meta.url))), 'packages', 'cli', 'dist', 'main.js');
process.argv = [process.execPath, main, 'serve', '--sandbox', ...process.argv.slice(2)];
await import(pathToFileURL(main).href);
