/**
 * A venue that speaks both WebSocket dialects from memory, keeps what it published as the truth to compare with, and
 * mistreats frames as it is told. It serves in-memory sockets, so that a test owns every turn of the loop, and real ones.
 */
import type { SocketConstructor, SocketLike } from '../../src/index.ts';

export type Fate = 'pass' | 'drop' | 'double' | 'late';

export interface Published {
  epoch: string;
  sequence: number;
  value: number;
  levels: [side: 'bid' | 'ask', price: string, quantity: string][];
}

interface Stream {
  id: string;
  channel: string;
  key: string;
  epoch: string;
  sequence: number;
  log: Published[];
}

/** One connection, from the venue's side. */
export interface Peer {
  send(text: string): void;
  close(code: number): void;
}

interface Guest {
  peer: Peer;
  dialect: 'ethgas' | 'coinbase' | null;
  holds: Set<string>;
  signedIn: boolean;
  count: number;
  late: string | null;
}

const BOOKS = new Set(['level2', 'orderBookUpdate']);
const PRIVATE = new Set(['user', 'accountOrderUpdate']);

export interface VenueOptions {
  /** coinbase: number all frames of a connection, offer no recovery. */
  connectionSequence?: boolean;
  /** Publications kept for recovery. */
  history?: number;
}

export class FakeVenue {
  /** Every publication of every stream, epochs and all. */
  readonly truth = new Map<string, Published[]>();
  readonly heard: Record<string, unknown>[] = [];
  readonly tokens: string[] = [];
  connects = 0;
  readonly connectedAt: number[] = [];
  now: () => number = () => 0;
  /** What becomes of the next stream frame. */
  fate: () => Fate = () => 'pass';
  /** Code with which a new connection is closed at once, or null. */
  dropAtOnce: number | null = null;
  /** Refuses the upgrade, as far as the client can see. */
  refuse: { status: number; retryAfter: number | null } | null = null;
  /** Says nothing at all, not even to pings. */
  mute = false;
  /** Answers requests of this kind with a refusal; null to carry it out. */
  refusal: (request: Record<string, unknown>) => object | null = () => null;
  /** False: the token is refused. */
  accepts: (token: string) => boolean = () => true;
  readonly known = new Set<string>();
  readonly #streams = new Map<string, Stream>();
  readonly #guests = new Set<Guest>();
  readonly #options: VenueOptions;

  constructor(options: VenueOptions = {}) {
    this.#options = options;
  }

  get guests(): number {
    return this.#guests.size;
  }

