/**
 * A handshake token opens a Socket.IO connection; requests and streams share it.
 *
 *     npx tsx examples/socketio.ts
 */
import { createSocketClient } from '@countersign/client/socketio';
import { count, handshakeToken, stop, url } from './settings.ts';

// A function, not a text: it is asked at every connection, so a token that was rotated is picked up.
const client = createSocketClient({ url, token: handshakeToken, signal: stop.signal });
await client.open();

let shown = 0;
for await (const update of client.subscribe({ channel: 'ticker', product: 'ETH-USD' })) {
  if (update.type === 'resync') console.error(`resync (${update.reason}), recovered: ${update.recovered}`);
  else console.log(JSON.stringify(update.data));
  shown += 1;
  if (shown >= count) break;
}
await client.close();
