/**
 * A gateway from outside: made, started, drained, closed. The parts are put together in `composition/`; no rule
 * about access, tokens or streams lives in either.
 */
import { CLOSE } from '@countersign/protocol';
import { createConnectionServices } from './composition/connection-services.ts';
import { openCore } from './composition/core.ts';
import { createOperatorsDoor } from './composition/internal-door.ts';
import { createLeaseParts } from './composition/leases.ts';
import { createPublicDoors } from './composition/public-doors.ts';
import { openVenue } from './composition/venue.ts';
import { type Clock, systemClock } from './operations/clock.ts';
import { type Config, type ConfigInput, parseConfig } from './operations/config.ts';
import { createLog, type Logger } from './operations/log.ts';

export interface GatewayUrls {
  /** Origin of the public listener; clients append `/v1/...` or `/api/v1/...`. */
  rest: string;
  websocket: string;
  socketio: string;
  /** Origin of the internal listener: health, metrics, admin, backend. */
  internal: string;
}

export interface Gateway {
  readonly config: Config;
  /** Files that hold the credentials of operators and of the venue's backend. */
  readonly credentials: { admin: { tokenFile: string }; backend: { tokenFile: string } };
  /** Opens both listeners. @throws the system's error if a port is taken */
  start(): Promise<GatewayUrls>;
  /**
   * In this order: says that it is not ready; after `drain.notice` takes no new sockets; tells the clients and closes
   * them over `drain.window`, while requests go on being answered; lets those under way finish; flushes and closes.
   * Takes `drain.limit` at most. Idempotent.
   */
  drain(): Promise<void>;
  /** Resolves when everything is closed, whoever began it. */
  readonly ended: Promise<void>;
  /** Closes everything now. What was acknowledged is durable. Idempotent. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface GatewayOptions {
  clock?: Clock;
  log?: Logger;
}

/** How often a drain says how far it is. */
const PROGRESS_MS = 1000;
/** Milliseconds that requests under way have where nobody waits for them. */
const NOW_MS = 1000;

/**
 * Opens the store and the keys and builds every part; nothing listens before `start`.
 *
 * @throws ConfigError, StoreError, or an Error in one clear line about a file that cannot be used
 */
export async function createGateway(input: ConfigInput = {}, options: GatewayOptions = {}): Promise<Gateway> {
  const config = parseConfig(input);
  const clock = options.clock ?? systemClock;
  const log = options.log ?? createLog({ level: config.logLevel });
  const core = await openCore({ config, clock, log });
  const venue = openVenue(core);
  const services = createConnectionServices(core, venue);
  const leases = createLeaseParts(core);
  let state: 'new' | 'serving' | 'draining' | 'closed' = 'new';
  const leaving = () => state === 'draining' || state === 'closed';
  const doors = createPublicDoors(core, venue, services, { draining: leaving });
  const sockets = [doors.webSocket, doors.socketIo];
  let draining: Promise<void> | null = null;
  let closing: Promise<void> | null = null;
  let tellEnded = (): void => {};
  const ended = new Promise<void>((resolve) => {
    tellEnded = resolve;
  });
  const operators = createOperatorsDoor(core, venue, services, leases, {
    draining: leaving,
    begin: () => void drain().catch((error: unknown) => core.fault('drain', error)),
  });

  async function start(): Promise<GatewayUrls> {
    warnOfOpenLimits();
    const internal = await operators.listen();
    const open = await doors.http.listen();
    const host = urlHost(open.host);
    core.listening.hosts = [`${host}:${open.port}`, `localhost:${open.port}`];
    await leases.start();
    state = 'serving';
    return {
      rest: `http://${host}:${open.port}`,
      websocket: `ws://${host}:${open.port}/ws`,
      socketio: `http://${host}:${open.port}`,
      internal: `http://${urlHost(internal.host)}:${internal.port}`,
    };
  }

  /** Never in silence: both are for one machine and not for a venue. */
  function warnOfOpenLimits(): void {
    if (!config.limits.enabled) {
      log.warn({ event: 'limits.off' }, 'limits.enabled is false: nothing is limited');
    } else if (core.limits.sparesLoopback) {
      log.info(
        { event: 'limits.loopback' },
        'sources on loopback have limits of their own (limits.loopback)',
      );
    }
  }

  function drain(): Promise<void> {
    draining ??= (async () => {
      if (state === 'closed') return;
      state = 'draining';
      const { notice, window, limit } = config.drain;
      const began = clock.monotonic();
      const left = () => limit * 1000 - (clock.monotonic() - began);
      const { registry } = core;
      log.info({ event: 'drain.begin', connections: registry.size, seconds: notice + window }, 'draining');
      const stopTelling = clock.every(PROGRESS_MS, () =>
        log.info({ event: 'drain.progress', connections: registry.size }, 'draining'),
      );
      // Not ready at once, but serving: until balancers have noticed they go on sending.
      if (notice > 0) await pause(notice * 1000);
      for (const door of sockets) door.stopAccepting();
      const closed = sockets.map((door) => door.closeAll(CLOSE.restart, window * 1000));
      await Promise.race([Promise.all(closed), pause(left())]);
      stopTelling();
      const ms = Math.round(clock.monotonic() - began);
      log.info({ event: 'drain.end', connections: registry.size, ms }, 'drained');
      await close(Math.max(NOW_MS, left()));
    })();
    return draining;
  }

  const pause = (ms: number) => new Promise<void>((done) => void clock.after(Math.max(0, ms), done));

  /** @param patience milliseconds that requests under way may take to finish */
  function close(patience = NOW_MS): Promise<void> {
    closing ??= (async () => {
      state = 'closed';
      for (const door of sockets) door.close();
      const cancel = clock.after(patience, () => doors.http.server.closeAllConnections());
      await doors.http.close();
      cancel();
      await operators.close();
      venue.forwarder?.close();
      await leases.close();
      await core.close();
      log.info({ event: 'closed' }, 'closed');
      tellEnded();
    })();
    return closing;
  }

  return {
    config,
    credentials: {
      admin: { tokenFile: core.adminToken.path },
      backend: { tokenFile: core.backendToken.path },
    },
    start,
    drain,
    close: () => close(),
    ended,
    [Symbol.asyncDispose]: () => close(),
  };
}

/** An address as it stands in a URL; one that means "everywhere" is reached on loopback. */
function urlHost(address: string): string {
  if (address === '0.0.0.0' || address === '::') return '127.0.0.1';
  return address.includes(':') ? `[${address}]` : address;
}
