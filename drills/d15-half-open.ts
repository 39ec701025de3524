/**
 * D15: 500 sockets of 50 users on two gateways vanish without a FIN: the interface behind which their clients are is taken
 * down while trades are published to them. The ping interval is 3 s instead of 15.
 *
 * Must hold (R64): all are closed within two ping intervals (and the second between two looks), none before a ping went
 * unanswered; then no connection, subscription, queued byte or file descriptor of theirs is left, each user may open as
 * many sockets again; who waits for these users by lease is told that each is gone, of nobody else; the others stay.
 *
 * Run: npm run drills -- d15 [--nodes 2]
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type Cluster, createHttpClient, createLoadWallets, logIn } from '@countersign/testkit';
import { WebSocket } from 'ws';
import { openElsewhere } from './lib/elsewhere.ts';
import { type Operator, pause, percentile, startDrillCluster } from './lib/gateway.ts';
import { report, summary } from './lib/report.ts';

const USERS = 50;
/** As many as a user may have at once. */
const EACH = 10;
const INTERVAL = 3;
/** Seconds between two looks for pings that are due. */
const TICK = 1;
const LEASE = 5;
/** Milliseconds that a lease may take besides, on a busy machine: what is asked for is one second. */
const LATE = 4000;
/** New sockets a second: the gateways take 500 from one address. */
const PER_SECOND = 300;
const MESSAGES = ['accountOrderUpdate', 'recentTradeUpdate'].map((channel) =>
  JSON.stringify({ op: 'subscribe', args: [{ channel, marketType: 'inclusionPreconf' }] }),
);

export async function d15({ nodes }: { nodes: number }): Promise<boolean> {
  const elsewhere = openElsewhere();
  report(`clients are in a ${elsewhere.kind}`);
  const gone = new Map<string, number>();
  const receiver = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += String(chunk);
    gone.set(String((JSON.parse(body) as { subject: unknown }).subject), performance.now());
    response.writeHead(204).end();
  }).listen(0, '127.0.0.1');
  await once(receiver, 'listening');
  const limits = { requests: null, connections: EACH, subscriptions: 100 };
  const stage = await startDrillCluster({
    nodes,
    flags: ['--log-level', 'error', '--host', elsewhere.host],
    env: {
      COUNTERSIGN_WEBSOCKET_PING_INTERVAL: String(INTERVAL),
      COUNTERSIGN_LEASES_WEBHOOK: `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/gone`,
      COUNTERSIGN_TIERS: JSON.stringify({ free: limits }),
    },
  });
  const { cluster, operators } = stage;
  const sockets: WebSocket[] = [];
  const urls = cluster.nodes.map(({ process }) => process.ready.websocket);
  const door = createHttpClient(cluster.nodes[0]!.process.ready.rest, 8);
  try {
    const wallets = await createLoadWallets(USERS + 1);
    const users = await Promise.all(
      wallets.map(async (wallet) => {
        const { accessToken: token } = await logIn(door, wallet);
        const claims = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString());
        return { token, subject: String(claims.sub) };
      }),
    );
    const bystander = users.pop()!;
    const reopen = async (token: string, n: number) => {
      const headers = { authorization: `Bearer ${token}` };
      const socket = new WebSocket(urls[n % nodes]!, { headers, perMessageDeflate: false });
      await once(socket, 'open');
      socket.on('error', () => {});
      for (const message of MESSAGES) socket.send(message);
      sockets.push(socket);
    };
    for (let n = 0; n < EACH; n += 1) await reopen(bystander.token, n);
    await pause(300);
    const before = await held(cluster, operators);

    const tokens = users.flatMap(({ token }) => Array.from({ length: EACH }, () => token));
    const child = elsewhere.run(fileURLToPath(new URL('./lib/vanishing-clients.ts', import.meta.url)));
    child.stdin!.end(`${JSON.stringify({ urls, tokens, messages: MESSAGES, perSecond: PER_SECOND })}\n`);
    await once(createInterface({ input: child.stdout! }), 'line');
    await armLeases(cluster, [bystander, ...users]);
    // Somewhere within an interval, as it is in life.
    await pause(INTERVAL * 400);
    const open = await held(cluster, operators);
    report(`${open.connections - before.connections} sockets open`);

    const times: number[] = [];
    const begun = performance.now();
    elsewhere.vanish();
    const patience = (2 * INTERVAL + TICK) * 1000 + 5000;
    let published = 0;
    while (times.length < tokens.length && performance.now() - begun < patience) {
      await operators[0]!.publish([trade(published++)]);
      const { connections } = await held(cluster, operators);
      const at = performance.now() - begun;
      while (times.length < open.connections - connections) times.push(at);
      await pause(50);
    }
    const closed = performance.now();
    const detected = times.length;
    while (gone.size < USERS && performance.now() - closed < LEASE * 1000 + LATE) await pause(50);
    const told = [...gone.values()].map((at) => at - closed);
    await pause(500);
    const after = await held(cluster, operators);
    const lost = sockets.filter(({ readyState }) => readyState !== WebSocket.OPEN).length;

    let refused = 0;
    for (const [n, token] of tokens.entries()) {
      if (n % 50 === 0) await pause(50_000 / PER_SECOND);
      await reopen(token, n).catch(() => {
        refused += 1;
      });
    }
    const intervals = percentile(times, 1) / 1000 / INTERVAL;
    const wrong = [...gone.keys()].filter((subject) => !users.some((user) => user.subject === subject));
    const leaked = {
      connections: after.connections - before.connections,
      subscriptions: after.subscriptions - before.subscriptions,
      queuedBytes: after.queuedBytes,
      descriptors: after.descriptors - before.descriptors,
    };
    const figures = {
      nodes,
      vanishedBy: elsewhere.kind,
      sockets: tokens.length,
      pingIntervalSeconds: INTERVAL,
      detected,
      detectP50Seconds: round(percentile(times, 0.5) / 1000),
      detectP99Seconds: round(percentile(times, 0.99) / 1000),
      detectMaxIntervals: round(intervals),
      closedAtOnce: times.filter((ms) => ms < 500).length,
      heapMb: { before: before.heapMb, open: open.heapMb, after: after.heapMb },
      leaked,
      usersGone: gone.size - wrong.length,
      goneAfterLastCloseMs: Math.round(Math.max(...told)),
      toldOfWhoWasThere: wrong.length,
      bystandersLost: lost,
      refusedWhenBack: refused,
    };
    const held500 =
      detected === tokens.length &&
      times.every((ms) => ms <= (2 * INTERVAL + TICK) * 1000 + 250) &&
      figures.closedAtOnce === 0 &&
      Object.values(leaked).every((count) => count === 0) &&
      figures.usersGone === USERS &&
      wrong.length === 0 &&
      lost === 0 &&
      refused === 0;
    return summary('D15', figures, held500);
  } finally {
    door.close();
    for (const socket of sockets) socket.terminate();
    elsewhere.close();
    await stage.stop();
    receiver.closeAllConnections();
    receiver.close();
  }
}

