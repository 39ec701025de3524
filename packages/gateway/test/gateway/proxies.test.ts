/**
 * The shipped proxy configurations, with the real programs in front of two gateways. Where a program is not
 * installed its tests are left out; nothing demands them.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, startTestGateway, type TestGateway } from '@countersign/testkit';
import { io as connectSocketIo } from 'socket.io-client';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { closeAll, connectTo, until } from './socket.ts';

const shipped = (name: string) =>
  readFileSync(new URL(`../../../../deploy/proxies/${name}`, import.meta.url), 'utf8');
const portOf = (url: string) => new URL(url).port;

interface Setup {
  folder: string;
  port: number;
  gateways: readonly TestGateway[];
}

interface Proxy {
  name: string;
  program: string;
  config(setup: Setup): string;
  args(file: string, folder: string): string[];
}

/** Addresses, certificate and waits are what a test has to change; each must be there to be changed. */
function changed(text: string, changes: readonly (readonly [string | RegExp, string])[]): string {
  return changes.reduce((whole, [from, to]) => {
    expect(typeof from === 'string' ? whole.includes(from) : from.test(whole), String(from)).toBe(true);
    return whole.replaceAll(from, to);
  }, text);
}

const PROXIES: Proxy[] = [
  {
    name: 'nginx',
    program: '/usr/sbin/nginx',
    config: ({ folder, port, gateways }) =>
      changed(shipped('nginx.conf'), [
        ['10.0.0.11:4400', `127.0.0.1:${portOf(gateways[0]!.urls.rest)}`],
        ['10.0.0.12:4400', `127.0.0.1:${portOf(gateways[1]!.urls.rest)}`],
        ['listen 443 ssl;', `listen 127.0.0.1:${port};`],
        [/ssl_certificate.*;/g, ''],
        ['/var/log/nginx', folder],
        ['75s', '5s'],
        ['worker_rlimit_nofile 200000;', ''],
        ['worker_connections 65536', 'worker_connections 1024'],
      ]),
    args: (file, folder) => [
      '-c',
      file,
      '-p',
      folder,
      '-e',
      'stderr',
      '-g',
      `daemon off; pid ${folder}/pid;`,
    ],
  },
  {
    name: 'HAProxy',
    program: '/usr/sbin/haproxy',
    config: ({ port, gateways }) =>
      changed(shipped('haproxy.cfg'), [
        [
          '10.0.0.11:4400 port 4401',
          `127.0.0.1:${portOf(gateways[0]!.urls.rest)} port ${portOf(gateways[0]!.urls.internal)}`,
        ],
        [
          '10.0.0.12:4400 port 4401',
          `127.0.0.1:${portOf(gateways[1]!.urls.rest)} port ${portOf(gateways[1]!.urls.internal)}`,
        ],
        ['bind :443 ssl crt /etc/ssl/api.example.com.pem alpn http/1.1', `bind 127.0.0.1:${port}`],
        ['maxconn 200000', 'maxconn 200'],
        ['75s', '5s'],
      ]),
    args: (file) => ['-db', '-f', file],
  },
];

async function answering(port: number, child: ChildProcess, said: () => string): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (child.exitCode !== null) throw new Error(`it ended: ${said()}`);
    const up = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => resolve(true)).once('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
    if (up) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`it does not listen: ${said()}`);
}

