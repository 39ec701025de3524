/**
 * The page with a live book in React, at http://127.0.0.1:4480/.
 *
 *     npx tsx examples/react/serve.ts
 */
import { servePage } from '../lib/serve-page.ts';

await servePage(new URL('.', import.meta.url));
