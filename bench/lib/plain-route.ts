/** The comparator of `bench/rest.ts`: one Fastify route that answers an object, without any authentication. */
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

// Fastify is the gateway's dependency, not ours: the very same copy is measured.
const fromGateway = createRequire(
  createRequire(import.meta.url).resolve('@countersign/gateway/package.json'),
);
const { default: Fastify } = (await import(
  pathToFileURL(fromGateway.resolve('fastify')).href
)) as typeof import('fastify');

const [path = '/', answer = '{}'] = process.argv.slice(2);
const body = JSON.parse(answer) as object;
const server = Fastify();
server.get(path, (_request, reply) => {
  reply.send(body);
});
process.stdout.write(`${await server.listen({ host: '127.0.0.1', port: 0 })}\n`);
