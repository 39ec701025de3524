/**
 * Serves a page, and passes /v1 and /ws on to the gateway: one origin, as a venue's own site would be, so that the
 * gateway needs no list of foreign origins. For development.
 */
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, request } from 'node:http';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { url } from '../settings.ts';

const port = Number(process.env.PORT ?? 4480);

const pass = (incoming: IncomingMessage) => {
  const { hostname, port: to } = new URL(url);
  // The Host header stays: the gateway compares it with the page's origin.
  const { method, url: path, headers } = incoming;
  return request({ hostname, port: to, method, path, headers });
};

/** @param folder of `index.html` and `main.ts`. Prints where the page is */
export async function servePage(folder: URL): Promise<void> {
  const here = (name: string) => fileURLToPath(new URL(name, folder));
  const page = readFileSync(here('index.html'));
  const { outputFiles } = await build({
    entryPoints: [here('main.ts')],
    bundle: true,
    format: 'esm',
    target: 'es2022',
    conditions: process.execArgv.some((word) => word.includes('conditions=source')) ? ['source'] : [],
    write: false,
  });
  const script = outputFiles[0]?.contents ?? new Uint8Array();

  const server = createServer((incoming, outgoing) => {
    if (incoming.url === '/') return outgoing.setHeader('content-type', 'text/html').end(page);
    if (incoming.url === '/main.js') return outgoing.setHeader('content-type', 'text/javascript').end(script);
    if (!incoming.url?.startsWith('/v1/')) return outgoing.writeHead(404).end();
    const passed = pass(incoming);
    passed.on('response', (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    passed.on('error', () => outgoing.writeHead(502).end());
    return incoming.pipe(passed);
  });
  server.on('upgrade', (incoming, socket) => {
    const passed = pass(incoming);
    passed.on('upgrade', (answer, far, head) => {
      const lines = [`HTTP/1.1 ${answer.statusCode} ${answer.statusMessage}`];
      for (let at = 0; at < answer.rawHeaders.length; at += 2)
        lines.push(`${answer.rawHeaders[at]}: ${answer.rawHeaders[at + 1]}`);
      socket.write(`${lines.join('\r\n')}\r\n\r\n`);
      socket.write(head);
      far.pipe(socket).pipe(far);
      for (const end of [far, socket]) end.on('error', () => [far, socket].map((each) => each.destroy()));
    });
    passed.on('response', () => socket.destroy());
    passed.on('error', () => socket.destroy());
    passed.end();
  });
  server.listen(port, '127.0.0.1', () => {
    const address = server.address();
    console.log(`http://127.0.0.1:${typeof address === 'object' ? address?.port : port}/`);
  });
}
