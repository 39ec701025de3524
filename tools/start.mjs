/**
 * `npm start`: set-up, then `countersign serve --sandbox` with whatever flags were given, in this very process, so
 * that a signal sent to it reaches the gateway.
 */
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { setUp } from './setup.mjs';

await setUp({ build: true });
const main = join(dirname(dirname(fileURLToPath(import.meta.url))), 'packages', 'cli', 'dist', 'main.js');
process.argv = [process.execPath, main, 'serve', '--sandbox', ...process.argv.slice(2)];
await import(pathToFileURL(main).href);
