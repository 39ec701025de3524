import { fileURLToPath } from 'node:url';
import { sample, withSample } from './seed003.mjs';
import { runGo } from './seed003-runs.mjs';

const modules = fileURLToPath(new URL('../go-page-003/', import.meta.url));
await withSample(() => runGo(sample('go'), modules));
