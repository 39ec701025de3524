/**
 * The parser that the Socket.IO library is given (protocol 5). It reads what opens and ends a connection, hands
 * events on as text to the dialect, and refuses everything that nobody here has a use for: binary packets and
 * attachments, acknowledgements, names that are no strings (R67). What it throws closes the transport.
 */
import { EventEmitter } from 'node:events';
import { SOCKETIO_RESERVED } from '@countersign/protocol';
import { readObject } from '../../dialects/read-json.ts';

/** Under this name an event arrives at the library's socket, with its packet as text. */
export const PACKET = 'packet';

const TYPE = { connect: 0, disconnect: 1, event: 2 } as const;

interface Packet {
  type: number;
  nsp: string;
  data?: unknown;
  id?: number;
}

const MAX_CONNECT = 16 * 1024;
/** CONNECT packets on one transport: one that counts, and a few mistakes in the namespace. */
const MAX_CONNECTS = 4;
const NAMESPACE = /^\/[^,?]{0,64}$/;
/** Type, acknowledgement id of a safe integer, and the name with the start of the list. */
const EVENT = /^2\d{0,15}\[\s*("(?:[^"\\]|\\.){1,128}")\s*[,\]]/;

export class Encoder {
  encode({ type, nsp, data, id }: Packet): string[] {
    const namespace = nsp === '/' ? '' : `${nsp},`;
    return [`${type}${namespace}${id ?? ''}${data === undefined ? '' : JSON.stringify(data)}`];
  }
}

export class Decoder extends EventEmitter {
  #connects = 0;
  #connected = false;

  /** @throws Error for whatever is not expected; the library then closes the transport */
  add(data: unknown): void {
    if (typeof data !== 'string') throw new Error('binary packets are not accepted');
    const [namespace, rest] = split(data);
    switch (data.charAt(0)) {
      case '0':
        return this.#connect(namespace, rest);
      case '1':
        if (rest !== '') throw new Error('a disconnect has no payload');
        return this.#decoded({ type: TYPE.disconnect, nsp: namespace });
      case '2':
        return this.#event(namespace, `2${rest}`);
      default:
        throw new Error('packets of this type are not accepted');
    }
  }

  destroy(): void {
    this.removeAllListeners();
  }

  #connect(nsp: string, payload: string): void {
    this.#connects += 1;
    // A second one for the same namespace would race the first through authentication (R68).
    const again = nsp === '/' && this.#connected;
    if (again || this.#connects > MAX_CONNECTS) throw new Error('connected before');
    if (nsp === '/') this.#connected = true;
    const data = payload === '' ? undefined : payload.length > MAX_CONNECT ? null : readObject(payload);
    if (data === null) throw new Error('the payload of a connect is one object');
    this.#decoded({ type: TYPE.connect, nsp, ...(data === undefined ? {} : { data }) });
  }

  #event(nsp: string, packet: string): void {
    const literal = EVENT.exec(packet)?.[1];
    if (literal === undefined || SOCKETIO_RESERVED.has(JSON.parse(literal) as string)) {
      throw new Error('an event begins with its name');
    }
    this.#decoded({ type: TYPE.event, nsp, data: [PACKET, packet] });
  }

  #decoded(packet: Packet): void {
    this.emit('decoded', packet);
  }
}

/** The namespace, and what follows it. */
function split(packet: string): [namespace: string, rest: string] {
  if (packet.charAt(1) !== '/') return ['/', packet.slice(1)];
  const comma = packet.indexOf(',');
  const namespace = packet.slice(1, comma < 0 ? undefined : comma);
  if (!NAMESPACE.test(namespace)) throw new Error('not a namespace');
  return [namespace, comma < 0 ? '' : packet.slice(comma + 1)];
}
