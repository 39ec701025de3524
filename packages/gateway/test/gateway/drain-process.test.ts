/** What a drain promises, by the program in a process of its own. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type GatewayProcess, startGatewayProcess } from '@countersign/testkit';
import { io as connectSocketIo } from 'socket.io-client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { closeAll, connectTo } from './socket.ts';

let folder: string;
let venue: Server;
/** Requests that the venue has not answered yet. */
let held: ServerResponse[];
let gateway: GatewayProcess;

const start = async (env: Record<string, string> = {}) => {
  const { port } = venue.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  gateway = await startGatewayProcess({ dataDir: folder, env: { COUNTERSIGN_VENUE_URL: url, ...env } });
};
const readyz = () => fetch(`${gateway.ready.internal}/readyz`).then(async (a) => [a.status, await a.json()]);
const events = () =>
  gateway.log.flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as { event: string }] : []));
const heldRequest = async () => {
  const answer = fetch(`${gateway.ready.rest}/v1/p/builders`);
  while (held.length === 0) await new Promise((resolve) => setImmediate(resolve));
  return answer;
};

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-drain-'));
  held = [];
  venue = createServer((request, response) => {
    request.resume();
    held.push(response.setHeader('content-type', 'application/json'));
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => venue.once('listening', resolve));
});
afterEach(async () => {
  closeAll();
  await gateway.stop('SIGKILL');
  venue.closeAllConnections();
  venue.close();
  rmSync(folder, { recursive: true, force: true });
});

describe('SIGTERM', () => {
  it('finishes requests under way, tells every dialect, closes over the window, and ends with 0', async () => {
    await start({ COUNTERSIGN_DRAIN_WINDOW: '1' });
    const { websocket, rest, credentials, internal } = gateway.ready;
    const ethgas = await connectTo(websocket);
    ethgas.send({ op: 'subscribe', args: [{ channel: 'blockBuilderUpdate' }] });
    await ethgas.hear(() => true);
    const coinbase = await connectTo(websocket);
    coinbase.send({ type: 'subscribe', channel: 'heartbeats' });
    await coinbase.hear(() => true);
    const { tokenFile } = (credentials as { admin: { tokenFile: string } }).admin;
    const made = await fetch(`${internal}/admin/v1/handshake-tokens`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${readFileSync(tokenFile, 'utf8').trim()}`,
        'content-type': 'application/json',
      },
      body: JSON.stringify({ name: 'drain', permissions: ['market_data'], user: {} }),
    });
    const { secret } = ((await made.json()) as { data: { secret: string } }).data;
    const socket = connectSocketIo(rest, {
      transports: ['websocket'],
      auth: { token: secret },
      reconnection: false,
    });
    await new Promise((resolve, reject) =>
      socket.once('connect', () => resolve(null)).once('connect_error', reject),
    );
    const gone = new Promise<string>((resolve) => socket.once('disconnect', resolve));

    // Promised to somebody: it has to be kept.
    const answer = fetch(`${rest}/v1/p/builders`);
    while (held.length === 0) await new Promise((resolve) => setImmediate(resolve));
    const exit = gateway.stop('SIGTERM');
    const ends = await Promise.all([ethgas.closed, coinbase.closed]);
    expect(ends.map(({ code }) => code)).toEqual([1012, 1012]);
    // A lost transport makes clients of Socket.IO come back by themselves; a server disconnect would not.
    expect(await gone).toMatch(/^transport/);
    held[0]?.end('{"data":[]}');
    expect((await answer).status).toBe(200);
    expect(await exit).toBe(0);
    expect(events().map(({ event }) => event)).toEqual(
      expect.arrayContaining(['drain.begin', 'drain.end', 'closed']),
    );
  });

  it('is not ready first, and still serves while balancers notice', async () => {
    await start({ COUNTERSIGN_DRAIN_NOTICE: '1', COUNTERSIGN_DRAIN_WINDOW: '0' });
    expect(await readyz()).toEqual([200, { status: 'ready' }]);
    const exit = gateway.stop('SIGTERM');
    while (!events().some(({ event }) => event === 'drain.begin'))
      await new Promise((resolve) => setImmediate(resolve));
    expect(await readyz()).toEqual([503, { status: 'draining' }]);
    const late = await connectTo(gateway.ready.websocket);
    const asked = await fetch(`${gateway.ready.rest}/`);
    expect(asked.headers.get('connection')).toBe('close');
    expect((await late.closed).code).toBe(1012);
    expect(await exit).toBe(0);
  });

  it('cuts at its limit what does not end', async () => {
    await start({
      COUNTERSIGN_DRAIN_WINDOW: '0',
      COUNTERSIGN_DRAIN_LIMIT: '1',
      COUNTERSIGN_VENUE_TIMEOUT_MS: '30000',
    });
    const answer = heldRequest().then(
      () => 'answered',
      () => 'cut',
    );
    while (held.length === 0) await new Promise((resolve) => setImmediate(resolve));
    const began = performance.now();
    expect(await gateway.stop('SIGTERM')).toBe(0);
    expect(performance.now() - began).toBeLessThan(4000);
    expect(await answer).not.toBe('answered');
  });

  it('a second time ends the process at once', async () => {
    await start({ COUNTERSIGN_DRAIN_WINDOW: '60', COUNTERSIGN_DRAIN_LIMIT: '90' });
    const socket = await connectTo(gateway.ready.websocket);
    const other = await connectTo(gateway.ready.websocket);
    const exit = gateway.stop('SIGTERM');
    await Promise.race([socket.closed, other.closed]);
    // A second signal within half a second counts as the same press of a key.
    const again = setInterval(() => process.kill(gateway.pid, 'SIGTERM'), 100);
    const code = await exit;
    clearInterval(again);
    expect(code).toBe(143);
  });
});

it("an operator's command drains and ends the process with 0 as well", async () => {
  await start({ COUNTERSIGN_DRAIN_WINDOW: '0' });
  const { internal, credentials } = gateway.ready;
  const { tokenFile } = (credentials as { admin: { tokenFile: string } }).admin;
  const authorization = `Bearer ${readFileSync(tokenFile, 'utf8').trim()}`;
  const ended = gateway.ended;
  const answer = await fetch(`${internal}/admin/v1/drain`, { method: 'POST', headers: { authorization } });
  expect(answer.status).toBe(202);
  expect(await ended).toBe(0);
});
