/**
 * How long one client takes to recover 10,000 publications that it missed: market_trades keeps 1,000 publications
 * of each product, so ten products at the last position before them are asked for in one subscribe. The time runs
 * from sending it to the last frame. The gateway has processor 0 to itself.
 *
 * Run: npm run bench -- recovery [--rounds 5]
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHttpClient, openRawWebSocket, startGatewayProcess } from '@countersign/testkit';
import { measure } from './lib/rounds.ts';

const PRODUCTS = Array.from({ length: 10 }, (_, n) => `P${n}-USD`);
/** The history of a log channel. */
const EACH = 1000;
const BATCH = 500;
const PATIENCE = 20_000;

export async function recovery({ rounds }: { rounds: number }): Promise<void> {
  const dataDir = mkdtempSync(join(tmpdir(), 'countersign-bench-'));
  const gateway = await startGatewayProcess({
    dataDir,
    cpus: '0',
    flags: ['--no-sandbox', '--log-level', 'error'],
  });
  const token = readFileSync(join(dataDir, 'backend.token'), 'utf8').trim();
  const headers = `Authorization: Bearer ${token}\r\nContent-Type: application/json\r\n`;
  const http = createHttpClient(gateway.ready.internal, 1);
  const ask = async (method: string, path: string, body = '') => {
    const answer = await http.request(method, `/backend/v1${path}`, headers, body);
    if (answer.status !== 200) throw new Error(`${path} answered ${answer.status}: ${answer.body}`);
    return JSON.parse(answer.body).data as { position: { epoch: string; sequence: number } };
  };
  const publish = (product: string, first: number, count: number) =>
    ask(
      'POST',
      '/publish',
      JSON.stringify({ publications: Array.from({ length: count }, (_, n) => trade(product, first + n)) }),
    );
  try {
    const recover: Record<string, object> = {};
    for (const product of PRODUCTS) {
      await publish(product, 0, 1);
      recover[product] = (await ask('GET', `/streams/market_trades/${product}/position`)).position;
      for (let done = 0; done < EACH; done += BATCH) await publish(product, 1 + done, BATCH);
    }
    const subscribe = JSON.stringify({
      type: 'subscribe',
      channel: 'market_trades',
      product_ids: PRODUCTS,
      recover,
    });
    await measure(
      'recovery',
      [{ name: '10,000 missed trades', run: () => once(gateway.ready.websocket, subscribe) }],
      rounds,
    );
  } finally {
    http.close();
    await gateway.stop('SIGKILL');
    rmSync(dataDir, { recursive: true, force: true });
  }
}

/** Every missed publication is a frame, and the answer to subscribe is one more. */
async function once(url: string, subscribe: string) {
  const wanted = PRODUCTS.length * EACH + 1;
  const socket = await openRawWebSocket(url);
  const begun = performance.now();
  const done = new Promise<number>((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`${socket.frames} frames instead of ${wanted}`)),
      PATIENCE,
    );
    socket.onFrames = () => {
      if (socket.frames < wanted) return;
      clearTimeout(timer);
      resolve(performance.now() - begun);
    };
  });
  socket.send(subscribe);
  const ms = await done;
  const { frames } = socket;
  socket.close();
  if (frames !== wanted) throw new Error(`${frames} frames instead of ${wanted}`);
  return { ms };
}

const trade = (product: string, n: number) => ({
  channel: 'market_trades',
  key: product,
  data: {
    trades: [
      {
        trade_id: String(n),
        product_id: product,
        price: '3000.25',
        size: '0.5',
        side: n % 2 === 0 ? 'BUY' : 'SELL',
        time: '2026-01-01T00:00:00.000Z',
      },
    ],
  },
});
