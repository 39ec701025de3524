/** What is measured by looking when somebody asks, instead of by counting all the time. */
import { Counter, Gauge, type Registry } from 'prom-client';
import type { Readiness } from './health.ts';
import { PREFIX } from './metrics.ts';

export interface GaugeSources {
  /** Every open connection of this node. */
  connections(): Iterable<{ door: string; dialect: string | null; state: string; userId: number | null }>;
  hub(): {
    streams: number;
    subscriptions: number;
    published: number;
    delivered: number;
    conflated: number;
    resynced: number;
    cut: number;
    faults: number;
  };
  outboxes(): { queuedBytes: number; bytes: number; frames: number; overflows: number };
  draining(): boolean;
  /** Gateways that live, as far as this one knows; at least 1. */
  living(): number;
  /** Sequence of the newest change of access that is applied here. */
  changesPosition(): number;
  /** Seconds since the change log was last known to be applied whole. */
  confirmedAge(): number;
  /** Seconds by which this machine's clock is ahead of the database's; 0 where the store is inside the process. */
  clockSkew(): number;
  /** Connections to the database; null where there is no pool. */
  pool(): { size: number; taken: number; waiting: number } | null;
  /** What the last readiness check found; null before the first. */
  readiness(): Pick<Readiness, 'checks'> | null;
}

/** Adds gauges, and counters of things that are counted elsewhere, to a registry. Once per registry. */
export function createGauges(registry: Registry, sources: GaugeSources): void {
  const registers = [registry];
  const named = (name: string, help: string) => ({ name: PREFIX + name, help, registers });
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      ...named(name, help),
      collect() {
        this.set(read());
      },
    });
  const total = (name: string, help: string, read: () => number) =>
    new Counter({
      ...named(name, help),
      collect() {
        this.reset();
        this.inc(read());
      },
    });

  new Gauge({
    ...named('connections', 'Open connections'),
    labelNames: ['door', 'dialect', 'state'],
    // One walk over all connections for this and the users, which come after it in every scrape.
    collect() {
      this.reset();
      const seen = new Set<number>();
      for (const { door, dialect, state, userId } of sources.connections()) {
        this.inc({ door, dialect: dialect ?? 'none', state });
        if (userId !== null) seen.add(userId);
      }
      users.set(seen.size);
    },
  });
  const users = new Gauge(named('connected_users', 'Different users with an open connection'));
  gauge('subscriptions', 'Subscriptions of all connections', () => sources.hub().subscriptions);
  gauge('streams', 'Streams that this node keeps', () => sources.hub().streams);
  gauge('draining', '1 while this node is draining', () => (sources.draining() ? 1 : 0));
  gauge('nodes_living', 'Gateways that live, this one included, as far as it knows', sources.living);
  gauge('changes_position', 'Newest change of access that this node has applied', sources.changesPosition);
  gauge(
    'access_confirmed_age_seconds',
    'Since this node last confirmed that it knows of every revocation; from 30 on it refuses private work',
    sources.confirmedAge,
  );
  gauge(
    'clock_skew_seconds',
    'By which the clock of this node is ahead of that of the database; beyond 2 either way it issues nothing',
    sources.clockSkew,
  );
  new Gauge({
    ...named('store_pool_connections', 'Connections to the database, by what they do'),
    labelNames: ['state'],
    collect() {
      const pool = sources.pool();
      if (pool === null) return;
      this.set({ state: 'taken' }, pool.taken);
      this.set({ state: 'free' }, pool.size - pool.taken);
    },
  });
  gauge('store_pool_waiting', 'Calls that wait for a connection to the database', () => {
    return sources.pool()?.waiting ?? 0;
  });
  new Gauge({
    ...named(
      'readiness_check_seconds',
      'How long each part of the last readiness check took; NaN = it failed',
    ),
    labelNames: ['check'],
    collect() {
      this.reset();
      for (const [check, { ok, ms }] of Object.entries(sources.readiness()?.checks ?? {}))
        this.set({ check }, ok && ms !== null ? ms / 1000 : Number.NaN);
    },
  });

  gauge(
    'outbox_queued_bytes',
    'Bytes that readers have not been sent yet',
    () => sources.outboxes().queuedBytes,
  );
  total('sent_bytes_total', 'Bytes of frames written to sockets', () => sources.outboxes().bytes);
  total('sent_frames_total', 'Frames written to sockets', () => sources.outboxes().frames);
  total('publications_total', 'Publications that reached this node', () => sources.hub().published);
  total('deliveries_total', 'Publications put into outboxes', () => sources.hub().delivered);
  total('hub_faults_total', 'Publications that could not be handled', () => sources.hub().faults);
  new Counter({
    ...named('slow_readers_total', 'What was done about readers that fell behind'),
    labelNames: ['reason'],
    collect() {
      const { conflated, resynced, cut } = sources.hub();
      this.reset();
      this.inc({ reason: 'conflated' }, conflated);
      this.inc({ reason: 'resynced' }, resynced);
      this.inc({ reason: 'cut' }, cut);
      this.inc({ reason: 'overflowed' }, sources.outboxes().overflows);
    },
  });
}
