/** Real hub, broker, dialects and registry under a clock of the test's; who is who is the test's to say. */

import { type CloseCode, Refusal } from '@countersign/protocol';
import { createFakeClock, type FakeClock } from '../../../testkit/src/fake-clock.ts';
import type { Broker, Draft } from '../../src/broker/broker.ts';
import { createMemoryBroker } from '../../src/broker/memory.ts';
import { Connection } from '../../src/connection/connection.ts';
import { MessageRates, type RateOf } from '../../src/connection/message-rates.ts';
import { ConnectionRegistry } from '../../src/connection/registry.ts';
import type { ConnectionServices, Peer, Proof } from '../../src/connection/services.ts';
import { createCoinbaseDialect } from '../../src/dialects/coinbase.ts';
import type { Dialect } from '../../src/dialects/dialect.ts';
import { createEthgasDialect } from '../../src/dialects/ethgas.ts';
import { createSteadyClock } from '../../src/operations/steady-clock.ts';
import type { Credential, Permission, Principal } from '../../src/session/principal.ts';
import type { Change } from '../../src/store/store.ts';
import { channelTable } from '../../src/streams/channel.ts';
import { createFlusher } from '../../src/streams/flusher.ts';
import { createHub, type Hub } from '../../src/streams/hub.ts';
import { createOutbox, type Outbox, type Sink } from '../../src/streams/outbox.ts';
import type { JsonObject } from '../../src/streams/publication.ts';
import { textFrame } from '../../src/streams/text-frame.ts';

export const START = Date.UTC(2026, 0, 1);
const ethgas = createEthgasDialect();

/** A kernel that can stop taking bytes; what is written has been delivered. */
export class TestSink implements Sink {
  backlog = 0;
  stalled = false;
  onText: (text: string) => void = () => {};
  #drained: (() => void)[] = [];

  write(chunk: Uint8Array): void {
    if (this.stalled) this.backlog += chunk.length;
    for (const text of texts(chunk)) this.onText(text);
  }

  whenDrained(callback: () => void): void {
    this.#drained.push(callback);
  }

  drain(): void {
    this.stalled = false;
    this.backlog = 0;
    for (const callback of this.#drained.splice(0)) callback();
  }
}

/** Payloads of unmasked text frames (RFC 6455 section 5.2), read by this file's own rules. */
export function texts(chunk: Uint8Array): string[] {
  const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
  const found: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const short = bytes[at + 1] ?? 0;
    const [start, length] =
      short < 126
        ? [at + 2, short]
        : short === 126
          ? [at + 4, bytes.readUInt16BE(at + 2)]
          : [at + 10, Number(bytes.readBigUInt64BE(at + 2))];
    found.push(bytes.toString('utf8', start, start + length));
    at = start + length;
  }
  return found;
}

export interface Line {
  readonly connection: Connection;
  readonly sink: TestSink;
  readonly outbox: Outbox;
  /** Every text that was delivered, in order. */
  readonly said: string[];
  /** The close code, once the connection was closed from this side. */
  readonly ended: CloseCode | null;
  send(message: object | string): void;
}

export interface KitOptions {
  /** Publications kept per stream. Default: each channel's own number. */
  history?: number;
  sequence?: 'stream' | 'connection';
  limits?: Partial<ConnectionServices['limits']>;
  backlog?: { soft: number; hard: number };
  authenticate: ConnectionServices['authenticate'];
  principal?: ConnectionServices['principal'];
  query?: ConnectionServices['query'];
  /** Default: nothing is limited. */
  budget?: ConnectionServices['meter']['limits'];
  /** Default: each connection has its own rate. */
  rateOf?: RateOf;
  roomFor?: ConnectionServices['roomFor'];
  /** Replaces the broker, to make one that is slow or fails. */
  wrap?: (broker: Broker) => Broker;
  /** Most streams that the broker remembers. */
  streams?: number;
}

export interface Kit {
  readonly clock: FakeClock;
  readonly hub: Hub;
  readonly registry: ConnectionRegistry;
  readonly faults: unknown[];
  readonly services: ConnectionServices;
  /** Raised by `change`. */
  readonly applied: number;
  /** False: this node cannot read the change log. */
  confirmed: boolean;
  open(proof?: Proof | null): Line;
  publish(...drafts: Draft[]): void;
  /** A change of access reaches this node: it counts as applied, and connections are told. */
  change(kind: Change['kind'], subject: string): Promise<number>;
}

