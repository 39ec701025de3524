/**
 * The one place that opens connections to Redis (or Valkey). Commands go over one connection, which is pipelined;
 * subscriptions have one of their own. Nothing waits for a server that is away: a command fails at once while
 * there is no connection, and after `commandTimeoutMs` if no answer comes; it may have been carried out then.
 */

import { randomInt } from 'node:crypto';
import { Refusal } from '@countersign/protocol';
import { createClient } from '@redis/client';
import type { Clock } from '../../operations/clock.ts';
import { type Args, type CommandSession, openCluster } from './cluster.ts';
import { type Access, accessFrom, type Endpoint, show, within } from './endpoints.ts';
import { createLink } from './link.ts';
import type { Script } from './scripts.ts';
import { serverFacts, unfit } from './server.ts';
import type { RedisSettings } from './settings.ts';

export interface RedisOptions {
  clock: Clock;
  /** 0 to 1; spreads the reconnects of many nodes. Default: the system's. */
  random?: () => number;
  /** Told in one line, without secrets, when Redis goes, comes back, or cannot be used. */
  onProblem?: (line: string) => void;
}

export interface RedisConnection {
  /** True while commands are taken. */
  readonly available: boolean;
  /**
   * Changes whenever another process answers, or the same one after it followed another (with a cluster: null).
   * A hint only, it may be late; a script that must be sure calls `tenure()` of `tenure.lua`.
   */
  readonly serverId: string | null;
  /** Before each key: `broker.prefix`. */
  readonly prefix: string;
  readonly kind: Access['kind'];
  readonly database: number;
  /**
   * Runs a script (EVALSHA, or EVAL where it is not known yet), atomically. Calls made in one turn of the event loop
   * travel together. Numbers become texts. In a cluster all keys must hold the same hash tag.
   *
   * @param keys without the prefix, which is added here
   * @returns what the script returned: integer, text, null, or an array of these
   * @throws Refusal `unavailable`; after a time-out the script may still have run
   */
  run<T = unknown>(script: Script, keys: readonly string[], args: readonly (string | number)[]): Promise<T>;
  /** Publishes a text to a channel, which gets no prefix. @throws Refusal `unavailable` */
  publish(channel: string, text: string): Promise<void>;
  /** Opens a connection that receives. Subscribed when it resolves. @throws Error as {@link openRedis} */
  subscribe(
    channels: readonly string[],
    onText: (text: string, channel: string) => void,
    onConnected: () => void,
  ): Promise<Subscriber>;
  /** Told of each change of {@link available}. The returned function ends that. */
  onHealth(listener: (available: boolean) => void): () => void;
  /** Also closes its subscribers. Idempotent. */
  close(): Promise<void>;
}

export interface Subscriber {
  readonly connected: boolean;
  /** Opens the connection anew: it seems to hear nothing. */
  reconnect(reason: string): void;
  close(): void;
}

/** Commands that may wait for an answer; what comes on top is refused. */
const MOST_WAITING = 10_000;
/** How often the Sentinels are asked whether the master is still the one. */
const WATCH_MS = 1000;

/**
 * Connects, and checks that the server will not throw away what it is given.
 *
 * @throws Error in one line, without secrets, when no server answers or it cannot be used
 */
