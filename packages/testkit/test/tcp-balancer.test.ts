import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startTcpBalancer, type TcpBalancer } from '../src/tcp-balancer.ts';

describe('a TCP balancer', () => {
  let nodes: { server: Server; port: number; ready: boolean }[];
  let balancer: TcpBalancer;
  const clients: Socket[] = [];

  beforeEach(async () => {
    nodes = [];
    for (let i = 0; i < 2; i++) {
      const node = { port: 0, ready: true, server: null as unknown as Server };
      node.server = createServer((request, response) => {
        response.statusCode = request.url !== '/readyz' || node.ready ? 200 : 503;
        response.end(`node ${i}`);
      });
      node.server.listen(0, '127.0.0.1');
      await once(node.server, 'listening');
      node.port = (node.server.address() as AddressInfo).port;
      nodes.push(node);
    }
    balancer = await startTcpBalancer(
      nodes.map(({ port }) => ({ port, ready: `http://127.0.0.1:${port}/readyz` })),
      { checkMs: 10 },
    );
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.destroy();
    await balancer.close();
    for (const { server } of nodes) server.close();
  });

  /** Opens a connection and says which node answers on it. */
  async function ask(): Promise<string> {
    const client = connect(balancer.port, '127.0.0.1');
    clients.push(client);
    client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    let text = '';
    while (!text.includes('node ')) text += String((await once(client, 'data'))[0]);
    return text.slice(text.indexOf('node '));
  }

  it('gives each connection to the node that has the fewest', async () => {
    const answers = [];
    for (let i = 0; i < 4; i++) answers.push(await ask());
    expect(answers.sort()).toEqual(['node 0', 'node 0', 'node 1', 'node 1']);
    expect([...balancer.open().values()]).toEqual([2, 2]);
  });

  it('gives a node that is not ready no new connections, and leaves the open ones', async () => {
    const [first, second] = [await ask(), await ask()];
    expect(first).not.toBe(second);
    nodes[0]!.ready = false;
    await expect.poll(() => balancer.ready(), { interval: 5 }).toEqual([nodes[1]!.port]);
    expect([await ask(), await ask()]).toEqual(['node 1', 'node 1']);
    expect(clients.every(({ destroyed }) => !destroyed)).toBe(true);
  });

  it('tries the next node when one has just gone', async () => {
    nodes[0]!.server.close();
    nodes[0]!.server.closeAllConnections();
    expect([await ask(), await ask(), await ask()]).toEqual(['node 1', 'node 1', 'node 1']);
  });

  it('cuts a client off when no node is left', async () => {
    await balancer.replace([]);
    const client = connect(balancer.port, '127.0.0.1');
    client.on('error', () => {});
    await new Promise((closed) => client.once('close', closed));
  });
});
