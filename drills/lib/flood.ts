/**
 * A process that floods: sockets that each send a given number of messages a second, in turn cheap ones, logins with a
 * bad token, and subscribes. A socket that is closed is opened again a quarter of a second later. At the end it
 * prints what came back as one JSON line.
 *
 * Arguments: URL, sockets, messages per second and socket, seconds.
 */
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { textFrame } from '@countersign/testkit';

const [url = '', sockets = '20', rate = '5000', seconds = '10'] = process.argv.slice(2);
const { hostname, port, host, pathname } = new URL(url);
const TICK = 10;
const perTick = Math.ceil((Number(rate) * TICK) / 1000);
const until = performance.now() + Number(seconds) * 1000;
const tally = { sent: 0, opened: 0, refused: 0, closed: 0, bytesBack: 0 };

const messages = [
  'ping',
  JSON.stringify({
    op: 'login',
    args: [{ accessToken: `${'a'.repeat(40)}.${'b'.repeat(80)}.${'c'.repeat(86)}` }],
  }),
  JSON.stringify({ op: 'subscribe', args: [{ channel: 'tickerUpdate', marketType: 'inclusionPreconf' }] }),
];

const batch = Buffer.concat(
  Array.from({ length: perTick }, (_, n) => textFrame(messages[n % messages.length]!)),
);

function flood(): void {
  const socket = connect(Number(port), hostname);
  let upgraded = false;
  let timer: NodeJS.Timeout | undefined;
  socket.on('error', () => {});
  socket.on('data', (chunk) => {
    tally.bytesBack += chunk.length;
    if (upgraded) return;
    upgraded = true;
    if (!chunk.subarray(0, 16).includes(' 101 ')) {
      tally.refused += 1;
      socket.destroy();
      return;
    }
    tally.opened += 1;
    timer = setInterval(() => {
      // Like any peer, it cannot send what the kernel does not take.
      if (socket.writableLength > 4 * batch.length) return;
      socket.write(batch);
      tally.sent += perTick;
    }, TICK);
  });
  socket.on('close', () => {
    clearInterval(timer);
    if (upgraded) tally.closed += 1;
    if (performance.now() < until) setTimeout(flood, 250);
  });
  socket.write(
    `GET ${pathname} HTTP/1.1\r\nHost: ${host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\nSec-WebSocket-Version: 13\r\n\r\n`,
  );
}

for (let n = 0; n < Number(sockets); n += 1) flood();
setTimeout(() => {
  process.stdout.write(`${JSON.stringify(tally)}\n`, () => process.exit(0));
}, Number(seconds) * 1000);
