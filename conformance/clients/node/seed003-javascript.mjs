import { sample, withSample } from './seed003.mjs';
import { runNode } from './seed003-runs.mjs';

await withSample(() => runNode(sample('javascript')));