  /** A WebSocket class whose other end is this venue. */
  get WebSocket(): SocketConstructor {
    const venue = this;
    return class implements SocketLike {
      binaryType = '';
      onopen: ((event: never) => void) | null = null;
      onmessage: ((event: { data: unknown }) => void) | null = null;
      onclose: ((event: { code: number; reason: string }) => void) | null = null;
      onerror: ((event: never) => void) | null = null;
      refusal: { status: number; retryAfter: number | null } | null = null;
      #receive: ((text: string) => void) | null = null;
      #gone: (() => void) | null = null;

      constructor(_url: string) {
        queueMicrotask(() => {
          venue.connects += 1;
          venue.connectedAt.push(venue.now());
          if (venue.refuse !== null) {
            this.refusal = venue.refuse;
            this.#close(1006);
            return;
          }
          this.onopen?.({} as never);
          const { receive, gone } = venue.welcome({
            send: (text) => queueMicrotask(() => this.onmessage?.({ data: text })),
            close: (code) => queueMicrotask(() => this.#close(code)),
          });
          this.#receive = receive;
          this.#gone = gone;
        });
      }

      send(text: string): void {
        queueMicrotask(() => this.#receive?.(text));
      }

      close(code = 1000): void {
        this.#gone?.();
        queueMicrotask(() => this.#close(code));
      }

      terminate(): void {
        this.#gone?.();
        this.#close(1006);
      }

      #close(code: number): void {
        const tell = this.onclose;
        this.#gone?.();
        this.onclose = null;
        this.onmessage = null;
        tell?.({ code, reason: '' });
      }
    };
  }

  welcome(peer: Peer): { receive: (text: string) => void; gone: () => void } {
    const guest: Guest = { peer, dialect: null, holds: new Set(), signedIn: false, count: 0, late: null };
    this.#guests.add(guest);
    const gone = () => void this.#guests.delete(guest);
    if (this.dropAtOnce !== null) {
      peer.close(this.dropAtOnce);
      gone();
    }
    return { receive: (text) => this.#receive(guest, text), gone };
  }

  /** Publishes the next value of a stream; for books it also sets a level. */
  publish(channel: string, key: string, levels: Published['levels'] = []): Published {
    const stream = this.#stream(channel, key);
    stream.sequence += 1;
    const truth = this.truth.get(stream.id)!;
    const { epoch, sequence } = stream;
    const published: Published = { epoch, sequence, value: truth.length + 1, levels };
    truth.push(published);
    stream.log.push(published);
    if (stream.log.length > (this.#options.history ?? 1000)) stream.log.shift();
    for (const guest of this.#guests) {
      if (guest.holds.has(stream.id)) this.#push(guest, () => this.#frame(guest, stream, published, false));
    }
    return published;
  }

  /** The venue lost a stream's past and begins to count anew; its readers are shown the state. */
  newEpoch(channel: string, key: string): void {
    const stream = this.#stream(channel, key);
    // Updates name no epoch. Were the first frame of the new one lost or overtaken, and did the numbers go on where
    // they were, nobody could tell: a limit of the wire that `Tracker` names, and that TCP keeps from happening.
    for (const guest of this.#guests) if (guest.late !== null) this.#say(guest, guest.late);
    for (const guest of this.#guests) guest.late = null;
    const book = this.bookAt(stream.id, stream.epoch, stream.sequence);
    stream.epoch = `${stream.epoch}'`;
    stream.sequence = 0;
    stream.log = [];
    const { fate } = this;
    this.fate = () => 'pass';
    this.publish(channel, key, book);
    this.fate = fate;
  }

  /** Ends every connection. */
  cut(code = 1006): void {
    for (const { peer } of [...this.#guests]) peer.close(code);
    this.#guests.clear();
  }

  beat(): void {
    for (const guest of this.#guests) {
      if (guest.holds.has('heartbeats/')) {
        this.#say(
          guest,
          this.#envelope(guest, 'heartbeats', 0, [{ current_time: 'x', heartbeat_counter: 1 }]),
        );
      }
    }
  }

  say(message: object): void {
    for (const guest of this.#guests) this.#say(guest, JSON.stringify(message));
  }

  position(channel: string, key: string): { epoch: string; sequence: number } {
    const { epoch, sequence } = this.#stream(channel, key);
    return { epoch, sequence };
  }

  /** The book as it was, by folding the truth. */
  bookAt(id: string, epoch: string, sequence: number): Published['levels'] {
    const levels = new Map<string, Published['levels'][number]>();
    for (const one of this.truth.get(id) ?? []) {
      for (const level of one.levels) {
        levels.delete(`${level[0]}${level[1]}`);
        if (level[2] !== '0') levels.set(`${level[0]}${level[1]}`, level);
      }
      if (one.epoch === epoch && one.sequence === sequence) break;
    }
    return [...levels.values()];
  }

  // ------------------------------------------------------------------------------------------ requests

  #receive(guest: Guest, text: string): void {
    if (!this.#guests.has(guest) || this.mute) return;
    if (text === 'ping') return this.#say(guest, 'pong');
    const request = JSON.parse(text) as Record<string, unknown>;
    this.heard.push(request);
    const refused = this.refusal(request);
    if ('op' in request) this.#ethgas(guest, request, refused);
    else this.#coinbase(guest, request, refused);
  }

  #ethgas(guest: Guest, { op, args, id }: Record<string, unknown>, refused: object | null): void {
    guest.dialect = 'ethgas';
    const arg = (args as Record<string, unknown>[])[0]!;
    const answer = (more: object) =>
      this.#say(guest, JSON.stringify({ event: op, arg, code: 0, msg: '', ...more, id }));
    const refuse = (error: object) => this.#say(guest, JSON.stringify({ event: 'error', arg, ...error, id }));
    if (refused !== null) return refuse(refused);
    if (op === 'login') {
      const token = String(arg.accessToken);
      this.tokens.push(token);
      if (!this.accepts(token)) return refuse({ code: 1000, msg: 'Invalid access token' });
      guest.signedIn = true;
      return answer({});
    }
    const channel = String(arg.channel);
    const stream = this.#stream(channel, String(arg.marketType ?? ''));
    if (op === 'unsubscribe') {
      guest.holds.delete(stream.id);
      return answer({});
    }
    if (PRIVATE.has(channel) && !guest.signedIn) return refuse({ code: 1000, msg: 'no' });
    if (guest.holds.has(stream.id)) return answer({});
    const since = PRIVATE.has(channel)
      ? (arg.recover as Record<string, unknown> | undefined)?.['7']
      : arg.recover;
    const { missed, recovered } = this.#since(stream, since);
    guest.holds.add(stream.id);
    const { epoch, sequence } = stream;
    const place = (value: unknown) => (PRIVATE.has(channel) ? { 7: value } : value);
    answer({
      position: place({ epoch, sequence }),
      ...(recovered === null ? {} : { recovered: place(recovered) }),
    });
    this.#opening(guest, stream, missed);
  }

  #coinbase(guest: Guest, request: Record<string, unknown>, refused: object | null): void {
    guest.dialect = 'coinbase';
    if (refused !== null) return this.#say(guest, JSON.stringify({ type: 'error', ...refused }));
    const { type, jwt } = request;
    const channel = String(request.channel);
    if (typeof jwt === 'string') this.tokens.push(jwt);
    if (PRIVATE.has(channel) && (typeof jwt !== 'string' || !this.accepts(jwt))) {
      return this.#say(guest, '{"type":"error","message":"authentication failure"}');
    }
    const keys = channel === 'heartbeats' || channel === 'user' ? [''] : (request.product_ids as string[]);
    const positions: Record<string, object> = {};
    const recovers: Record<string, boolean> = {};
    for (const key of keys) {
      const stream = this.#stream(channel, key);
      if (type === 'unsubscribe') guest.holds.delete(stream.id);
      // The live service is silent about products that it does not know.
      if (type === 'unsubscribe' || guest.holds.has(stream.id) || key.startsWith('NO-')) continue;
      const name = key === '' ? channel : key;
      const { missed, recovered } = this.#since(stream, (request.recover as Record<string, unknown>)?.[name]);
      guest.holds.add(stream.id);
      positions[name] = { epoch: stream.epoch, sequence: stream.sequence };
      if (recovered !== null) recovers[name] = recovered;
      this.#opening(guest, stream, missed);
    }
    const subscriptions: Record<string, string[]> = {};
    for (const id of guest.holds) {
      const [name = '', key = ''] = id.split('/');
      const shown = name === 'user' ? 'user-id' : name === 'heartbeats' ? 'heartbeats' : key;
      subscriptions[name] = [...(subscriptions[name] ?? []), shown];
    }
    const more = request.recover === undefined ? {} : { positions, recovered: recovers };
    this.#say(guest, this.#envelope(guest, 'subscriptions', 0, [{ subscriptions }], more));
  }

  #since(stream: Stream, since: unknown): { missed: Published[] | null; recovered: boolean | null } {
    if (since === undefined || this.#options.connectionSequence) return { missed: null, recovered: null };
    const { epoch, sequence } = since as { epoch: string; sequence: number };
    const first = stream.log[0]?.sequence ?? stream.sequence + 1;
    if (epoch !== stream.epoch || sequence > stream.sequence || sequence + 1 < first) {
      return { missed: null, recovered: false };
    }
    return { missed: stream.log.filter((one) => one.sequence > sequence), recovered: true };
  }

  #opening(guest: Guest, stream: Stream, missed: Published[] | null): void {
    if (missed !== null) {
      for (const one of missed) this.#push(guest, () => this.#frame(guest, stream, one, false));
      return;
    }
    if (!BOOKS.has(stream.channel) && stream.channel !== 'user') return;
    if (stream.sequence === 0 && guest.dialect === 'ethgas') return;
    const { epoch, sequence, id } = stream;
    const state = { epoch, sequence, value: 0, levels: this.bookAt(id, epoch, sequence) };
    this.#push(guest, () => this.#frame(guest, stream, state, true));
  }

  // ------------------------------------------------------------------------------------------ frames

  #frame(guest: Guest, { channel, key }: Stream, one: Published, snapshot: boolean): string {
    const { epoch, sequence, value, levels } = one;
    const first = sequence === 1 && value !== 1 && BOOKS.has(channel);
    if (guest.dialect === 'ethgas') {
      const side = (which: string) => levels.filter(([s]) => s === which).map(([, p, q]) => ({ p, q }));
      const payload = BOOKS.has(channel) ? { a: side('ask'), b: side('bid'), t: 0 } : { i: value };
      const shown = PRIVATE.has(channel) ? (key === '' ? '7' : `${key}/7`) : key;
      return JSON.stringify({
        e: channel,
        E: 0,
        s: 'X',
        ...(snapshot || first ? { a: 'Snapshot' } : {}),
        P: payload,
        ...(shown === '' ? {} : { key: shown }),
        sequence,
        ...(snapshot || sequence === 1 ? { epoch } : {}),
      });
    }
    const type = snapshot || first ? 'snapshot' : 'update';
    const updates = levels.map(([s, price, quantity]) => ({
      side: s === 'bid' ? 'bid' : 'offer',
      event_time: '',
      price_level: price,
      new_quantity: quantity,
    }));
    const event =
      channel === 'level2'
        ? { type, product_id: key, updates }
        : channel === 'user'
          ? { type, orders: snapshot ? [] : [{ order_id: String(value) }] }
          : channel === 'ticker'
            ? { type, tickers: [{ product_id: key, price: String(value) }] }
            : { type, trades: [{ trade_id: String(value), product_id: key }] };
    return this.#envelope(guest, channel === 'level2' ? 'l2_data' : channel, sequence, [event]);
  }

  #envelope(guest: Guest, channel: string, sequence: number, events: object[], more: object = {}): string {
    const number = this.#options.connectionSequence ? guest.count++ : sequence;
    return JSON.stringify({
      channel,
      timestamp: '2026-01-01T00:00:00Z',
      sequence_num: number,
      events,
      ...more,
    });
  }

  /** A stream frame, to which things may happen. */
  #push(guest: Guest, make: () => string): void {
    const text = make();
    const fate = this.fate();
    const { late } = guest;
    if (fate === 'late' && late === null) {
      guest.late = text;
      return;
    }
    if (fate !== 'drop') this.#say(guest, text);
    if (fate === 'double') this.#say(guest, text);
    if (late !== null) {
      guest.late = null;
      this.#say(guest, late);
    }
  }

  #say(guest: Guest, text: string): void {
    if (!this.mute) guest.peer.send(text);
  }

  #stream(channel: string, key: string): Stream {
    const id = `${channel}/${key}`;
    let stream = this.#streams.get(id);
    if (stream === undefined) {
      stream = { id, channel, key, epoch: 'e', sequence: 0, log: [] };
      this.#streams.set(id, stream);
      this.truth.set(id, []);
    }
    return stream;
  }
}

/** Lets everything that is ready to happen happen. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
}
