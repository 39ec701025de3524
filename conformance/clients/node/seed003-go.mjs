import { fileURLToPath } from 'node:url';
import { sample, useSample } from './seed003.mjs';
import { runGo } from './seed003-runs.mjs';

const modules = fileURLToPath(new URL('../go-page-003/', import.meta.url));
await useSample(() => runGo(sample('go'), modules));
