/** Leases over two gateways, each a process, on one PostgreSQL: one is killed while it holds the sockets. */
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createHttpClient,
  createLoadWallets,
  findPostgres,
  type GatewayProcess,
  logIn,
  type PostgresServer,
  startGatewayProcess,
  startPostgres,
} from '@countersign/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';

const SECONDS = 5;
/** A node that died is known to be dead by then, and the event is on its way. */
const BOUND_MS = 8_000 + 2_500;

interface Received {
  at: number;
  status: number;
  event: { id: string; subject: string; type: string };
}

const bin = findPostgres();

describe.skipIf(bin === null)('leases over two processes [needs postgresql]', () => {
  let folder: string;
  let postgres: PostgresServer;
  let nodes: [GatewayProcess, GatewayProcess];
  let receiver: Server;
  let status = 204;
  const received: Received[] = [];
  const sockets: WebSocket[] = [];

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'countersign-leases-'));
    postgres = await startPostgres(bin as string);
    postgres.psql('postgres', 'create database leases');
    receiver = createServer(async (request, response) => {
      let body = '';
      for await (const chunk of request) body += String(chunk);
      received.push({ at: performance.now(), status, event: JSON.parse(body) });
      response.writeHead(status).end();
    }).listen(0, '127.0.0.1');
    await once(receiver, 'listening');
    const { port } = receiver.address() as AddressInfo;
    const start = () =>
      startGatewayProcess({
        dataDir: folder,
        flags: ['--no-sandbox', '--store', postgres.url('leases')],
        env: { COUNTERSIGN_LEASES_WEBHOOK: `http://127.0.0.1:${port}/gone` },
      });
    // The first makes the schema and the keys that both have.
    const first = await start();
    nodes = [first, await start()];
  }, 90_000);
  afterAll(async () => {
    for (const socket of sockets) socket.terminate();
    await Promise.all(nodes?.map((node) => node.stop('SIGKILL')) ?? []);
    receiver?.closeAllConnections();
    receiver?.close();
    await postgres?.close();
    rmSync(folder, { recursive: true, force: true });
  }, 60_000);

  async function ask(
    node: GatewayProcess,
    area: 'admin' | 'backend',
    path: string,
    method = 'GET',
    body?: object,
  ) {
    const token = readFileSync(join(folder, `${area}.token`), 'utf8').trim();
    const answer = await fetch(`${node.ready.internal}/${area}/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    // biome-ignore lint/suspicious/noExplicitAny: answers are looked into freely
    return ((await answer.json()) as any).data;
  }

  async function connect(node: GatewayProcess, token: string): Promise<WebSocket> {
    const socket = new WebSocket(node.ready.websocket, { headers: { authorization: `Bearer ${token}` } });
    socket.on('error', () => {});
    sockets.push(socket);
    await once(socket, 'open');
    return socket;
  }

  async function until(what: () => boolean | Promise<boolean>, most: number): Promise<void> {
    const end = performance.now() + most;
    while (!(await what())) {
      if (performance.now() > end) throw new Error(`it did not happen within ${most} ms`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  it('tell of who was on a node that was killed, at least once; not of who came back on the other', async () => {
    const [a, b] = nodes;
    const http = createHttpClient(b.ready.rest, 4);
    const wallets = await createLoadWallets(3);
    const users = await Promise.all(
      wallets.map(async (wallet) => {
        const { accessToken: token } = await logIn(http, wallet);
        const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
        return { token, id: Number(claims.sub) };
      }),
    );
    http.close();
    const [gone, back, elsewhere] = users as [(typeof users)[0], (typeof users)[0], (typeof users)[0]];
    await connect(a, gone.token);
    await connect(a, back.token);
    await connect(b, elsewhere.token);
    for (const { id } of users)
      await ask(b, 'backend', `/leases/user-${id}`, 'PUT', { user: id, seconds: SECONDS });
    const absent = async (id: number) =>
      (await ask(b, 'backend', `/leases/user-${id}`)).lease.absentSince !== null;
    await until(async () => !(await Promise.all(users.map(({ id }) => absent(id)))).includes(true), 5_000);

    status = 503;
    const killed = performance.now();
    await a.stop('SIGKILL');
    await connect(b, back.token);
    await until(() => received.length > 0, BOUND_MS + 5_000);
    const [first] = received as [Received];
    expect(first.at - killed).toBeLessThanOrEqual(Math.max(8_000, SECONDS * 1000) + 2_500);
    await until(() => received.length > 1, 10_000);
    status = 204;
    await until(() => received.some((each) => each.status === 204), 30_000);
    await until(
      async () => (await ask(b, 'backend', `/leases/user-${gone.id}`)).lease.state === 'delivered',
      5_000,
    );
    expect(new Set(received.map(({ event }) => event.id)).size).toBe(1);
    for (const { event } of received)
      expect(event).toMatchObject({ type: 'user.gone', subject: String(gone.id) });
    for (const { id } of [back, elsewhere])
      expect((await ask(b, 'backend', `/leases/user-${id}`)).lease).toMatchObject({
        state: 'armed',
        absentSince: null,
      });
  }, 90_000);

  it('name the nodes there are, and confirm a revocation by each of them', async () => {
    const [, b] = nodes;
    const { port } = receiver.address() as AddressInfo;
    nodes[0] = await startGatewayProcess({
      dataDir: folder,
      flags: ['--no-sandbox', '--store', postgres.url('leases')],
      env: { COUNTERSIGN_LEASES_WEBHOOK: `http://127.0.0.1:${port}/gone` },
    });
    const listed = await ask(b, 'admin', '/nodes');
    const alive = listed.nodes.filter((node: { alive: boolean }) => node.alive);
    expect(alive).toHaveLength(2);
    const { users } = await ask(b, 'admin', '/users');
    const { confirmation } = await ask(b, 'admin', `/users/${users[0].userId}/logout?wait=5000`, 'POST', {});
    expect(confirmation).toMatchObject({ nodes: 2, confirmed: 2, missing: [] });
    await nodes[0].stop('SIGTERM');
    const after = (await ask(b, 'admin', '/nodes')).nodes;
    expect(after.filter((node: { alive: boolean }) => node.alive)).toMatchObject([{ self: true }]);
  }, 60_000);
});
