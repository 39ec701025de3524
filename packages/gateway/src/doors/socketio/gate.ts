/** What a Socket.IO transport has to pass before it is one: upgrades, requests of long-polling, and whose they are. */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { ERRORS, Refusal } from '@countersign/protocol';
import type { FastifyInstance } from 'fastify';
import type { Server, Socket } from 'socket.io';
import { admitHandshake } from '../../connection/admission.ts';
import type { ConnectionServices } from '../../connection/services.ts';
import type { OriginCheck } from '../origin.ts';
import type { Sources } from '../source.ts';
import type { SourceCounter } from '../source-counter.ts';
import { isSocketIo, refuseUpgrade } from '../upgrade.ts';

export interface GateOptions {
  engine: Server['engine'];
  fastify: FastifyInstance;
  /** Long-polling is served too. */
  polling: boolean;
  services: ConnectionServices;
  sources: Sources;
  perSource: SourceCounter;
  originAllowed: OriginCheck;
  /** Throws Refusal if an address asks for what it may not have. */
  checkAddress(url: string): void;
  log: { info(entry: object, message: string): void };
  /** Told the HTTP status of each refusal. */
  refused(status: number): void;
}

export interface Gate {
  /** For the listener's `upgrade`. Leaves alone what is not for Socket.IO. */
  onUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** Logs and counts a refusal, and gives it back; what is none becomes one. */
  refusal(request: IncomingMessage, error: unknown): Refusal;
  /** From now on everything is refused with 503. */
  stopAccepting(): void;
}

export function createGate(options: GateOptions): Gate {
  const { engine, services, sources, perSource, polling } = options;
  let accepting = true;
  /** Transports of their own sources; kept only with polling, where a transport is named in later requests. */
  const sourceOfSid = new Map<string, string>();
  const sidOf = (request: IncomingMessage): string | null =>
    new URLSearchParams((request.url ?? '').split('?', 2)[1] ?? '').get('sid');

  /** @throws Refusal, by the promise */
  async function admit(request: IncomingMessage): Promise<void> {
    if (!accepting) throw new Refusal('unavailable', 'draining', { retryAfter: 1 });
    if (!options.originAllowed(request)) throw new Refusal('origin_refused', 'origin');
    const sid = sidOf(request);
    if (sid === null) {
      options.checkAddress(request.url ?? '');
      await admitHandshake(services, sources.source(request), true);
    } else if (sourceOfSid.get(sid) !== sources.source(request)) {
      // R69: the id of a transport is no credential. It counts only for where the transport came from.
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

  function refusal(request: IncomingMessage, error: unknown): Refusal {
    const refused = error instanceof Refusal ? error : new Refusal('internal', 'handshake failed');
    if (refused.code === 'internal') services.fault('socketio.handshake', error);
    const { code, reason } = refused;
    options.log.info({ event: 'socketio.refused', code, reason, source: sources.source(request) }, 'refused');
    options.refused(ERRORS[code].status);
    return refused;
  }

  options.fastify.all('/socket.io/', {
    // Before the body is read: with polling, it is Engine.IO's.
    onRequest: (request, reply, done) => {
      if (!polling) {
        reply
          .code(400)
          .send({ code: 0, message: 'Transport unknown: connect with transports: ["websocket"]' });
        return;
      }
      admit(request.raw).then(
        () => {
          reply.hijack();
          engine.handleRequest(request.raw as never, reply.raw);
        },
        (error: unknown) => done(refusal(request.raw, error)),
      );
    },
    handler: () => {},
  });

  if (polling) {
    engine.on('connection', (conn: Socket['conn']) => {
      const { request, transport } = conn;
      const { id } = conn as unknown as { id: string };
      sourceOfSid.set(id, sources.source(request));
      conn.once('close', () => sourceOfSid.delete(id));
      try {
        if (transport.name === 'polling') enter(request, conn);
      } catch (error) {
        refusal(request, error);
        conn.close(true);
      }
    });
  }

  return {
    onUpgrade(request, socket, head) {
      if (!isSocketIo(request)) return;
      socket.on('error', () => socket.destroy());
      admit(request)
        .then(() => {
          if (socket.destroyed) return;
          if (sidOf(request) === null) enter(request, socket);
          engine.handleUpgrade(request as never, socket as never, head);
        })
        .catch((error: unknown) => refuseUpgrade(socket, refusal(request, error)));
    },
    refusal,
    stopAccepting() {
      accepting = false;
    },
  };
}
