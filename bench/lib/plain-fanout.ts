/** The comparator of `bench/fanout.ts`: publications come by HTTP, each is sent to every client with `ws.send`. */
import { createServer } from 'node:http';
import { createRequire } from 'node:module';

const fromGateway = createRequire(
  createRequire(import.meta.url).resolve('@countersign/gateway/package.json'),
);
const { WebSocketServer } = fromGateway('ws') as typeof import('ws');

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    for (const publication of JSON.parse(Buffer.concat(chunks).toString()) as object[]) {
      const text = JSON.stringify(publication);
      for (const client of sockets.clients) client.send(text);
    }
    response.writeHead(200, { 'content-length': '2' }).end('{}');
  });
});
const sockets = new WebSocketServer({ server, perMessageDeflate: false });
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (address !== null && typeof address === 'object')
    process.stdout.write(`http://127.0.0.1:${address.port}\n`);
});
