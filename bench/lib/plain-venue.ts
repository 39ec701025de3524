/** The venue of `bench/forward.ts`: answers every request at once with the same small object. */
import { createServer } from 'node:http';

const answer = JSON.stringify({
  success: true,
  result: {
    expectedAmountOut: '123456789',
    priceImpactPct: '0.01',
    route: ['a', 'b'],
    validUntil: 1_767_225_600,
  },
});
const server = createServer((request, response) => {
  request.resume();
  request.on('end', () => {
    response
      .writeHead(200, { 'content-type': 'application/json', 'content-length': String(answer.length) })
      .end(answer);
  });
});
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (address !== null && typeof address === 'object')
    process.stdout.write(`http://127.0.0.1:${address.port}\n`);
});
