/** What is measured by looking when somebody asks, instead of by counting all the time. */
import { Counter, Gauge, type Registry } from 'prom-client';

export interface GaugeSources {
  /** Every open connection of this node. */
  connections(): Iterable<{ door: string; dialect: string | null; userId: number | null }>;
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
  draining(): boolean;
  /** Seconds since the change log was last known to be applied whole. */
  confirmedAge(): number;
}

/** Adds gauges, and counters of things that are counted elsewhere, to a registry. Once per registry. */
export function createGauges(registry: Registry, sources: GaugeSources): void {
  const registers = [registry];
  const named = (name: string, help: string) => ({ name: `countersign_${name}`, help, registers });
  const total = (name: string, help: string, read: () => number) =>
    new Counter({
      ...named(name, help),
      collect() {
        this.reset();
        this.inc(read());
      },
    });

  new Gauge({
    ...named('num_clients', 'Open connections'),
    labelNames: ['door', 'dialect'],
    // One walk over all connections for this and the users, which come after it in every scrape.
    collect() {
      this.reset();
      const seen = new Set<number>();
      for (const { door, dialect, userId } of sources.connections()) {
        this.inc({ door, dialect: dialect ?? 'none' });
        if (userId !== null) seen.add(userId);
      }
      users.set(seen.size);
    },
  });
  const users = new Gauge(named('num_users', 'Different users with an open connection'));
  new Gauge({
    ...named('num_subscriptions', 'Subscriptions of all connections'),
    collect() {
      this.set(sources.hub().subscriptions);
    },
  });
  new Gauge({
    ...named('num_channels', 'Streams that this node keeps'),
    collect() {
      this.set(sources.hub().streams);
    },
  });
  new Gauge({
    ...named(
      'access_confirmed_age_seconds',
      'Since this node last confirmed that it knows of every revocation; from 30 on it refuses private work',
    ),
    collect() {
      this.set(sources.confirmedAge());
    },
  });
  new Gauge({
    ...named('draining', '1 while this node is draining'),
    collect() {
      this.set(sources.draining() ? 1 : 0);
    },
  });

  total('publications_total', 'Publications that reached this node', () => sources.hub().published);
  total('deliveries_total', 'Publications put into outboxes', () => sources.hub().delivered);
  total('hub_faults_total', 'Publications that could not be handled', () => sources.hub().faults);
  new Counter({
    ...named('slow_readers_total', 'What was done about readers that fell behind'),
    labelNames: ['policy'],
    collect() {
      const { conflated, resynced, cut } = sources.hub();
      this.reset();
      this.inc({ policy: 'conflate' }, conflated);
      this.inc({ policy: 'resync' }, resynced);
      this.inc({ policy: 'cut' }, cut);
    },
  });
}
