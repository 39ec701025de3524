/**
 * A wallet signs in once; REST calls and a stream of the account's own orders use the session from then on.
 *
 *     npx tsx examples/wallet-session.ts
 */
import { join } from 'node:path';
import { createFeed, createWalletSession, ethgasDialect } from '@countersign/client';
import { fileStore, NodeWebSocket } from '@countersign/client/node';
import { count, dataDir, stop, url, walletKey, webSocketUrl } from './settings.ts';

const session = createWalletSession({
  baseUrl: url,
  signer: walletKey,
  // The next run goes on with the same session: no second login, and nothing to sign.
  store: fileStore(join(dataDir, 'example-session.json')),
});
session.on('attempt', ({ kind }) => console.error(`${kind}...`));

const answer = await session.fetch('/v1/user/info');
console.log(await answer.text());

const feed = createFeed({
  url: webSocketUrl,
  dialect: ethgasDialect(),
  credential: session,
  WebSocket: NodeWebSocket,
  signal: stop.signal,
});
let shown = 0;
for await (const update of feed.subscribe({ channel: 'accountOrderUpdate', market: 'inclusionPreconf' })) {
  // Where something could not be recovered, it says so: read your orders anew over REST then.
  if (update.type === 'resync') console.error(`resync (${update.reason}), recovered: ${update.recovered}`);
  else console.log(JSON.stringify(update.data));
  shown += 1;
  if (shown >= count) break;
}
await feed.close();
// Not logout(): the session is kept for the next run.
await session.close();
