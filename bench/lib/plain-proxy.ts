/**
 * What a hop costs before anything is decided about it: the comparators of `bench/forward.ts`. Both read a request
 * whole, ask the venue, and answer with what it said, with no sign-in, no budget and no identity.
 *
 * plain-proxy.ts node http://venue     node:http on both sides
 * plain-proxy.ts undici http://venue   Fastify in front, an undici Pool behind: the parts that the gateway is made of
 */
import { Agent, createServer, request as httpRequest } from 'node:http';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

// The very copies that the gateway uses.
const fromGateway = createRequire(
  createRequire(import.meta.url).resolve('@countersign/gateway/package.json'),
);
const load = (name: string) => import(pathToFileURL(fromGateway.resolve(name)).href);

const [kind = '', venue = ''] = process.argv.slice(2);
const JSON_TYPE = { 'content-type': 'application/json' };

async function withNode(): Promise<string> {
  const agent = new Agent({ keepAlive: true, maxSockets: 64, maxFreeSockets: 64, scheduling: 'lifo' });
  const { hostname: host, port } = new URL(venue);
  const server = createServer((incoming, reply) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const body = Buffer.concat(chunks);
      const headers = { ...JSON_TYPE, 'content-length': body.length };
      httpRequest({ agent, host, port, method: incoming.method!, path: incoming.url!, headers }, (answer) => {
        const parts: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => parts.push(chunk));
        answer.on('end', () => {
          const whole = Buffer.concat(parts);
          reply
            .writeHead(answer.statusCode ?? 502, { ...JSON_TYPE, 'content-length': whole.length })
            .end(whole);
        });
      }).end(body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return `http://127.0.0.1:${address !== null && typeof address === 'object' ? address.port : 0}`;
}

async function withUndici(): Promise<string> {
  const { default: Fastify } = (await load('fastify')) as typeof import('fastify');
  const { Pool } = (await load('undici')) as typeof import('undici');
  const pool = new Pool(venue, { connections: 64, pipelining: 1 });
  const server = Fastify();
  server.post('*', async (request, reply) => {
    const { statusCode, body } = await pool.request({
      method: 'POST',
      path: request.url,
      headers: JSON_TYPE,
      body: JSON.stringify(request.body),
    });
    return reply.code(statusCode).send(await body.json());
  });
  return server.listen({ host: '127.0.0.1', port: 0 });
}

process.stdout.write(`${kind === 'node' ? await withNode() : await withUndici()}\n`);
