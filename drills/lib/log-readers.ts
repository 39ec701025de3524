/**
 * Light clients that follow one log each, over WebSocket (ETHGas) or Socket.IO, and count what they miss: so light that
 * two thousand fit beside the gateways. One that is closed comes back and names its last position.
 */
import { WebSocket } from 'ws';

export interface LogReaderOptions {
  /** `ws://host:port`, of a node or of a balancer. */
  url: string;
  protocol: 'websocket' | 'socketio';
  /** Without one, the reader stays anonymous. */
  token?: string;
  channel: string;
  marketType: string;
  /** Milliseconds until it comes back; null = it stays away. */
  comeBack: (() => number) | null;
}

interface Position {
  epoch: string;
  sequence: number;
}

export interface LogReader {
  /** Ready and reading. */
  readonly open: boolean;
  readonly position: Position;
  /** Of a private log: the account whose it is. */
  readonly account: string | null;
  readonly closes: readonly { code: number; at: number }[];
  /** When it was reading again, monotonic milliseconds. */
  readonly returns: readonly number[];
  /** Attempts that led to nothing. */
  readonly refused: number;
  readonly received: number;
  /** Publications that never came, though nobody said so. */
  readonly gaps: number;
  readonly doubled: number;
  /** Returns after which the gateway said that something was lost. */
  readonly lost: number;
  /** Events that are neither answers nor pushes. */
  readonly notices: readonly { name: string; at: number }[];
  /** When the last push came, monotonic milliseconds. */
  readonly lastPushAt: number;
  send(message: object): void;
  close(): void;
}

type Said = Record<string, unknown>;

/** Resolves when it reads; rejects if the first attempt leads to nothing. */
export function openLogReader(options: LogReaderOptions): Promise<LogReader> {
  const { protocol, token, channel, marketType, comeBack } = options;
  const overSocketIo = protocol === 'socketio';
  const url = overSocketIo ? `${options.url}/socket.io/?EIO=4&transport=websocket` : `${options.url}/ws`;
  const headers = token === undefined || overSocketIo ? {} : { authorization: `Bearer ${token}` };
  const closes: { code: number; at: number }[] = [];
  const returns: number[] = [];
  const notices: { name: string; at: number }[] = [];
  const tally = { refused: 0, received: 0, gaps: 0, doubled: 0, lost: 0, lastPushAt: 0 };
  let place: { account: string | null; position: Position } | null = null;
  let socket: WebSocket;
  let open = false;
  let over = false;

  return new Promise((resolve, reject) => {
    const reader: LogReader = {
      get open() {
        return open;
      },
      get position() {
        return place?.position ?? { epoch: '', sequence: 0 };
      },
      get account() {
        return place?.account ?? null;
      },
      closes,
      returns,
      notices,
      get refused() {
        return tally.refused;
      },
      get received() {
        return tally.received;
      },
      get gaps() {
        return tally.gaps;
      },
      get doubled() {
        return tally.doubled;
      },
      get lost() {
        return tally.lost;
      },
      get lastPushAt() {
        return tally.lastPushAt;
      },
      send: (message) => socket.send(JSON.stringify(message)),
      close() {
        over = true;
        socket.terminate();
      },
    };

    function want(): object {
      const recover =
        place === null
          ? {}
          : { recover: place.account === null ? place.position : { [place.account]: place.position } };
      return { channel, marketType, ...recover };
    }

    function subscribed(said: Said): void {
      const positions = (said.positions ?? said.position) as Position | Record<string, Position>;
      const flat = 'sequence' in positions;
      const account = flat ? null : Object.keys(positions)[0]!;
      const position = (flat ? positions : Object.values(positions)[0]) as Position;
      const whole =
        typeof said.recovered === 'object' && said.recovered !== null
          ? Object.values(said.recovered)[0]
          : said.recovered;
      if (place !== null && whole === true) place = { account, position: place.position };
      else {
        if (place !== null) tally.lost += 1;
        place = { account, position: { ...position } };
      }
      open = true;
      if (closes.length > 0) returns.push(performance.now());
      resolve(reader);
    }

    function pushed({ sequence, epoch }: Said): void {
      if (place === null) return;
      const { position } = place;
      tally.received += 1;
      tally.lastPushAt = performance.now();
      if (typeof epoch === 'string' && epoch !== position.epoch) {
        tally.gaps += 1;
        place.position = { epoch, sequence: Number(sequence) };
        return;
      }
      const ahead = Number(sequence) - position.sequence;
      if (ahead <= 0) tally.doubled += 1;
      else {
        tally.gaps += ahead - 1;
        position.sequence = Number(sequence);
      }
    }

    /** ETHGas, phrased with `op`. */
    function hear(said: Said): void {
      if (said.e === channel) {
        if (said.a !== 'Snapshot') pushed(said);
      } else if (said.event === 'subscribe') subscribed(said);
      else if (said.event === 'error') socket.terminate();
      else if (typeof said.event === 'string') notices.push({ name: said.event, at: performance.now() });
    }

    /** Engine.IO 4 and Socket.IO 5, as far as this needs them. */
    function hearPacket(text: string): void {
      if (text === '2') socket.send('3');
      else if (text.startsWith('0')) socket.send(`40${JSON.stringify({ token })}`);
      else if (text.startsWith('40')) socket.send(`420${JSON.stringify(['subscribe', want()])}`);
      else if (text.startsWith('430')) {
        const [answer] = JSON.parse(text.slice(3)) as [{ success: boolean; result: Said }];
        if (answer.success) subscribed(answer.result);
        else socket.terminate();
      } else if (text.startsWith('42')) {
        const [name, said] = JSON.parse(text.slice(2)) as [string, Said];
        if (name !== channel) notices.push({ name, at: performance.now() });
        else if (said.type !== 'snapshot') pushed(said);
      } else if (text.startsWith('44') || text.startsWith('41')) socket.terminate();
    }

    function connect(): void {
      socket = new WebSocket(url, { headers, perMessageDeflate: false });
      if (!overSocketIo)
        socket.once('open', () => socket.send(JSON.stringify({ op: 'subscribe', args: [want()] })));
      socket.on('message', (data) =>
        overSocketIo ? hearPacket(String(data)) : hear(JSON.parse(String(data)) as Said),
      );
      socket.on('error', () => {});
      socket.once('close', (code) => {
        if (open) closes.push({ code, at: performance.now() });
        else tally.refused += 1;
        open = false;
        if (place === null) reject(new Error(`a reader was refused, ${code}`));
        else if (!over && comeBack !== null) setTimeout(() => !over && connect(), comeBack());
      });
    }
    connect();
  });
}

/** Opens them a few at a time. */
export async function openLogReaders(each: readonly LogReaderOptions[], atOnce = 50): Promise<LogReader[]> {
  const readers: LogReader[] = [];
  for (let from = 0; from < each.length; from += atOnce)
    readers.push(...(await Promise.all(each.slice(from, from + atOnce).map(openLogReader))));
  return readers;
}

/** What they have counted, together. */
export function tallyOf(readers: readonly LogReader[]) {
  const sum = (name: 'received' | 'gaps' | 'doubled' | 'lost' | 'refused') =>
    readers.reduce((total, reader) => total + reader[name], 0);
  return {
    received: sum('received'),
    gaps: sum('gaps'),
    doubled: sum('doubled'),
    lost: sum('lost'),
    refused: sum('refused'),
  };
}