/** What connections hold, of all nodes together. */
async function held({ nodes }: Cluster, operators: readonly Operator[]) {
  const sum = async (name: string): Promise<number> =>
    (await Promise.all(operators.map((operator) => operator.metric(name)))).reduce((a, b) => a + b, 0);
  return {
    connections: await sum('countersign_connections{'),
    subscriptions: await sum('countersign_subscriptions '),
    queuedBytes: await sum('countersign_outbox_queued_bytes '),
    descriptors: descriptorsOf(nodes.map(({ process }) => Number(new URL(process.ready.rest).port))),
    heapMb: round((await sum('countersign_nodejs_heap_size_used_bytes ')) / 2 ** 20),
  };
}

/** TCP sockets of these local ports that belong to a process: without an inode it is only the kernel that waits. */
function descriptorsOf(ports: readonly number[]): number {
  const [, ...lines] = readFileSync('/proc/net/tcp', 'utf8').trim().split('\n');
  return lines.filter((line) => {
    const [, local = '', , , , , , , , inode] = line.trim().split(/\s+/);
    return ports.includes(Number.parseInt(local.split(':')[1] ?? '', 16)) && inode !== '0';
  }).length;
}

async function armLeases({ nodes, dataDir }: Cluster, users: readonly { subject: string }[]): Promise<void> {
  const http = createHttpClient(nodes[0]!.process.ready.internal, 8);
  const token = readFileSync(join(dataDir, 'backend.token'), 'utf8').trim();
  const headers = `Authorization: Bearer ${token}\r\nContent-Type: application/json\r\n`;
  await Promise.all(
    users.map(async ({ subject }) => {
      const body = JSON.stringify({ user: Number(subject), seconds: LEASE });
      const answer = await http.request('PUT', `/backend/v1/leases/d15-${subject}`, headers, body);
      if (answer.status !== 200) throw new Error(`a lease was answered ${answer.status}: ${answer.body}`);
    }),
  );
  http.close();
}

const trade = (n: number) => ({
  channel: 'recentTradeUpdate',
  key: 'inclusionPreconf',
  item: 'ETH-PC-1234567',
  data: { p: '0.000012345', q: '21000', t: n },
});

const round = (value: number): number => Math.round(value * 10) / 10;
