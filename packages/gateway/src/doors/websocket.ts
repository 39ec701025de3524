/**
 * The WebSocket door (RFC 6455): upgrades, limits on bytes, keep-alive, and frames out by the outbox. What the
 * frames mean is the connection's business.
 */
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { CLOSE, type CloseCode, ERRORS, Refusal } from '@countersign/protocol';
import { type WebSocket, WebSocketServer } from 'ws';
import { admitHandshake, requireRoom } from '../connection/admission.ts';
import { Connection } from '../connection/connection.ts';
import type { ConnectionRegistry } from '../connection/registry.ts';
import type { ConnectionServices, Peer, Proof } from '../connection/services.ts';
import type { Transport } from '../connection/transport.ts';
import type { Clock } from '../operations/clock.ts';
import type { Config } from '../operations/config.ts';
import type { Flusher } from '../streams/flusher.ts';
import { createOutbox } from '../streams/outbox.ts';
import { socketSink } from '../streams/socket-sink.ts';
import { textFrame } from '../streams/text-frame.ts';
import type { FaultSimulator, Faults } from './faults/simulator.ts';
import type { OriginCheck } from './origin.ts';
import type { Sources } from './source.ts';
import type { SourceCounter } from './source-counter.ts';
import { asksForLimits, isSocketIo, refuseUpgrade } from './upgrade.ts';

export interface WebSocketDoorOptions {
  server: Server;
  config: Config['websocket'];
  clock: Clock;
  flusher: Flusher;
  registry: ConnectionRegistry;
  services: ConnectionServices;
  sources: Sources;
  /** Connections of each source address, over all doors. */
  perSource: SourceCounter;
  originAllowed: OriginCheck;
  faults: FaultSimulator;
  /** Verifies a Bearer token of the upgrade request. Throws `Refusal`. */
  authenticate(token: string, peer: Peer): Proof | Promise<Proof>;
  log: { info(entry: object, message: string): void };
  /** Counters for the metrics; called at most once per event. */
  observe: {
    opened(): void;
    closed(code: number): void;
    refused(status: number): void;
  };
}

export interface WebSocketDoor {
  /** From now on upgrades are refused with 503. */
  stopAccepting(): void;
  /** Closes every connection with `code`, spread over `windowMs`, and resolves when all are gone. */
  closeAll(code: CloseCode, windowMs: number): Promise<void>;
  close(): void;
}

/** Milliseconds after which a peer that does not answer a close frame is dropped. */
const CLOSE_PATIENCE = 3000;
/** The same for a peer that broke a limit. */
const FLOOD_PATIENCE = 250;
/** How often pings are considered, in milliseconds. */
const PING_TICK = 1000;

interface Live {
  readonly socket: WebSocket;
  readonly connection: Connection;
  pingDue: number;
  unanswered: number;
  pings: number;
  pingWindow: number;
}

