/**
 * The Socket.IO door: handshakes, limits on bytes, and events handed to the same connections that the WebSocket
 * door has. The library does transports, pings and namespaces; what it sends is its own packets and nothing else,
 * since ours leave as ready frames.
 */
import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { Socket as NetSocket } from 'node:net';
import type { Duplex } from 'node:stream';
import { CLOSE, type CloseCode, ERRORS, Refusal } from '@countersign/protocol';
import type { FastifyInstance } from 'fastify';
import { type Socket, Server as SocketIoServer } from 'socket.io';
import { admitHandshake, requireRoom } from '../connection/admission.ts';
import { Connection } from '../connection/connection.ts';
import type { ConnectionRegistry } from '../connection/registry.ts';
import type { ConnectionServices, Peer, Proof } from '../connection/services.ts';
import type { Transport } from '../connection/transport.ts';
import { packetFrame } from '../dialects/chainworks-packet.ts';
import type { Clock } from '../operations/clock.ts';
import type { Config } from '../operations/config.ts';
import type { Credential } from '../session/principal.ts';
import type { Flusher } from '../streams/flusher.ts';
import { createOutbox } from '../streams/outbox.ts';
import { socketSink } from '../streams/socket-sink.ts';
import type { FaultSimulator } from './faults/simulator.ts';
import type { OriginCheck } from './origin.ts';
import { engineSink } from './socketio/engine-sink.ts';
import { type CheckHandshake, ConnectRefused, isFinal } from './socketio/handshake.ts';
import { Decoder, Encoder, PACKET } from './socketio/parser.ts';
import { webSocketEngine } from './socketio/web-socket-engine.ts';
import type { Sources } from './source.ts';
import { SourceCounter } from './source-counter.ts';
import { asksForLimits, isSocketIo, refuseUpgrade } from './upgrade.ts';

export interface SocketIoDoorOptions {
  server: Server;
  /** Where long-polling arrives, and where it is refused. Before it listens. */
  fastify: FastifyInstance;
  config: Pick<Config, 'socketio' | 'websocket' | 'http'>;
  clock: Clock;
  flusher: Flusher;
  registry: ConnectionRegistry;
  /** With the one dialect of this door, and for what comes in a `login` event. */
  services: ConnectionServices;
  sources: Sources;
  originAllowed: OriginCheck;
  faults: FaultSimulator;
  checkHandshake: CheckHandshake;
  /** Told of every event that somebody sent. */
  used(credential: Credential): void;
  log: { info(entry: object, message: string): void };
  /** Counters for the metrics; called at most once per event. */
  observe: {
    opened(): void;
    closed(reason: string, by: 'gateway' | 'peer'): void;
    refused(status: number): void;
  };
}

export interface SocketIoDoor {
  /** From now on handshakes are refused with 503. */
  stopAccepting(): void;
  /** Closes every connection with `code`, spread over `windowMs`, and resolves when all are gone. */
  closeAll(code: CloseCode, windowMs: number): Promise<void>;
  close(): void;
}

interface SocketData {
  peer: Peer;
  proof: Proof;
}
type Client = Socket<Record<string, (packet: string) => void>, object, object, SocketData>;

/** Milliseconds in which a refused client may close by itself, once it has been told. */
const REFUSED_LINGER = 100;
/** Milliseconds after which a peer that does not answer a close frame is dropped. */
const CLOSE_PATIENCE = 3000;
/** Events and everything else that a transport carries, against events alone. */
const MESSAGES_PER_EVENT = 2;

