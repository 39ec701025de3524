import type { Socket as NetSocket } from 'node:net';
import type { CloseCode } from '@countersign/protocol';
import type { Socket } from 'socket.io';
import type { Transport } from '../../connection/transport.ts';
import { packetFrame } from '../../dialects/chainworks-packet.ts';
import type { Clock } from '../../operations/clock.ts';
import type { Flusher } from '../../streams/flusher.ts';
import { createOutbox } from '../../streams/outbox.ts';
import { socketSink } from '../../streams/socket-sink.ts';
import { engineSink } from './engine-sink.ts';

/** Milliseconds after which a peer that does not answer a close frame is dropped. */
export const CLOSE_PATIENCE = 3000;

export interface TransportOptions {
  client: Pick<Socket, 'conn' | 'disconnect'>;
  /** What the connection was upgraded on. */
  socket: NetSocket;
  /** The transport may be long-polling, or change: frames go through Engine.IO. */
  polling: boolean;
  flusher: Flusher;
  clock: Pick<Clock, 'after'>;
  /** Bytes behind at which slow-reader policies apply, and at which the peer is cut. */
  limits: { soft: number; hard: number };
}

/** A Socket.IO client as a connection sees it. `closedBy` is the code that it was closed with, from this side. */
export function socketIoTransport(
  options: TransportOptions,
): Transport & { readonly closedBy: CloseCode | null } {
  const { client, socket, polling, clock } = options;
  const { conn } = client;
  const terminate = () => void (polling ? conn.close(true) : socket.destroy());
  const outbox = createOutbox({
    // Frames go straight to the upgraded socket, as on the WebSocket door (docs/decisions).
    sink: polling ? engineSink(conn) : socketSink(socket),
    flusher: options.flusher,
    limits: options.limits,
    onOverflow: terminate,
  });
  let closedBy: CloseCode | null = null;
  return {
    outbox,
    get closedBy() {
      return closedBy;
    },
    send: (packet) => outbox.push(packetFrame(packet)),
    close(code) {
      closedBy = code;
      outbox.flush();
      outbox.close();
      // A server disconnect tells clients to stay away; a lost transport makes them come back.
      if (code.then === 'stop') client.disconnect(true);
      else conn.close();
      if (!polling) clock.after(CLOSE_PATIENCE, () => socket.destroy());
    },
    terminate,
  };
}
