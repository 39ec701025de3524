/**
 * Leases over two gateways on one PostgreSQL: 60 users with a lease of 5 s are connected to one of them, which is killed.
 * A third of the users comes back on the other gateway within 2 s, a third never does, and a third was on the other all
 * along. The receiver of the webhook refuses every fifth request.
 *
 * Must hold: everybody who stays away is told of at least once, within 11 s of the kill; nobody else is; every event has
 * one id in all its attempts.
 *
 * Run: npm run drills -- lease
 */
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createHttpClient,
  createLoadWallets,
  findPostgres,
  type GatewayProcess,
  logIn,
  startGatewayProcess,
  startPostgres,
} from '@countersign/testkit';
import { WebSocket } from 'ws';
import { pause, percentile } from './lib/gateway.ts';
import { report, summary } from './lib/report.ts';

const USERS = 60;
const SECONDS = 5;
const BOUND_MS = 11_000;
const WATCHED_MS = 30_000;

interface Attempt {
  at: number;
  id: string;
  subject: string;
  taken: boolean;
}

export async function lease(): Promise<boolean> {
  const bin = findPostgres();
  if (bin === null) {
    report('lease: skipped, it needs postgresql');
    return true;
  }
  const dataDir = mkdtempSync(join(tmpdir(), 'countersign-drill-'));
  const postgres = await startPostgres(bin);
  const attempts: Attempt[] = [];
  const receiver = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += String(chunk);
    const { id, subject } = JSON.parse(body) as { id: string; subject: string };
    const taken = attempts.length % 5 !== 4;
    attempts.push({ at: performance.now(), id, subject, taken });
    response.writeHead(taken ? 204 : 503).end();
  }).listen(0, '127.0.0.1');
  await once(receiver, 'listening');
  const nodes: GatewayProcess[] = [];
  const sockets: WebSocket[] = [];
  try {
    postgres.psql('postgres', 'create database leases');
    const { port } = receiver.address() as AddressInfo;
    for (let n = 0; n < 2; n += 1) {
      nodes.push(
        await startGatewayProcess({
          dataDir,
          flags: ['--no-sandbox', '--log-level', 'error', '--store', postgres.url('leases')],
          env: { COUNTERSIGN_LEASES_WEBHOOK: `http://127.0.0.1:${port}/gone` },
        }),
      );
    }
    const [doomed, other] = nodes as [GatewayProcess, GatewayProcess];
    const http = createHttpClient(other.ready.rest, 8);
    const wallets = await createLoadWallets(USERS);
    const users = await Promise.all(
      wallets.map(async (wallet) => {
        const { accessToken: token } = await logIn(http, wallet);
        const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
        return { token, subject: String(claims.sub) };
      }),
    );
    http.close();
    const connect = async (node: GatewayProcess, token: string) => {
      const socket = new WebSocket(node.ready.websocket, { headers: { authorization: `Bearer ${token}` } });
      socket.on('error', () => {});
      sockets.push(socket);
      await once(socket, 'open');
    };
    await Promise.all(users.map(({ token }, n) => connect(n % 3 === 2 ? other : doomed, token)));
    const authorization = `Bearer ${readFileSync(join(dataDir, 'backend.token'), 'utf8').trim()}`;
    const leases = `${other.ready.internal}/backend/v1/leases`;
    for (const { subject } of users) {
      const answer = await fetch(`${leases}/${subject}`, {
        method: 'PUT',
        headers: { authorization, 'content-type': 'application/json' },
        body: JSON.stringify({ user: Number(subject), seconds: SECONDS }),
      });
      if (!answer.ok) throw new Error(`a lease was refused: ${await answer.text()}`);
    }
    await pause(3_000);

    const killed = performance.now();
    await doomed.stop('SIGKILL');
    const back = users.filter((_, n) => n % 3 === 1);
    await Promise.all(
      back.map(async ({ token }, n) => {
        await pause((n / back.length) * 2000);
        await connect(other, token);
      }),
    );
    await pause(WATCHED_MS);

    const away = new Set(users.filter((_, n) => n % 3 === 0).map(({ subject }) => subject));
    const first = new Map<string, number>();
    for (const { subject, at } of attempts) if (!first.has(subject)) first.set(subject, at - killed);
    const ids = new Map<string, Set<string>>();
    for (const { subject, id } of attempts) ids.set(subject, (ids.get(subject) ?? new Set()).add(id));
    const taken = (subject: string) =>
      attempts.filter((each) => each.subject === subject && each.taken).length;
    const misses = [...away].filter((subject) => taken(subject) === 0).length;
    const duplicates = [...away].filter((subject) => taken(subject) > 1).length;
    const wrong = [...ids.keys()].filter((subject) => !away.has(subject)).length;
    const severalIds = [...ids.values()].filter(({ size }) => size > 1).length;
    const times = [...first.values()];
    const max = Math.max(...times);
    return summary(
      'lease',
      {
        users: USERS,
        away: away.size,
        killToWebhookMs: { p50: Math.round(percentile(times, 0.5)), max: Math.round(max) },
        attempts: attempts.length,
        refused: attempts.filter((each) => !each.taken).length,
        misses,
        duplicates,
        toldOfWhoWasThere: wrong,
        severalIds,
      },
      misses === 0 && wrong === 0 && severalIds === 0 && max <= BOUND_MS,
    );
  } finally {
    for (const socket of sockets) socket.terminate();
    await Promise.all(nodes.map((node) => node.stop('SIGKILL')));
    receiver.closeAllConnections();
    receiver.close();
    await postgres.close();
    rmSync(dataDir, { recursive: true, force: true });
  }
}
