/** The Socket.IO comparator of `bench/level2.ts`: publications come by HTTP, each is emitted to a room. */
import { createServer } from 'node:http';
import { createRequire } from 'node:module';

const fromGateway = createRequire(
  createRequire(import.meta.url).resolve('@countersign/gateway/package.json'),
);
const { Server } = fromGateway('socket.io') as typeof import('socket.io');

const server = createServer((request, response) => {
  if (request.method !== 'POST') return;
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    for (const publication of JSON.parse(Buffer.concat(chunks).toString()) as object[]) {
      io.to('level2').emit('l2_data', publication);
    }
    response.writeHead(200, { 'content-length': '2' }).end('{}');
  });
});
const io = new Server(server, {
  transports: ['websocket'],
  perMessageDeflate: false,
  serveClient: false,
  // Pings would count as frames.
  pingInterval: 600_000,
});
io.on('connection', (socket) => void socket.join('level2'));
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (address !== null && typeof address === 'object')
    process.stdout.write(`http://127.0.0.1:${address.port}\n`);
});
