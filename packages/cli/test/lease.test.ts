/** Leases from a shell, and cancel-on-disconnect in the sandbox, against a real gateway. */
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSandbox, type Sandbox } from '@countersign/sandbox';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { startTestGateway, type TestGateway } from '../../testkit/src/in-process-gateway.ts';
import { EXIT } from '../src/exit-codes.ts';
import { run } from '../src/run.ts';
import { testIo } from './test-io.ts';

let folder: string;
let sandbox: Sandbox;
let open: TestGateway;

async function countersign(...argv: string[]) {
  const io = testIo({
    env: {
      COUNTERSIGN_HOME: join(folder, 'home'),
      COUNTERSIGN_INTERNAL_URL: open.urls.internal,
      COUNTERSIGN_DATA_DIR: open.dataDir,
    },
  });
  const code = await run(argv, io);
  return { code, out: io.outLines, err: io.errLines.join('\n') };
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-lease-'));
  sandbox = await createSandbox({ activity: 0, cancelOnDisconnect: 5 });
  open = await startTestGateway({ venue: { url: sandbox.url }, leases: { webhook: sandbox.webhook } });
  const backendToken = readFileSync(open.gateway.credentials.backend.tokenFile, 'utf8');
  await sandbox.start({ internalUrl: open.urls.internal, backendToken: backendToken.trim() });
});
afterAll(async () => {
  await sandbox.close();
  await open.close();
  rmSync(folder, { recursive: true, force: true });
});

describe('lease', () => {
  test('sets, lists and deletes', async () => {
    const { userId } = await open.logIn(1);
    const set = ['lease', 'set', 'desk', '--user', `${userId}`, '--seconds', '600', '--data', 'x'];
    const [shown] = (await countersign(...set, '--json')).out;
    expect(JSON.parse(shown ?? '')).toMatchObject({
      id: 'desk',
      user: userId,
      seconds: 600,
      data: 'x',
      state: 'armed',
    });
    const { out } = await countersign('lease', 'list', '--user', `${userId}`);
    expect(out).toHaveLength(1);
    expect(out[0]).toMatch(new RegExp(`^desk {2}user ${userId} {2}600 s {2}armed {2}absent since .*, due `));
    expect((await countersign('lease', 'list', '--state', 'failed')).out).toEqual([]);
    expect((await countersign('lease', 'redeliver', 'desk')).code).toBe(EXIT.refused.code);
    expect((await countersign('lease', 'delete', 'desk')).out).toEqual(['deleted desk']);
    expect((await countersign('lease', 'delete', 'desk')).code).toBe(EXIT.refused.code);
  });

  test.each([
    [['set', 'x', '--seconds', '60'], /--user or --session/],
    [['set', 'x', '--seconds', '60', '--user', '1', '--session', 's'], /--user or --session/],
    [['set', 'x', '--seconds', 'soon', '--user', '1'], /--seconds/],
    [['set', 'x', '--seconds', '60', '--user', 'ann'], /--user/],
  ])('refuses %j', async (argv, why) => {
    const { code, err } = await countersign('lease', ...argv);
    expect(code).toBe(EXIT.usage.code);
    expect(err).toMatch(why);
  });
});

test('the sandbox cancels the open orders of a user whose last connection has gone, and of no other', async () => {
  const trader = async (n: number, price: string) => {
    const { accessToken } = await open.logIn(n);
    const authorization = `Bearer ${accessToken}`;
    const socket = new WebSocket(open.urls.websocket, { headers: { authorization } });
    await once(socket, 'open');
    const ask = async (path: string, body?: object) => {
      const answer = await fetch(`${open.urls.rest}/api/v3/brokerage/orders${path}`, {
        method: body === undefined ? 'GET' : 'POST',
        headers: { authorization, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      // biome-ignore lint/suspicious/noExplicitAny: answers are looked into freely
      return (await answer.json()) as any;
    };
    const placed = await ask('', {
      client_order_id: `order-${n}`,
      product_id: 'BTC-USD',
      side: 'BUY',
      order_configuration: { limit_limit_gtc: { base_size: '0.001', limit_price: price, post_only: true } },
    });
    expect(placed).toMatchObject({ success: true });
    const status = async () => (await ask('/historical/batch')).orders[0].status;
    return { socket, status };
  };
  const gone = await trader(2, '1000');
  const stays = await trader(3, '1001');
  const sandboxLeases = async () => (await open.backendFetch('/leases')).body.data.leases.length;
  while ((await sandboxLeases()) < 2) await new Promise((resolve) => setTimeout(resolve, 50));
  gone.socket.terminate();
  const left = performance.now();
  while ((await gone.status()) !== 'CANCELLED') {
    expect(performance.now() - left).toBeLessThan(12_000);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  expect(performance.now() - left).toBeGreaterThan(4_900);
  expect(await stays.status()).toBe('OPEN');
  stays.socket.terminate();
}, 30_000);
