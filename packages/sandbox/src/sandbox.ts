/** Composes the simulated venue: its HTTP service, the simulation (or a recording), and the way to the gateway. */
import { brokerageRoutes } from './brokerage/routes.ts';
import { chainworksRoutes } from './chainworks/routes.ts';
import { type Clock, systemClock } from './clock.ts';
import { ethgasRoutes } from './ethgas/routes.ts';
import { listen } from './http/server.ts';
import {
  type CancelOnDisconnect,
  GONE_PATH,
  goneRoute,
  startCancelOnDisconnect,
} from './leases/cancel-on-disconnect.ts';
import { type Log, silentLog } from './log.ts';
import { createPublisher, type Gateway, type Publisher } from './publishing/publisher.ts';
import { type Replay, startReplay } from './publishing/replay.ts';
import { type Watch, watchPrincipals } from './publishing/watch.ts';
import { Venue } from './venue.ts';

export interface SandboxOptions {
  /** The same seed and clock give the same publications. Default `countersign`. */
  seed?: string | number;
  clock?: Clock;
  /** Things the simulated crowds do per second, over all instruments. 0..20 000, default 60. */
  rate?: number;
  /** Milliseconds between two rounds of publications. 10..10 000, default 100. */
  tick?: number;
  /** Milliseconds between two orders of one signed-in user, placed for them; 0 = none. Default 2000. */
  activity?: number;
  /** A file of recorded publications, one JSON object per line, to publish instead of the simulation. */
  replay?: string;
  /**
   * Seconds without a connection after which a user's open orders are cancelled, 5..86,400; 0 = never. The gateway's
   * `leases.webhook` has to be {@link Sandbox.webhook}. A user who only ever speaks REST counts as gone. Default 0.
   */
  cancelOnDisconnect?: number;
  /** Where the venue's HTTP service listens. Default 127.0.0.1, any free port. */
  listen?: { host?: string; port?: number };
  /** Connects at once; otherwise {@link Sandbox.start} does. */
  gateway?: Gateway;
  log?: Log;
}

export interface Sandbox {
  /** Base URL of the venue's HTTP service: the gateway's `venue.url`. */
  readonly url: string;
  /** Where it takes the gateway's webhook: `leases.webhook`. */
  readonly webhook: string;
  /** Begins to publish to a gateway. Once only; the gateway may come up later than this. */
  start(gateway: Gateway): Promise<void>;
  /** False while publications cannot be delivered. */
  readonly connected: boolean;
  close(): Promise<void>;
}

/** @throws RangeError for options out of range; whatever listening fails with */
export async function createSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const { clock = systemClock, log = silentLog, replay: recording } = options;
  const rate = within('rate', options.rate ?? 60, 0, 20_000);
  const tick = within('tick', options.tick ?? 100, 10, 10_000);
  const activity = within('activity', options.activity ?? 2000, 0, 3_600_000);
  const seconds = options.cancelOnDisconnect ?? 0;
  if (seconds !== 0) within('cancelOnDisconnect', seconds, 5, 86_400);
  const seed = String(options.seed ?? 'countersign');
  const ticksPerAct = activity === 0 ? 0 : Math.max(1, Math.round(activity / tick));
  const venue = new Venue({ seed, eventsPerTick: (rate * tick) / 1000, ticksPerAct }, clock.now());

  const now = () => clock.now();
  const orders = {
    usersWithOrders: () => venue.usersWithOrders(),
    cancelAll: (userId: string) => venue.cancelAll(userId, now()),
  };
  const routes = [
    ...ethgasRoutes(venue.ethgas, seed, now),
    ...brokerageRoutes(venue.brokerage, now),
    ...chainworksRoutes(seed),
    goneRoute(orders, log),
  ];
  const { host = '127.0.0.1', port = 0 } = options.listen ?? {};
  const service = await listen(routes, { host, port }, log);

  let publisher: Publisher | null = null;
  let watch: Watch | null = null;
  let replay: Replay | null = null;
  let disconnects: CancelOnDisconnect | null = null;
  let cancel = () => {};
  let closing: Promise<void> | null = null;

  async function start(gateway: Gateway): Promise<void> {
    if (publisher !== null || closing !== null) throw new Error('the sandbox was started or closed before');
    const snapshot = () => replay?.snapshot() ?? venue.snapshot(clock.now());
    const active = createPublisher({ ...gateway, clock, log, snapshot });
    publisher = active;
    if (recording !== undefined) {
      replay = startReplay(recording, clock, (list) => active.publish(list));
      replay.finished.catch((error: unknown) => {
        log.warn(
          { why: error instanceof Error ? error.message : 'unknown' },
          'the recording cannot be replayed',
        );
      });
      return;
    }
    watch = watchPrincipals(gateway, clock, log, (principals) => venue.setLive(principals));
    if (seconds > 0) disconnects = startCancelOnDisconnect({ gateway, orders, seconds, clock, log });
    active.publish(venue.opening(clock.now()));
    cancel = clock.every(tick, () => active.publish(venue.tick(clock.now())));
  }

  async function close(): Promise<void> {
    cancel();
    await replay?.close();
    await Promise.all([disconnects?.close(), watch?.close(), publisher?.close(), service.close()]);
  }

  if (options.gateway !== undefined) await start(options.gateway);
  return {
    url: service.url,
    webhook: `${service.url}${GONE_PATH}`,
    start,
    get connected() {
      return publisher?.connected ?? false;
    },
    close() {
      closing ??= close();
      return closing;
    },
  };
}

function within(name: string, value: number, low: number, high: number): number {
  if (value >= low && value <= high) return value;
  throw new RangeError(`${name} must be between ${low} and ${high}`);
}
