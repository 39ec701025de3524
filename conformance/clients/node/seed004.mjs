/**
 * The TypeScript of the Socket.IO authentication page, unmodified, with socket.io-client: compiled as its readers
 * would, and given the two settings that it names.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import ts from 'typescript';
import { readSeed } from './seed-program.mjs';
import { env, expect, step, until } from './steps.mjs';

const require = createRequire(import.meta.url);
const [connecting, environment, events, reconnecting] = [
  ...readSeed('004').matchAll(/```typescript\n([\s\S]*?)```/g),
].map(([, block]) => block);
const IMPORT = 'import { io } from "socket.io-client";\n';

/** Runs blocks of the page as one program. @returns its socket, and what it printed */
function run(token, ...blocks) {
  const printed = [];
  const print = (...words) => printed.push(words.join(' '));
  const settings = { CHAINWORKS_API_URL: env.socketio, CHAINWORKS_API_AUTH_TOKEN: token };
  const { outputText } = ts.transpileModule(`${blocks.join('\n')}\nexport { socket };`, {
    compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022 },
  });
  const names = {
    exports: {},
    require,
    console: { log: print, error: print },
    process: { env: settings },
    ...settings,
  };
  new Function(...Object.keys(names), outputText)(...Object.values(names));
  return { socket: names.exports.socket, printed };
}

async function admin(method, path, body) {
  const answer = await fetch(`${env.internal}/admin/v1/handshake-tokens${path}`, {
    method,
    headers: {
      authorization: `Bearer ${readFileSync(env.adminTokenFile, 'utf8').trim()}`,
      ...(body ? { 'content-type': 'application/json' } : {}),
    },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
  expect(answer.ok, `the admin API answered ${answer.status}`);
  return (await answer.json()).data;
}
const provision = () =>
  admin('POST', '', {
    user: { displayName: 'seed 004' },
    name: 'seed 004',
    permissions: ['market_data', 'trading'],
  });

const QUOTE = {
  chain: 'eth',
  token: `0x${'ab'.repeat(20)}`,
  swapMode: 'ExactIn',
  amountIn: '1000000000000000000',
  wallet: `0x${'cd'.repeat(20)}`,
};
const { secret: token } = await provision();
let page;

await step('connect', async () => {
  page = run(token, connecting, events);
  await until('connection', 5000, () => page.printed.includes('Connected successfully'));
});
await step('connect_from_environment', async () => {
  // The token that the gateway made at its first start.
  const ready = readFileSync(process.env.HANDSHAKE_TOKEN_FILE, 'utf8').trim();
  const other = run(ready, IMPORT, environment, events);
  await until('connection', 5000, () => other.printed.includes('Connected successfully'));
  other.socket.disconnect();
});
await step('request_event', async () => {
  let reply = null;
  page.socket.once('/evm/buy/quote', (data) => {
    reply = data;
  });
  page.socket.emit('/evm/buy/quote', QUOTE);
  await until('reply', 5000, () => reply);
  expect(reply.success && reply.result.expectedAmountOut, JSON.stringify(reply));
});
await step('request_ack', async () => {
  const reply = await page.socket.timeout(5000).emitWithAck('/evm/buy/quote', { ...QUOTE, chain: 'moon' });
  expect(!reply.success && reply.error.code === 'INVALID_CHAIN', JSON.stringify(reply));
  page.socket.disconnect();
});
await step('wrong_token', async () => {
  const { socket, printed } = run('your-secret-token', IMPORT, reconnecting, events);
  await until('refusal', 5000, () => printed.includes('Invalid API token'));
  expect(!socket.active, 'it goes on trying');
  return printed[0];
});
await step('rotate', async () => {
  const { handshakeToken, secret } = await provision();
  const old = run(secret, IMPORT, reconnecting, events);
  await until('connection', 5000, () => old.socket.connected);
  const next = await admin('POST', `/${handshakeToken.tokenId}/rotate`, { overlapSeconds: 1 });
  const successor = run(next.secret, IMPORT, reconnecting, events);
  await until('connection of the successor', 5000, () => successor.socket.connected);
  expect(old.socket.connected, 'the old token had no overlap');
  await until('end of the overlap', 5000, () => old.printed.includes('Disconnected: io server disconnect'));
  expect(successor.socket.connected, 'the successor ended with it');
  successor.socket.disconnect();
});
await step('revoke', async () => {
  const { handshakeToken, secret } = await provision();
  const { socket, printed } = run(secret, IMPORT, reconnecting, events);
  let notice = null;
  socket.once('unauthorized', (data) => {
    notice = data;
  });
  await until('connection', 5000, () => socket.connected);
  await admin('DELETE', `/${handshakeToken.tokenId}`);
  await until('end', 5000, () => printed.includes('Disconnected: io server disconnect'));
  expect(notice?.code === 'UNAUTHORIZED' && !socket.active, 'no word before the end, or it goes on trying');
});
await step('restart', async () => {
  const { secret } = await provision();
  const { socket, printed } = run(secret, IMPORT, reconnecting, events);
  await until('connection', 5000, () => socket.connected);
  const answer = await fetch(process.env.RESTART_URL, { method: 'POST' });
  expect(answer.ok, await answer.text());
  const count = (line) => printed.filter((one) => one === line).length;
  // The page's options: five attempts, one to five seconds apart.
  await until('reconnection', 25_000, () => count('Connected successfully') === 2);
  const reply = await socket.timeout(5000).emitWithAck('/evm/buy/quote', QUOTE);
  expect(reply.success, JSON.stringify(reply));
  socket.disconnect();
  return printed.filter((line) => !line.startsWith('Connected')).join('; ');
});