export function createSocketIoDoor(options: SocketIoDoorOptions): SocketIoDoor {
  const { clock, registry, services, sources, observe } = options;
  const { socketio, websocket } = options.config;
  const live = new Map<Client, Connection>();
  const perSource = new SourceCounter(websocket.connectionsPerSource);
  let accepting = true;

  const io = new SocketIoServer<Record<string, (packet: string) => void>, object, object, SocketData>({
    path: '/socket.io',
    transports: socketio.polling ? ['polling', 'websocket'] : ['websocket'],
    serveClient: false,
    maxHttpBufferSize: socketio.messageLimit,
    perMessageDeflate: false,
    httpCompression: false,
    pingInterval: socketio.pingInterval * 1000,
    pingTimeout: socketio.pingTimeout * 1000,
    connectTimeout: socketio.connectDeadline * 1000,
    cleanupEmptyChildNamespaces: true,
    ...(socketio.polling ? { cors: { origin: [...options.config.http.origins] } } : {}),
    parser: { Encoder, Decoder },
    wsEngine: webSocketEngine({
      fragmentLimit: websocket.fragmentLimit,
      pingsPerSecond: websocket.pingsPerSecond,
      messagesPerSecond: websocket.messagesPerSecond * MESSAGES_PER_EVENT,
      messageBurst: websocket.messageBurst * MESSAGES_PER_EVENT,
      closePatience: CLOSE_PATIENCE,
      now: clock.monotonic,
    }),
  });
  // A server that never listens: attached to the real one, Engine.IO would answer upgrades before our checks, and
  // all it can answer is 400.
  io.attach(createServer());
  const { engine } = io;

  // ------------------------------------------------------------------------------ before there is a transport

  function peerOf(request: IncomingMessage): Peer {
    return {
      id: randomBytes(4).toString('hex'),
      door: 'socketio',
      address: sources.address(request),
      source: sources.source(request),
      since: clock.now(),
      showsLimits: asksForLimits(request),
    };
  }

  /** Transports of their own sources; kept only with polling, where a transport is named in later requests. */
  const sourceOfSid = new Map<string, string>();
  const sidOf = (request: IncomingMessage): string | null =>
    new URLSearchParams((request.url ?? '').split('?', 2)[1] ?? '').get('sid');

  /** @throws Refusal */
  function admit(request: IncomingMessage): void {
    if (!accepting) throw new Refusal('unavailable', 'draining', { retryAfter: 1 });
    if (!options.originAllowed(request)) throw new Refusal('origin_refused', 'origin');
    const sid = sidOf(request);
    // What they are is looked up when the connection opens; refused is who may not have them, or misspelt them.
    if (sid === null) options.faults.of(request.url ?? '');
    // R69: the id of a transport is no credential. It counts only for where the transport came from.
    if (sid !== null && sourceOfSid.get(sid) !== sources.source(request)) {
      throw new Refusal('invalid_request', "somebody else's transport id");
    }
  }
  /** Counts a connection until it is closed. @throws Refusal */
  function enter(request: IncomingMessage, until: { once(event: 'close', done: () => void): unknown }): void {
    const source = sources.source(request);
    if (!perSource.enter(source))
      throw new Refusal('rate_limited', 'connections per source', { retryAfter: 5 });
    until.once('close', () => perSource.leave(source));
  }

  function refused(request: IncomingMessage, error: unknown): Refusal {
    const refusal = error instanceof Refusal ? error : new Refusal('internal', 'handshake failed');
    if (refusal.code === 'internal') services.fault('socketio.handshake', error);
    const { code, reason } = refusal;
    options.log.info({ event: 'socketio.refused', code, reason, source: sources.source(request) }, 'refused');
    observe.refused(ERRORS[code].status);
    return refusal;
  }

  const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    if (!isSocketIo(request)) return;
    socket.on('error', () => socket.destroy());
    admitted(request)
      .then(() => {
        if (socket.destroyed) return;
        if (sidOf(request) === null) enter(request, socket);
        engine.handleUpgrade(request as never, socket as never, head);
      })
      .catch((error: unknown) => refuseUpgrade(socket, refused(request, error)));
  };

  /** {@link admit}, and counts a handshake that begins (R27). @throws Refusal, by the promise */
  async function admitted(request: IncomingMessage): Promise<void> {
    admit(request);
    if (sidOf(request) === null) await admitHandshake(services, sources.source(request), true);
  }

  options.fastify.all('/socket.io/', {
    // Before the body is read: with polling, it is Engine.IO's.
    onRequest: (request, reply, done) => {
      if (!socketio.polling) {
        reply
          .code(400)
          .send({ code: 0, message: 'Transport unknown: connect with transports: ["websocket"]' });
        return;
      }
      admitted(request.raw).then(
        () => {
          reply.hijack();
          engine.handleRequest(request.raw as never, reply.raw);
        },
        (error: unknown) => done(refused(request.raw, error)),
      );
    },
    handler: () => {},
  });

  if (socketio.polling) {
    io.engine.on('connection', (conn: Client['conn']) => {
      const { request, transport } = conn;
      const { id } = conn as unknown as { id: string };
      sourceOfSid.set(id, sources.source(request));
      conn.once('close', () => sourceOfSid.delete(id));
      try {
        if (transport.name === 'polling') enter(request, conn);
      } catch (error) {
        refused(request, error);
        conn.close(true);
      }
    });
  }

  // ------------------------------------------------------------------------------ from transport to connection

  io.use((client, next) => {
    const { request } = client;
    const peer = peerOf(request);
    options
      .checkHandshake(request, client.handshake.auth, peer)
      .then((proof) => {
        requireRoom(services, proof.principal);
        client.data.peer = peer;
        client.data.proof = proof;
        next();
      })
      .catch((error: unknown) => {
        const refusal = refused(request, error);
        const final = isFinal(refusal) || refusal.code === 'rate_limited';
        // JavaScript clients never try again after an answer: what may pass in a moment gets none.
        if (!final) client.conn.close();
        next(new ConnectRefused(refusal));
        if (final) clock.after(REFUSED_LINGER, () => client.conn.close());
      });
  });

  io.on('connection', (client) => {
    const { peer, proof } = client.data;
    const { conn, request } = client;
    const socket = request.socket as NetSocket;
    socket.setNoDelay(true);
    let closedBy: CloseCode | null = null;
    const outbox = createOutbox({
      // Frames go straight to the upgraded socket, as on the WebSocket door (docs/decisions).
      sink: socketio.polling ? engineSink(conn) : socketSink(socket),
      flusher: options.flusher,
      limits: { soft: websocket.softBacklog, hard: websocket.hardBacklog },
      onOverflow: () => terminate(),
    });
    const terminate = () => (socketio.polling ? conn.close(true) : socket.destroy());
    const transport: Transport = {
      outbox,
      send: (packet) => outbox.push(packetFrame(packet)),
      close(code) {
        closedBy = code;
        outbox.flush();
        outbox.close();
        // A server disconnect tells clients to stay away; a lost transport makes them come back.
        if (code.then === 'stop') client.disconnect(true);
        else conn.close();
        if (!socketio.polling) clock.after(CLOSE_PATIENCE, () => socket.destroy());
      },
      terminate,
    };
    const faults = options.faults.of(request.url ?? '');
    const whole = { transport, services, proof };
    const parts = faults?.into(whole) ?? whole;
    const connection = new Connection(peer, parts.transport, parts.services, parts.proof);
    faults?.begin(connection);
    registry.add(connection);
    live.set(client, connection);
    observe.opened();

    client.on(PACKET, (packet) => {
      const { credential } = connection;
      if (credential !== null) options.used(credential);
      connection.receive(packet);
    });
    client.on('disconnect', (reason) => {
      live.delete(client);
      outbox.close();
      connection.gone();
      // One that left the namespace has no further use for its transport.
      conn.close();
      observe.closed(
        closedBy === null ? reason : String(closedBy.code),
        closedBy === null ? 'peer' : 'gateway',
      );
    });
  });

  options.server.on('upgrade', onUpgrade);

  return {
    stopAccepting() {
      accepting = false;
    },
    async closeAll(code, windowMs) {
      const all = [...live];
      const gone = all.map(
        ([{ conn }]) => new Promise<void>((resolve) => void conn.once('close', () => resolve())),
      );
      const step = all.length === 0 ? 0 : windowMs / all.length;
      all.forEach(([, connection], index) => {
        if (step * index < 1) connection.close(code);
        else clock.after(step * index, () => connection.close(code));
      });
      await Promise.all(gone);
    },
    close() {
      accepting = false;
      options.server.off('upgrade', onUpgrade);
      for (const connection of live.values()) connection.close(CLOSE.restart);
      engine.close();
    },
  };
}
