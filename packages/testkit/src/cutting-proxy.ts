/** A TCP proxy that treats connections badly on request: late, slow, half closed, cut in the middle of an answer. */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface CuttingProxy {
  readonly port: number;
  /** The target's URL with this proxy's port in it. */
  readonly url: string;
  /** Connections taken since the start. */
  counted(): number;
  /** Milliseconds that every chunk waits in both directions. Default 0. */
  delay: number;
  /** Bytes per second towards the client; null = all at once. */
  throttle: number | null;
  /** While true, connections are cut as soon as they come. */
  down: boolean;
  /**
   * Cuts the client off when the target answers the next request that contains `text`: the request arrives, the answer
   * does not. Resolves when it has happened.
   */
  loseNextAnswerTo(text: string): Promise<void>;
  /** Cuts all open connections at once, with a reset. */
  cut(): void;
  /** Ends the sending half towards all clients (FIN); what they send still arrives. */
  halfClose(): void;
  /** Idempotent. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

interface Loss {
  text: string;
  done: () => void;
}

/** @param target `http://host:port` or `ws://host:port` */
export async function startCuttingProxy(target: string): Promise<CuttingProxy> {
  const { hostname, port: targetPort, protocol } = new URL(target);
  const pairs = new Set<{ client: Socket; upstream: Socket }>();
  const losses: Loss[] = [];
  let connections = 0;
  const settings = { delay: 0, throttle: null as number | null, down: false };

  const server = createServer((client) => {
    connections += 1;
    client.on('error', () => {});
    if (settings.down) return client.resetAndDestroy();
    const upstream = connect(Number(targetPort), hostname);
    upstream.on('error', () => {});
    const pair = { client, upstream };
    pairs.add(pair);
    const end = () => {
      pairs.delete(pair);
      client.destroy();
      upstream.destroy();
    };
    client.on('close', end);
    upstream.on('close', end);
    let losing: Loss | null = null;

    client.on('data', (chunk: Buffer) => {
      const at = losses.findIndex(({ text }) => chunk.includes(text));
      if (at >= 0) losing = losses.splice(at, 1)[0] ?? null;
      later(() => upstream.write(chunk));
    });
    const towardsClient = pace(client, () => settings.throttle);
    upstream.on('data', (chunk: Buffer) => {
      if (losing === null) return later(() => towardsClient(chunk));
      client.resetAndDestroy();
      losing.done();
      losing = null;
    });
  });

  function later(run: () => void): void {
    if (settings.delay === 0) run();
    else setTimeout(run, settings.delay);
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const cut = () => {
    for (const { client, upstream } of pairs) {
      client.resetAndDestroy();
      upstream.destroy();
    }
  };
  let closing: Promise<void> | null = null;
  const close = () => {
    closing ??= new Promise<void>((resolve) => {
      server.close(() => resolve());
      cut();
    });
    return closing;
  };

  return Object.assign(settings, {
    port,
    url: `${protocol}//127.0.0.1:${port}`,
    counted: () => connections,
    loseNextAnswerTo: (text: string) => new Promise<void>((resolve) => losses.push({ text, done: resolve })),
    cut,
    halfClose() {
      for (const { client } of pairs) client.end();
    },
    close,
    [Symbol.asyncDispose]: close,
  });
}

const SLICE_MS = 20;

/** Writes in slices when a rate is set. */
function pace(socket: Socket, rate: () => number | null): (chunk: Buffer) => void {
  let queue: Buffer = Buffer.alloc(0);
  let timer: NodeJS.Timeout | null = null;
  const step = () => {
    timer = null;
    const limit = rate();
    const size = limit === null ? queue.length : Math.max(1, Math.round((limit * SLICE_MS) / 1000));
    if (!socket.destroyed) socket.write(queue.subarray(0, size));
    queue = queue.subarray(size);
    if (queue.length > 0 && !socket.destroyed) timer = setTimeout(step, SLICE_MS);
  };
  return (chunk) => {
    queue = Buffer.concat([queue, chunk]);
    if (timer === null) step();
  };
}