for (const proxy of PROXIES) {
  describe.skipIf(!existsSync(proxy.program))(`behind ${proxy.name}, where that is installed`, () => {
    let folder: string;
    let gateways: [TestGateway, TestGateway];
    let child: ChildProcess;
    let said = '';
    let port: number;

    const ws = () => `ws://127.0.0.1:${port}/ws`;
    const listed = async (gateway: TestGateway) =>
      (await gateway.adminFetch('/connections')).body.data.connections as { source: string; door: string }[];
    const subscribed = async (headers: Record<string, string> = {}) => {
      const client = await connectTo(ws(), { headers, localAddress: '127.0.0.2' });
      client.send({ op: 'subscribe', args: [{ channel: 'blockBuilderUpdate' }] });
      await client.hear(({ event }) => event === 'subscribe');
      return client;
    };

    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), 'countersign-proxy-'));
      const config = {
        http: { trustedProxies: ['127.0.0.1'] },
        websocket: { pingInterval: 1 },
        drain: { notice: 3, window: 1 },
      };
      gateways = [await startTestGateway(config), await startTestGateway(config)];
      port = await freePort();
      const file = join(folder, 'proxy.conf');
      writeFileSync(file, proxy.config({ folder, port, gateways }));
      child = spawn(proxy.program, proxy.args(file, folder), { stdio: ['ignore', 'pipe', 'pipe'] });
      for (const stream of [child.stdout, child.stderr]) stream?.on('data', (text) => (said += text));
      await answering(port, child, () => said);
    });
    afterEach(closeAll);
    afterAll(async () => {
      if (child?.exitCode === null) {
        child.kill('SIGTERM');
        await once(child, 'exit');
      }
      for (const gateway of gateways ?? []) await gateway.close();
      rmSync(folder, { recursive: true, force: true });
    });

    it('sockets reach both nodes, by the address of their client and not by what it claims', async () => {
      const clients = await Promise.all(
        Array.from({ length: 8 }, () => subscribed({ 'x-forwarded-for': '203.0.113.9' })),
      );
      const lists = await Promise.all(gateways.map(listed));
      expect(lists.map((list) => list.length > 0)).toEqual([true, true]);
      expect(new Set(lists.flat().map(({ source }) => source))).toEqual(new Set(['127.0.0.2']));
      for (const client of clients) client.close();
    });

    it("a socket outlives the proxy's wait for silence, because the gateway pings", async () => {
      const client = await subscribed();
      let pings = 0;
      await new Promise<void>((resolve) =>
        client.socket.on('ping', () => {
          pings += 1;
          if (pings === 4) resolve();
        }),
      );
      expect(client.socket.readyState).toBe(client.socket.OPEN);
    });

    it('a node that drains hands over its sockets, and nobody is refused meanwhile', async () => {
      const clients = await Promise.all(Array.from({ length: 10 }, () => subscribed()));
      const [first, second] = gateways;
      // Those of the test before may still be on their way out.
      const counts = async () => Promise.all(gateways.map(async (node) => (await listed(node)).length));
      let [before = 0, other = 0] = await counts();
      while (before + other !== clients.length) [before = 0, other = 0] = await counts();
      expect(before).toBeGreaterThan(0);
      let done = false;
      const drained = first.gateway.drain().then(() => {
        done = true;
      });
      // The proxy may hand on a close after the node has ended.
      const settled = drained.then(() =>
        until(async () => (await listed(second)).length === clients.length, 'everybody on the other node'),
      );
      const back = clients.map(async (client) => {
        const end = await Promise.race([client.closed, settled]);
        if (end === undefined) return 'stayed';
        expect(end.code).toBe(1012);
        await subscribed();
        return 'moved';
      });
      const statuses = new Set<number>();
      while (!done) {
        const answer = await fetch(`http://127.0.0.1:${port}/`);
        await answer.text();
        statuses.add(answer.status);
      }
      const fates = await Promise.all(back);
      expect(fates.filter((fate) => fate === 'moved')).toHaveLength(before);
      expect(statuses).toEqual(new Set([200]));
    });

    it('on the node that is left: a login, a socket with it, and Socket.IO', async () => {
      const [, node] = gateways;
      const { accessToken } = await node.logIn(0);
      const answer = await fetch(`http://127.0.0.1:${port}/v1/user/info`, {
        headers: { authorization: `Bearer ${accessToken}` },
      });
      expect(answer.status).toBe(200);
      const client = await connectTo(ws());
      client.send({ op: 'login', args: [{ accessToken }] });
      expect(await client.hear(({ event }) => event === 'login')).toMatchObject({ code: 0 });
      const socket = connectSocketIo(`http://127.0.0.1:${port}`, {
        transports: ['websocket'],
        auth: { token: accessToken },
        reconnection: false,
      });
      await new Promise((resolve, reject) =>
        socket.once('connect', () => resolve(null)).once('connect_error', reject),
      );
      expect((await listed(node)).map(({ door }) => door)).toContain('socketio');
      socket.disconnect();
    });
  });
}