export async function openRedis(config: RedisSettings, options: RedisOptions): Promise<RedisConnection> {
  const { clock, random = () => randomInt(2 ** 32) / 2 ** 32, onProblem = () => {} } = options;
  const patience = config.commandTimeoutMs;
  const access = accessFrom(config, patience);
  const subscribers = new Set<Subscriber>();
  const listeners = new Set<(available: boolean) => void>();
  const serverChecks = new Set<(runId: string) => void>();
  let waiting = 0;
  let closed = false;
  let problem = '';

  const note = (line: string): void => {
    if (line === problem || closed) return;
    problem = line;
    if (line !== '') onProblem(line);
  };

  /** Tries the places where Redis may be, one after the other. */
  async function somewhere<S>(open: (endpoint: Endpoint) => Promise<S>): Promise<S> {
    let cause: unknown;
    try {
      for (const endpoint of await access.find()) {
        try {
          return await open(endpoint);
        } catch (error) {
          cause = error;
        }
      }
    } catch (error) {
      cause = error;
    }
    const line = `redis at ${access.where}: ${told(cause)}`;
    note(line);
    throw new Error(line);
  }

  /** A plain connection to one server, checked. */
  async function connect(endpoint: Endpoint, lost: (reason: string) => void, mustBeMaster: boolean) {
    const client = createClient(access.options(endpoint));
    let broken = 'the connection ended';
    client.on('error', (error: unknown) => {
      broken = told(error);
    });
    client.on('end', () => lost(broken));
    client.on('terminated', () => lost(broken));
    try {
      const facts = await within(patience * 2, async () => {
        await client.connect();
        return serverFacts(String(await client.sendCommand(['INFO'])));
      });
      const reason = unfit(facts, mustBeMaster);
      if (reason !== null) throw new Error(reason);
      return { client, facts };
    } catch (error) {
      client.destroy();
      throw error;
    }
  }

  async function openCommands(lost: (reason: string) => void): Promise<CommandSession> {
    if (access.kind === 'cluster') return openCluster(access, patience, somewhere, connect);
    return somewhere(async (endpoint) => {
      const { client, facts } = await connect(endpoint, lost, true);
      const send = (_key: string | undefined, args: Args) => client.sendCommand(args);
      return { send, destroy: () => client.destroy(), facts, at: endpoint };
    });
  }

  const link = createLink<CommandSession>({
    clock,
    random,
    open: openCommands,
    onChange(session, reason) {
      if (session !== null) note('');
      else note(`redis at ${access.where}: ${reason}`);
      for (const listener of listeners) listener(session !== null);
      // A subscriber of a server that is not the one any more would hear nothing, for as long as it likes.
      if (session?.facts != null) {
        for (const check of serverChecks) check(session.facts.runId);
      }
    },
  });

  async function send(key: string | undefined, args: Args): Promise<unknown> {
    const { session } = link;
    if (closed || session === null) throw new Refusal('unavailable', 'redis cannot be reached');
    if (waiting >= MOST_WAITING) throw new Refusal('unavailable', 'too many commands wait for redis');
    waiting++;
    try {
      return await new Promise((resolve, reject) => {
        const cancel = clock.after(patience, () => {
          reject(new Refusal('unavailable', 'redis did not answer in time'));
          if (link.session === session) link.drop('no answer in time');
        });
        session.send(key, args).then(
          (value) => {
            cancel();
            resolve(value);
          },
          (error) => {
            cancel();
            reject(error);
          },
        );
      });
    } catch (error) {
      if (error instanceof Refusal) throw error;
      const word = /^[A-Z]{3,}/.exec(error instanceof Error ? error.message : '')?.[0] ?? '';
      if (word === 'NOSCRIPT') throw error;
      // It follows another server now, or is not up yet: look for the one that takes writes.
      if (word === 'READONLY' || word === 'LOADING' || word === 'MASTERDOWN') {
        if (link.session === session && access.kind !== 'cluster') link.drop(`it answers ${word}`);
      }
      throw new Refusal('unavailable', `redis refused or was lost: ${told(error)}`);
    } finally {
      waiting--;
    }
  }

  async function run(
    script: Script,
    keys: readonly string[],
    args: readonly (string | number)[],
  ): Promise<unknown> {
    const named = keys.map((key) => config.prefix + key);
    const rest = [String(keys.length), ...named, ...args.map(String)];
    try {
      return await send(named[0], ['EVALSHA', script.sha, ...rest]);
    } catch (error) {
      if (error instanceof Refusal) throw error;
      return send(named[0], ['EVAL', script.text, ...rest]).catch((again: unknown) => {
        if (again instanceof Refusal) throw again;
        throw new Refusal('unavailable', `redis does not take the script ${script.name}`);
      });
    }
  }

  async function subscribe(
    channels: readonly string[],
    onText: (text: string, channel: string) => void,
    onConnected: () => void,
  ): Promise<Subscriber> {
    let runId = '';
    const ear = createLink({
      clock,
      random,
      open: (lost) =>
        somewhere(async (endpoint) => {
          const { client, facts } = await connect(endpoint, lost, access.kind !== 'cluster');
          try {
            await within(patience, () => client.subscribe([...channels], onText));
          } catch (error) {
            client.destroy();
            throw error;
          }
          runId = facts.runId;
          return { destroy: () => client.destroy() };
        }),
      onChange: (session) => session !== null && onConnected(),
    });
    const check = (now: string) => now !== runId && ear.drop('another server answers');
    const subscriber: Subscriber = {
      get connected() {
        return ear.session !== null;
      },
      reconnect: ear.drop,
      close() {
        ear.close();
        subscribers.delete(subscriber);
        serverChecks.delete(check);
      },
    };
    await ear.start();
    if (access.kind !== 'cluster') serverChecks.add(check);
    subscribers.add(subscriber);
    return subscriber;
  }

  await link.start();
  const stopWatching =
    access.kind !== 'sentinel'
      ? () => {}
      : clock.every(WATCH_MS, () => {
          const { session } = link;
          if (session?.at == null) return;
          const at = show(session.at);
          access.find().then(
            ([master]) => {
              if (master === undefined || show(master) === at || link.session !== session) return;
              link.drop('the Sentinels name another master');
            },
            () => {
              // No Sentinel answers: what is connected goes on.
            },
          );
        });

  return {
    get available() {
      return link.session !== null;
    },
    get serverId() {
      const facts = link.session?.facts ?? null;
      return facts && `${facts.runId}.${facts.replicationId}`;
    },
    prefix: config.prefix,
    kind: access.kind,
    database: access.database,
    run: run as RedisConnection['run'],
    async publish(channel, text) {
      await send(undefined, ['PUBLISH', channel, text]);
    },
    subscribe,
    onHealth(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async close() {
      if (closed) return;
      closed = true;
      stopWatching();
      for (const subscriber of [...subscribers]) subscriber.close();
      link.close();
      listeners.clear();
    },
  };
}

/** What an error says, for a log: its code, or the first line of its message. Neither names a user or password. */
function told(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  const { code } = error as NodeJS.ErrnoException;
  return code ?? error.message.split('\n')[0]?.slice(0, 200) ?? 'unknown';
}
