/** One of several processes that share a session file: calls the API for a while and reports what that took. */
import { createWalletSession } from '../../src/index.ts';
import { fileStore } from '../../src/node.ts';

const [baseUrl = '', file = '', signer = ''] = process.argv.slice(2);
let unhandled = 0;
process.on('unhandledRejection', () => {
  unhandled += 1;
});

const session = createWalletSession({ baseUrl, signer, store: fileStore(file) });
let refused = 0;
const end = performance.now() + 7000;
while (performance.now() < end) {
  const answer = await session.fetch('/v1/user/info');
  if (answer.status !== 200) refused += 1;
  await answer.body?.cancel();
  await new Promise((resolve) => setTimeout(resolve, 50));
}
process.send?.({ ...session.stats(), refused, unhandled });
process.once('message', async () => {
  await session.close();
  process.disconnect();
});