export function createWebSocketDoor(options: WebSocketDoorOptions): WebSocketDoor {
  const { config, clock, registry, services, sources, perSource, observe } = options;
  const live = new Set<Live>();
  let accepting = true;

  // Types of `ws` lag behind its options: both limits exist since 8.21 (CVE-2026-48779).
  const limits = {
    maxFragments: config.fragmentLimit,
    maxBufferedChunks: config.fragmentLimit * 4,
    closeTimeout: CLOSE_PATIENCE,
  };
  const wss = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    maxPayload: config.messageLimit,
    perMessageDeflate: false,
    // One message of a socket in each turn: what one peer has sent in a burst does not hold up the others.
    allowSynchronousEvents: false,
    ...limits,
  });

  const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    // The Socket.IO door listens for itself; without it nobody would ever answer.
    if (isSocketIo(request) && options.server.listenerCount('upgrade') > 1) return;
    socket.on('error', () => socket.destroy());
    upgrade(request, socket as Socket, head).catch((error: unknown) => {
      const refusal = error instanceof Refusal ? error : new Refusal('internal', 'upgrade failed');
      if (refusal.code === 'internal') services.fault('websocket.upgrade', error);
      options.log.info(
        {
          event: 'websocket.refused',
          code: refusal.code,
          reason: refusal.reason,
          source: sources.source(request),
        },
        'refused',
      );
      observe.refused(ERRORS[refusal.code].status);
      refuseUpgrade(socket, refusal);
    });
  };

  async function upgrade(request: IncomingMessage, socket: Socket, head: Buffer): Promise<void> {
    if (!PATHS.has(pathOf(request))) throw new Refusal('not_found', 'no WebSocket is served there');
    if (!accepting) throw new Refusal('unavailable', 'draining', { retryAfter: 1 });
    if (!options.originAllowed(request)) throw new Refusal('origin_refused', 'origin');
    const faults = options.faults.of(request.url ?? '');
    const peer: Peer = {
      id: randomBytes(4).toString('hex'),
      door: 'websocket',
      address: sources.address(request),
      source: sources.source(request),
      since: clock.now(),
      showsLimits: asksForLimits(request),
    };
    const { source } = peer;
    if (!perSource.enter(source))
      throw new Refusal('rate_limited', 'connections per source', { retryAfter: 5 });
    socket.once('close', () => perSource.leave(source));
    const token = bearer(request);
    await admitHandshake(services, source, token !== null);
    const proof = token === null ? null : await options.authenticate(token, peer);
    if (socket.destroyed) return;
    if (proof !== null) requireRoom(services, proof.principal);
    wss.handleUpgrade(request, socket, head, (ws) => open(ws, socket, peer, proof, faults));
  }

  function open(ws: WebSocket, socket: Socket, peer: Peer, proof: Proof | null, faults: Faults | null): void {
    socket.setNoDelay(true);
    // Frames go straight to the upgraded socket: `ws` would build a header for each receiver of each message, and
    // without compression nothing stands between two whole frames (docs/decisions).
    const outbox = createOutbox({
      sink: socketSink(socket),
      flusher: options.flusher,
      limits: { soft: config.softBacklog, hard: config.hardBacklog },
      onOverflow: () => ws.terminate(),
    });
    const transport: Transport = {
      outbox,
      send: (text: string) => outbox.push(textFrame(text)),
      close: ({ code, reason }: CloseCode) => {
        // What is waiting and the close frame leave in one system call: a revocation may close thousands.
        socket.cork();
        outbox.flush();
        outbox.close();
        ws.close(code, reason);
        socket.uncork();
        // Whoever floods goes on while it is waited for, and every frame of that would still be read (D18).
        if (code === CLOSE.policy.code) clock.after(FLOOD_PATIENCE, () => ws.terminate());
      },
      terminate: () => ws.terminate(),
    };
    const whole = { transport, services, proof };
    const parts = faults?.into(whole) ?? whole;
    const connection = new Connection(peer, parts.transport, parts.services, parts.proof);
    faults?.begin(connection);
    const now = clock.monotonic();
    const entry: Live = {
      socket: ws,
      connection,
      pingDue: now + config.pingInterval * 1000,
      unanswered: 0,
      pings: 0,
      pingWindow: now,
    };
    registry.add(connection);
    live.add(entry);
    observe.opened();

    // Binary frames are read as the UTF-8 they hold: some bots send JSON as bytes.
    ws.on('message', (data) => connection.receive(String(data)));
    ws.on('pong', () => {
      entry.unanswered = 0;
    });
    ws.on('ping', () => countPing(entry));
    // `ws` closes with the right code by itself (1002, 1007, 1009); without a listener the process would die.
    ws.on('error', () => {});
    ws.on('close', (code) => {
      live.delete(entry);
      outbox.close();
      connection.gone();
      observe.closed(code);
    });
  }

  /** More pings a second than a healthy peer has use for (R62). */
  function countPing(entry: Live): void {
    const now = clock.monotonic();
    if (now - entry.pingWindow >= 1000) {
      entry.pingWindow = now;
      entry.pings = 0;
    }
    entry.pings += 1;
    if (entry.pings > config.pingsPerSecond) entry.connection.close(CLOSE.policy);
  }

  /** Each connection is pinged on its own schedule, so that thousands are not pinged in one turn (R64). */
  const stopPinging = clock.every(PING_TICK, () => {
    const now = clock.monotonic();
    for (const entry of live) {
      if (now < entry.pingDue) continue;
      // Found within two intervals (R64): one to notice the silence, one to make sure of it.
      if (entry.unanswered >= 1) {
        entry.socket.terminate();
        continue;
      }
      entry.unanswered += 1;
      entry.pingDue = now + config.pingInterval * 1000;
      entry.socket.ping();
    }
  });

  options.server.on('upgrade', onUpgrade);

  return {
    stopAccepting() {
      accepting = false;
    },
    async closeAll(code, windowMs) {
      const all = [...live];
      const gone = all.map(
        (entry) => new Promise<void>((resolve) => entry.socket.once('close', () => resolve())),
      );
      const step = all.length === 0 ? 0 : windowMs / all.length;
      all.forEach((entry, index) => {
        if (step * index < 1) entry.connection.close(code);
        else clock.after(step * index, () => entry.connection.close(code));
      });
      await Promise.all(gone);
    },
    close() {
      accepting = false;
      stopPinging();
      options.server.off('upgrade', onUpgrade);
      for (const entry of live) entry.socket.terminate();
    },
  };
}

/** DESIGN "One identity for all doors". */
const PATHS: ReadonlySet<string> = new Set(['/', '/ws', '/ws/']);

const pathOf = (request: IncomingMessage): string => (request.url ?? '').split('?', 1)[0] ?? '';

/** Only the Bearer scheme counts; a relay URL makes curl send Basic, which proves nothing (wire facts 4.3). */
function bearer(request: IncomingMessage): string | null {
  return /^Bearer +([^\s]+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? null;
}
