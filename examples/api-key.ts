/**
 * An API key signs every message and every request anew: a REST call, a live order book, the user's own channel.
 *
 *     npx tsx examples/api-key.ts
 */
import { coinbaseDialect, createFeed } from '@countersign/client';
import { apiKeyFromFile, NodeWebSocket } from '@countersign/client/node';
import { apiKeyFile, count, stop, url, webSocketUrl } from './settings.ts';

const key = await apiKeyFromFile(apiKeyFile);
const answer = await key.fetch(`${url}/api/v3/brokerage/key_permissions`);
console.log(await answer.text());

const feed = createFeed({
  url: webSocketUrl,
  dialect: coinbaseDialect(),
  credential: key,
  WebSocket: NodeWebSocket,
  signal: stop.signal,
});
const book = feed.orderBook('ETH-USD');
// A private channel on the same connection; the key signs its subscription, also after every reconnect.
feed.subscribe({ channel: 'user', product: 'ETH-USD' }, (update) => {
  if (update.type !== 'resync') console.log(JSON.stringify(update.data).slice(0, 200));
});

let shown = 0;
await book.ready;
await new Promise<void>((resolve) => {
  stop.signal.addEventListener('abort', () => resolve());
  book.on('change', () => {
    // Prices are texts, as the venue wrote them: no rounding on the way.
    if (!book.stale) console.log(`${book.bestBid?.price} / ${book.bestAsk?.price}`);
    shown += 1;
    if (shown >= count) resolve();
  });
});
await feed.close();
