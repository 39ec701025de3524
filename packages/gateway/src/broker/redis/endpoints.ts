/** Where Redis is: from the settings, and with Sentinel by asking. */
import { readFileSync } from 'node:fs';
import { createClient, type RedisClientOptions } from '@redis/client';
import type { RedisSettings } from './settings.ts';

export interface Endpoint {
  host: string;
  port: number;
}

export type ClientOptions = RedisClientOptions;

/** The client would make an abort signal for each command; `connection.ts` has one timer instead. */
export const NO_TIMER = { timeout: 0 };

export interface Access {
  /** Where to look now, best first. Asks the Sentinels if there are any. @throws Error if none of them answers */
  find(): Promise<readonly Endpoint[]>;
  /** Options of a connection to an endpoint; nothing is retried and nothing waits inside it. */
  options(endpoint: Endpoint): ClientOptions;
  /** What several clients must agree on to share anything, for channel names, which know no databases. */
  readonly database: number;
  readonly kind: 'standalone' | 'sentinel' | 'cluster';
  /** To show: without user and password. */
  readonly where: string;
}

/**
 * @throws Error in one line about a setting or a file that cannot be used
 */
export function accessFrom(config: RedisSettings, connectTimeoutMs: number): Access {
  const { sentinel, cluster } = config;
  const url = new URL(config.url ?? 'redis://localhost');
  const kind = sentinel.name !== null ? 'sentinel' : cluster.nodes.length > 0 ? 'cluster' : 'standalone';
  const database = Number(url.pathname.slice(1) || 0);
  if (!Number.isInteger(database)) throw new Error('broker.url: the database must be a number');
  if (kind === 'sentinel' && sentinel.nodes.length === 0) {
    throw new Error('broker.sentinel.nodes: name at least one');
  }
  if (kind === 'cluster' && database !== 0) throw new Error('broker.url: a cluster has no databases');
  const username = decodeURIComponent(url.username);
  const password = decodeURIComponent(url.password);
  const tls = url.protocol === 'rediss:' ? { tls: true as const, ...tlsFiles(config.tls) } : {};
  const home = { host: url.hostname.replace(/^\[|\]$/g, ''), port: Number(url.port || 6379) };
  const nodes = (kind === 'sentinel' ? sentinel.nodes : cluster.nodes).map(endpointOf);

  const common = ({ host, port }: Endpoint): ClientOptions => ({
    socket: {
      host,
      port,
      connectTimeout: connectTimeoutMs,
      keepAliveInitialDelay: 5_000,
      reconnectStrategy: false,
      ...tls,
    },
    disableOfflineQueue: true,
    disableClientInfo: true,
    maintNotifications: 'disabled',
    commandsQueueMaxLength: 20_000,
    commandOptions: NO_TIMER,
  });
  const options = (endpoint: Endpoint): ClientOptions => ({
    ...common(endpoint),
    ...(username === '' ? {} : { username }),
    ...(password === '' ? {} : { password }),
    ...(database === 0 ? {} : { database }),
  });

  async function ask(node: Endpoint): Promise<Endpoint | null> {
    const client = createClient({
      ...common(node),
      ...(sentinel.username === null ? {} : { username: sentinel.username }),
      ...(sentinel.password === null ? {} : { password: sentinel.password }),
    });
    client.on('error', () => {});
    try {
      return await within(connectTimeoutMs, async () => {
        await client.connect();
        const answer = await client.sendCommand(['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', sentinel.name ?? '']);
        if (!Array.isArray(answer)) return null;
        return { host: String(answer[0]), port: Number(answer[1]) };
      });
    } catch {
      return null;
    } finally {
      client.destroy();
    }
  }

  return {
    kind,
    database,
    options,
    where: kind === 'standalone' ? `${home.host}:${home.port}` : nodes.map(show).join(', '),
    async find() {
      if (kind === 'standalone') return [home];
      if (kind === 'cluster') return nodes;
      // All at once: one that hangs must not keep the others from answering.
      const answers = nodes.map(async (node) => (await ask(node)) ?? Promise.reject(new Error('no answer')));
      return [
        await Promise.any(answers).catch(() => {
          throw new Error('no Sentinel names a master');
        }),
      ];
    },
  };
}

export const show = ({ host, port }: Endpoint): string => `${host}:${port}`;

/** @throws Error when `work` is not done in time. What it does meanwhile goes on. */
export function within<T>(ms: number, work: () => Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('no answer in time')), ms);
  });
  return Promise.race([work(), late]).finally(() => clearTimeout(timer));
}

function endpointOf(text: string): Endpoint {
  const at = text.lastIndexOf(':');
  return { host: text.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(text.slice(at + 1)) };
}

function tlsFiles(files: RedisSettings['tls']): { ca?: Buffer; cert?: Buffer; key?: Buffer } {
  const read = (name: 'ca' | 'cert' | 'key') => {
    const path = files[name];
    if (path === null) return {};
    try {
      return { [name]: readFileSync(path) };
    } catch (error) {
      throw new Error(`broker.tls.${name}: cannot read ${path}: ${(error as NodeJS.ErrnoException).code}`);
    }
  };
  return { ...read('ca'), ...read('cert'), ...read('key') };
}