export function createKit(options: KitOptions): Kit {
  const clock = createFakeClock(START);
  const coinbase = createCoinbaseDialect({ now: clock.now, sequence: options.sequence ?? 'stream' });
  const dialects: readonly [Dialect, ...Dialect[]] = [ethgas, coinbase];
  const { history } = options;
  const channels = channelTable(
    dialects
      .flatMap((dialect) => [...dialect.channels.values()])
      .map((channel) => (history === undefined ? channel : { ...channel, history })),
  );
  const { wrap = (broker: Broker) => broker } = options;
  const broker = wrap(
    createMemoryBroker({
      clock,
      channels,
      random: () => Buffer.from('epoch-00'),
      ...(options.streams === undefined ? {} : { streams: options.streams }),
    }),
  );
  const hub = createHub({ broker, channels, clock });
  const flusher = createFlusher({ clock, coalesceMs: 0, defer: (task) => task() });
  const registry = new ConnectionRegistry(clock);
  const faults: unknown[] = [];
  let applied = 0;
  let confirmed = true;
  let opened = 0;

  const principal = options.principal ?? (async () => null);
  const services: ConnectionServices = {
    hub,
    clock: createSteadyClock(clock),
    dialects,
    limits: {
      messagesPerSecond: 1000,
      messageBurst: 500,
      subscriptionsPerConnection: 100,
      anonymousSubscriptions: 100,
      probation: { messages: 1000, bytes: 1_000_000, whole: 1_000_000 },
      privateHold: 1500,
      leeway: 0,
      queriesInFlight: 4,
      ...options.limits,
    },
    permissionFor: () => undefined,
    request: () => Promise.reject(new Refusal('unavailable', 'this test has no venue')),
    authenticate: options.authenticate,
    meter: {
      limits: options.budget ?? { charge: () => null },
      weights: { login: 1, subscribe: 1, unsubscribe: 1 },
      costOf: () => ({ weight: 1 }),
    },
    roomFor: options.roomFor ?? (() => ({ connections: 1, subscriptions: 1000 })),
    messageRates: new MessageRates(options.rateOf ?? (() => null), clock),
    changesApplied: () => applied,
    accessConfirmed: () => confirmed,
    principal,
    query: options.query ?? (() => Promise.reject(new Refusal('unavailable', 'this test has no venue'))),
    knows: () => true,
    identityChanged: (connection) => registry.identityChanged(connection),
    refused: () => {},
    commandRefused: () => {},
    fault: (_event, error) => void faults.push(error),
  };

  return {
    clock,
    hub,
    registry,
    faults,
    services,
    get applied() {
      return applied;
    },
    get confirmed() {
      return confirmed;
    },
    set confirmed(now) {
      confirmed = now;
    },
    open(proof = null) {
      opened += 1;
      const sink = new TestSink();
      const said: string[] = [];
      sink.onText = (text) => void said.push(text);
      let ended: CloseCode | null = null;
      const terminate = () => connection.gone();
      const outbox = createOutbox({
        sink,
        flusher,
        limits: options.backlog ?? { soft: 256 * 1024, hard: 1024 * 1024 },
        onOverflow: terminate,
      });
      const peer: Peer = {
        id: `c${opened}`,
        door: 'websocket',
        address: '127.0.0.1',
        source: '127.0.0.1',
        since: clock.now(),
      };
      const transport = {
        outbox,
        send: (text: string) => outbox.push(textFrame(text)),
        close: (code: CloseCode) => {
          ended ??= code;
          outbox.flush();
          outbox.close();
        },
        terminate,
      };
      const connection = new Connection(peer, transport, services, proof);
      registry.add(connection);
      return {
        connection,
        sink,
        outbox,
        said,
        get ended() {
          return ended;
        },
        send: (message) =>
          connection.receive(typeof message === 'string' ? message : JSON.stringify(message)),
      };
    },
    publish(...drafts) {
      // In process the broker numbers and delivers before its promise is made.
      void broker.publish(drafts);
    },
    change(kind, subject) {
      applied += 1;
      return registry.apply(
        { sequence: applied, kind, subject, at: clock.now() } as Change,
        async ({ userId, credential, peer }) =>
          userId === null || credential === null ? null : principal(userId, credential, peer),
      );
    },
  };
}

/** Lets everything run that waits for nothing but its turn. */
export const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export function principalOf(
  userId: number,
  credential: Credential = { kind: 'session', sid: 's1' },
  permissions: readonly Permission[] = ['market_data', 'account_updates', 'trading'],
): Principal {
  return {
    userId,
    address: null,
    displayName: null,
    roles: [],
    permissions: new Set(permissions),
    tier: 'free',
    accounts: accountsOf(userId).map((accountId) => ({
      accountId,
      userId,
      type: 1,
      name: '',
      status: 1,
      updateDate: 0,
    })),
    credential,
  };
}

/** The first user has two accounts, every other user one. */
export const accountsOf = (userId: number): number[] => (userId === 1 ? [11, 12] : [userId * 10 + 1]);

export const draft = (channel: string, key: string, data: object, more: Partial<Draft> = {}): Draft => ({
  channel,
  key,
  time: START,
  data: data as JsonObject,
  ...more,
});
