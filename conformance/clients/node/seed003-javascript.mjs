import { sample, useSample } from './seed003.mjs';
import { runNode } from './seed003-runs.mjs';

await useSample(() => runNode(sample('javascript')));
