/**
 * The Socket.IO door: handshakes, limits on bytes, and events handed to the same connections that the WebSocket
 * door has. The library does transports, pings and namespaces; what it sends is its own packets and nothing else,
 * since ours leave as ready frames.
 */
import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { Socket as NetSocket } from 'node:net';
import { CLOSE, type CloseCode } from '@countersign/protocol';
import type { FastifyInstance } from 'fastify';
import { type Socket, Server as SocketIoServer } from 'socket.io';
import { requireRoom } from '../connection/admission.ts';
import { Connection } from '../connection/connection.ts';
import type { ConnectionRegistry } from '../connection/registry.ts';
import type { ConnectionServices, Peer, Proof } from '../connection/services.ts';
import type { Clock } from '../operations/clock.ts';
import type { Config } from '../operations/config.ts';
import type { Credential } from '../session/principal.ts';
import type { Flusher } from '../streams/flusher.ts';
import type { FaultSimulator } from './faults/simulator.ts';
import type { OriginCheck } from './origin.ts';
import { createGate } from './socketio/gate.ts';
import { type CheckHandshake, ConnectRefused, isFinal } from './socketio/handshake.ts';
import { Decoder, Encoder, PACKET } from './socketio/parser.ts';
import { CLOSE_PATIENCE, socketIoTransport } from './socketio/transport.ts';
import { webSocketEngine } from './socketio/web-socket-engine.ts';
import type { Sources } from './source.ts';
import type { SourceCounter } from './source-counter.ts';
import { asksForLimits } from './upgrade.ts';

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
  /** Connections of each source address, over all doors. */
  perSource: SourceCounter;
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

export function createSocketIoDoor(options: SocketIoDoorOptions): SocketIoDoor {
  const { clock, registry, services, sources, observe } = options;
  const { socketio, websocket } = options.config;
  const live = new Map<Client, Connection>();

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
      messagesPerSecond: websocket.messagesPerSecond,
      messageBurst: websocket.messageBurst,
      closePatience: CLOSE_PATIENCE,
      now: clock.monotonic,
    }),
  });
  // A server that never listens: attached to the real one, Engine.IO would answer upgrades before our checks, and
  // all it can answer is 400.
  io.attach(createServer());
  const { engine } = io;

  const gate = createGate({
    engine,
    fastify: options.fastify,
    polling: socketio.polling,
    services,
    sources,
    perSource: options.perSource,
    originAllowed: options.originAllowed,
    // What they are is looked up when the connection opens; refused is who may not have them, or misspelt them.
    checkAddress: (url) => void options.faults.of(url),
    log: options.log,
    refused: observe.refused,
  });

  const peerOf = (request: IncomingMessage): Peer => ({
    id: randomBytes(4).toString('hex'),
    door: 'socketio',
    address: sources.address(request),
    source: sources.source(request),
    since: clock.now(),
    showsLimits: asksForLimits(request),
  });

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
        const refusal = gate.refusal(request, error);
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
    const transport = socketIoTransport({
      client,
      socket,
      polling: socketio.polling,
      flusher: options.flusher,
      clock,
      limits: { soft: websocket.softBacklog, hard: websocket.hardBacklog },
    });
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
      transport.outbox.close();
      connection.gone();
      // One that left the namespace has no further use for its transport.
      conn.close();
      const { closedBy } = transport;
      observe.closed(
        closedBy === null ? reason : String(closedBy.code),
        closedBy === null ? 'peer' : 'gateway',
      );
    });
  });

  options.server.on('upgrade', gate.onUpgrade);

  return {
    stopAccepting: gate.stopAccepting,
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
      gate.stopAccepting();
      options.server.off('upgrade', gate.onUpgrade);
      for (const connection of live.values()) connection.close(CLOSE.restart);
      engine.close();
    },
  };
}
