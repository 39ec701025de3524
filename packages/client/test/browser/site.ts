/** A site of its own beside the gateway: an empty page with the client in it, on a port that makes it another origin. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

declare global {
  /** In the page: all that the client exports for browsers. */
  var countersign: typeof import('../../src/index.ts') & typeof import('../../src/socketio.ts');
}

export interface Site {
  /** `http://127.0.0.1:port` */
  readonly origin: string;
  /** The same page under another name: for a browser another site altogether. */
  readonly elsewhere: string;
  close(): Promise<void>;
}

const PAGE = `<!doctype html><title>page</title><script type="module">
import * as client from '/index.js';
import * as socketio from '/socketio.js';
globalThis.countersign = { ...client, ...socketio };
</script>`;

let bundled: Promise<Map<string, Uint8Array>> | null = null;

/** As an app's bundler does it, with chunks for what is loaded later. */
async function bundle(): Promise<Map<string, Uint8Array>> {
  const source = (name: string) => fileURLToPath(new URL(`../../src/${name}`, import.meta.url));
  const { outputFiles } = await build({
    entryPoints: [source('index.ts'), source('socketio.ts')],
    outdir: '/out',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    conditions: ['source'],
    write: false,
    logLevel: 'silent',
  });
  return new Map(outputFiles.map(({ path, contents }) => [path.slice(path.lastIndexOf('/')), contents]));
}

export async function startSite(): Promise<Site> {
  bundled ??= bundle();
  const files = await bundled;
  const server = createServer(({ url }, answer) => {
    const script = files.get(url ?? '');
    if (url === '/') answer.setHeader('content-type', 'text/html').end(PAGE);
    else if (script !== undefined) answer.setHeader('content-type', 'text/javascript').end(script);
    else answer.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    origin: `http://127.0.0.1:${port}`,
    elsewhere: `http://localhost:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
