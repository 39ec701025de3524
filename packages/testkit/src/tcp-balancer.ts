/**
 * A TCP balancer such as stands before several gateways: takes no part in what is said, gives each connection to
 * the ready node that has the fewest, and leaves open connections where they are.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface BalancedNode {
  port: number;
  /**
   * Asked every `checkMs`: any answer but 200 takes the node out for new connections, and so do two silences in a
   * row. Absent = always in.
   */
  ready?: string;
}

export interface TcpBalancer {
  readonly port: number;
  /** Connections open now, by port of the node. */
  open(): ReadonlyMap<number, number>;
  /** Nodes that get new connections now. */
  ready(): readonly number[];
  /** Puts nodes in the place of those before; connections to nodes that are gone stay until they end. */
  replace(nodes: readonly BalancedNode[]): Promise<void>;
  /** Cuts all open connections at once, with a reset towards the clients. */
  cut(): void;
  /** Idempotent. Cuts all connections. */
  close(): Promise<void>;
}

interface Node extends BalancedNode {
  up: boolean;
  open: number;
  silent: number;
}

/** @param options.port where it listens; default any free port */
export async function startTcpBalancer(
  nodes: readonly BalancedNode[],
  { port = 0, host = '127.0.0.1', checkMs = 250 }: { port?: number; host?: string; checkMs?: number } = {},
): Promise<TcpBalancer> {
  let all: Node[] = [];
  const sockets = new Set<Socket>();

  async function check(node: Node): Promise<void> {
    if (node.ready === undefined) {
      node.up = true;
      return;
    }
    try {
      const answer = await fetch(node.ready, { signal: AbortSignal.timeout(2000) });
      await answer.arrayBuffer();
      node.up = answer.status === 200;
      node.silent = 0;
    } catch {
      node.silent += 1;
      if (node.silent > 1) node.up = false;
    }
  }

  /** Tries one node after another: a node that has just gone must not cost anybody a connection. */
  function give(client: Socket, tried: ReadonlySet<Node>): void {
    const [node] = all
      .filter((each) => each.up && !tried.has(each))
      .sort((one, other) => one.open - other.open);
    if (node === undefined || client.destroyed) {
      client.resetAndDestroy();
      return;
    }
    const upstream = connect({ port: node.port, host: '127.0.0.1', noDelay: true });
    let connected = false;
    node.open += 1;
    sockets.add(upstream);
    upstream.once('connect', () => {
      connected = true;
      client.pipe(upstream).pipe(client);
    });
    upstream.on('error', () => {});
    upstream.once('close', () => {
      node.open -= 1;
      sockets.delete(upstream);
      if (connected) return void client.destroy();
      node.up = false;
      give(client, new Set([...tried, node]));
    });
    client.once('close', () => upstream.destroy());
  }

  const server = createServer({ noDelay: true, pauseOnConnect: true }, (client) => {
    sockets.add(client);
    client.on('error', () => {});
    client.once('close', () => sockets.delete(client));
    give(client, new Set());
  });

  async function replace(next: readonly BalancedNode[]): Promise<void> {
    const before = all;
    all = next.map(
      (node) =>
        before.find(({ port: known }) => known === node.port) ?? { ...node, up: false, open: 0, silent: 0 },
    );
    await Promise.all(all.map(check));
  }

  await replace(nodes);
  server.listen(port, host);
  await once(server, 'listening');
  const timer = setInterval(() => void Promise.all(all.map(check)), checkMs);
  let closing: Promise<void> | null = null;

  return {
    port: (server.address() as AddressInfo).port,
    open: () => new Map(all.map((node) => [node.port, node.open])),
    ready: () => all.filter(({ up }) => up).map((node) => node.port),
    replace,
    cut() {
      for (const socket of sockets) socket.resetAndDestroy();
    },
    close() {
      closing ??= new Promise((resolve) => {
        clearInterval(timer);
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      });
      return closing;
    },
  };
}
