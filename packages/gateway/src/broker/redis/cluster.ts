/** Commands to a Redis Cluster. */
import { createCluster } from '@redis/client';
import { type Access, type Endpoint, NO_TIMER, within } from './endpoints.ts';
import type { ServerFacts } from './server.ts';

export type Args = (string | Buffer)[];
/** What carries commands: one server, or the masters of a cluster. */
export interface CommandSession {
  send(key: string | undefined, args: Args): Promise<unknown>;
  destroy(): void;
  facts: ServerFacts | null;
  at: Endpoint | null;
}

/** Every master of a cluster; the client finds the one for a key. */
export async function openCluster(
  access: Access,
  patience: number,
  somewhere: <S>(open: (endpoint: Endpoint) => Promise<S>) => Promise<S>,
  connect: (
    endpoint: Endpoint,
    lost: (reason: string) => void,
    mustBeMaster: boolean,
  ) => Promise<{ client: { destroy(): void } }>,
): Promise<CommandSession> {
  return somewhere(async (endpoint) => {
    // Checked over a connection of its own: a cluster's client tells nothing about one node.
    const { client } = await connect(endpoint, () => {}, false);
    client.destroy();
    const { socket, commandOptions: _cluster, ...defaults } = access.options(endpoint);
    const cluster = createCluster({
      commandOptions: NO_TIMER,
      rootNodes: (await access.find()).map(({ host, port }) => ({
        socket: { ...socket, host, port } as never,
      })),
      // Nodes come and go one by one; the client opens each again, and what is asked meanwhile fails.
      defaults: {
        ...defaults,
        socket: { ...socket, host: undefined, port: undefined, reconnectStrategy: 250 } as never,
      },
    });
    cluster.on('error', () => {});
    try {
      await within(patience * 2, () => cluster.connect());
    } catch (error) {
      cluster.destroy();
      throw error;
    }
    let destroyed = false;
    return {
      send: (key, args) => cluster.sendCommand(key, false, args),
      destroy() {
        if (destroyed) return;
        destroyed = true;
        cluster.destroy();
      },
      facts: null,
      at: null,
    };
  });
}
