/**
 * What a connection may deliver, reckoned from the outside: from who the test says somebody is, and from what
 * the client was told. It looks at every message that leaves and knows nothing of how the gateway works.
 */
import type { Credential } from '../../src/session/principal.ts';
import { accountsOf, type Line } from './kit.ts';

/** Private data may flow for so long after its proof has expired, in milliseconds (R49: 1 s). */
const SLACK = 1000;

export interface UserNow {
  active: boolean;
  mayRead: boolean;
}

/** The truth about access, kept by the test that changes it. */
export interface Truth {
  now(): number;
  users: Map<number, UserNow>;
  /** Session and key ids that have been ended. */
  ended: Set<string>;
  /** Newest end of access by session, where a REST refresh has moved it. */
  extended: Map<string, number>;
  /** Since when the node cannot confirm access; null = it can. */
  unconfirmedSince: number | null;
  /** Newest sequence by stream. */
  heads: Map<string, number>;
  /** The first thing that was wrong. */
  violation: Error | null;
}

export interface Identity {
  userId: number;
  credential: Credential;
  /** The credential itself may read (a key's scopes). */
  mayRead: boolean;
  expiresAt: number | null;
  endsAt: number | null;
}

export const idOf = (credential: Credential): string =>
  credential.kind === 'session'
    ? credential.sid
    : credential.kind === 'api-key'
      ? credential.keyId
      : credential.tokenId;

type Message = Record<string, unknown>;
type Command = 'login' | 'logout' | 'subscribe' | 'unsubscribe' | 'ping';

interface Sent {
  command: Command;
  /** It asked for something private: its answer may come late, and once more if access is taken away. */
  isPrivate: boolean;
  answers: number;
}

const PRIVATE = new Set(['accountOrderUpdate', 'accountPositionUpdate', 'user']);
const LATEST = new Set(['accountPositionUpdate', 'tickerUpdate']);

export class Oracle {
  readonly line: Line;
  readonly dialect: 'op' | 'cmd' | 'coinbase';
  readonly #truth: Truth;
  /** The newest is in force; older ones are only for as long as work may be under way. */
  identities: Identity[] = [];
  subject: number | null = null;
  /** By stream: the sequence that the client has. */
  readonly place = new Map<string, number>();
  /** By stream: which request the client has to thank for it. */
  readonly #from = new Map<string, number>();
  readonly #sent = new Map<number, Sent>();
  #lastAnswer = 0;
  #nextId = 1;
  /** By stream: where the client was when it left. */
  readonly left = new Map<string, number>();
  /** Since the last login or refresh the client was told that its token is over. */
  told = false;
  /** The client was told that access cannot be confirmed, and not yet that it can be again. */
  resting = false;
  /** The client did not read for a while. */
  wasSlow = false;
  /** Some login stood on a token that expires. */
  wasTimed = false;
  #warned = false;
  delivered = 0;
  privately = 0;

  constructor(line: Line, dialect: 'op' | 'cmd' | 'coinbase', truth: Truth) {
    this.line = line;
    this.dialect = dialect;
    this.#truth = truth;
    line.sink.onText = (text) => {
      line.said.push(text);
      this.see(text);
    };
  }

  // -------------------------------------------------------------------------------- what the client does

  command(command: Command, args: object | null): void {
    if (this.line.connection.closed) return;
    const id = this.#nextId++;
    const isPrivate = PRIVATE.has(String((args as { channel?: string } | null)?.channel));
    this.#sent.set(id, { command, isPrivate, answers: 0 });
    const body = args === null ? {} : { args: this.dialect === 'op' ? [args] : args };
    this.line.send(this.dialect === 'op' ? { op: command, ...body, id } : { cmd: command, ...body, id });
  }

  // -------------------------------------------------------------------------------- what the test knows

  /** A proof was found good for this connection. */
  proven(identity: Identity): void {
    if (this.line.connection.closed) return;
    if (this.subject !== null && this.subject !== identity.userId) return;
    this.subject = identity.userId;
    const before = this.identities.at(-1);
    const same = before !== undefined && idOf(before.credential) === idOf(identity.credential);
    const expiresAt =
      same && before.expiresAt !== null && identity.expiresAt !== null
        ? Math.max(before.expiresAt, identity.expiresAt)
        : identity.expiresAt;
    this.identities.push({ ...identity, expiresAt });
    this.wasTimed ||= expiresAt !== null;
    this.told = false;
  }

  /** Nothing is under way any more: only the newest identity counts. */
  settled(): void {
    if (this.identities.length > 1) this.identities.splice(0, this.identities.length - 1);
  }

  get identity(): Identity | null {
    return this.identities.at(-1) ?? null;
  }

  isRight(slack = SLACK): boolean {
    const { unconfirmedSince } = this.#truth;
    if (unconfirmedSince !== null && this.#truth.now() > unconfirmedSince + slack) return false;
    return this.identities.some((identity) => this.#gives(identity, slack));
  }

  #gives({ userId, credential, mayRead, expiresAt, endsAt }: Identity, slack: number): boolean {
    const now = this.#truth.now();
    const user = this.#truth.users.get(userId);
    const until =
      expiresAt === null ? null : Math.max(expiresAt, this.#truth.extended.get(idOf(credential)) ?? 0);
    return (
      user?.active === true &&
      user.mayRead &&
      mayRead &&
      !this.#truth.ended.has(idOf(credential)) &&
      (until === null || now <= until + slack) &&
      (endsAt === null || now <= endsAt + slack)
    );
  }

  // -------------------------------------------------------------------------------- what the client is told

  see(text: string): void {
    this.delivered += 1;
    if (this.line.ended !== null) this.#fail('something was sent after the close', text);
    const message = JSON.parse(text) as Message;
    if (this.dialect === 'coinbase') this.#seeCoinbase(message);
    else if (message.e !== undefined) this.#push(message, text);
    else this.#answer(message, text);
  }

  #push(message: Message, text: string): void {
    const channel = String(message.e);
    const key = String(message.key ?? '');
    this.#data(channel, key, Number(message.sequence), message.a === 'Snapshot', text);
    const payload = (message.P ?? message.data) as { owner?: number };
    if (PRIVATE.has(channel) && payload.owner !== this.subject) this.#fail("another user's data", text);
  }

  #data(channel: string, key: string, sequence: number, isSnapshot: boolean, text: string): void {
    const stream = `${channel}/${key}`;
    if (PRIVATE.has(channel)) {
      this.privately += 1;
      const account = Number(key.slice(key.lastIndexOf('/') + 1));
      const own = channel === 'user' ? [this.subject] : accountsOf(this.subject ?? 0);
      if (!own.includes(account)) this.#fail("a stream of another user's", text);
      if (!this.isRight()) this.#fail('private data without a right to it', text);
    }
    const before = this.place.get(stream);
    if (!isSnapshot) {
      if (before === undefined) this.#fail('data of a stream that is not held', text);
      const joins = LATEST.has(channel) ? sequence > before : sequence === before + 1;
      if (!joins) this.#fail(`sequence ${sequence} after ${before}`, text);
    } else if (before !== undefined && sequence < before) this.#fail('a snapshot from the past', text);
    this.place.set(stream, sequence);
  }

  #answer(message: Message, text: string): void {
    const name = String(message.event ?? message.cmd);
    if (name === 'token_expired') {
      if (message.id === undefined) {
        if (!this.wasTimed) this.#fail('told of an expiry of nothing', text);
        this.told = true;
      }
      return;
    }
    if (name === 'closing') return;
    if (name === 'access_unconfirmed' || name === 'access_confirmed') {
      if ((name === 'access_confirmed') !== this.resting) this.#fail('told of nothing new', text);
      this.resting = !this.resting;
      return;
    }
    const id = Number(message.id);
    const sent = this.#sent.get(id);
    if (sent === undefined) this.#fail('an answer to nothing', text);
    const refused = name === 'error' || message.status === 'error';
    const arg = message.arg as { channel: string; marketType?: string } | undefined;
    if (refused) {
      // One phrasing repeats this refusal as a push.
      if (JSON.stringify(message).includes('expired')) this.wasTimed = true;
      for (const [stream, from] of this.#from) if (from === id) this.#forget(stream);
      if (sent.command === 'subscribe' && sent.isPrivate && sent.answers > 0) {
        sent.answers += 1;
        return;
      }
    }
    sent.answers += 1;
    if (!sent.isPrivate) {
      if (id < this.#lastAnswer) this.#fail('answers out of order', text);
      this.#lastAnswer = id;
    }
    if (refused) return;
    if (name !== sent.command && !(sent.command === 'ping' && name === 'pong'))
      this.#fail('an answer to another', text);
    if (name === 'login' && this.subject === null) this.#fail('a login of nobody', text);
    if (name === 'logout') {
      this.identities = [];
      for (const stream of [...this.place.keys()]) if (isPrivate(stream)) this.#forget(stream);
    }
    if (name === 'unsubscribe' && arg !== undefined) {
      for (const [stream, sequence] of [...this.place]) {
        if (!stream.startsWith(`${arg.channel}/`)) continue;
        this.left.set(stream, sequence);
        this.#forget(stream);
      }
    }
    if (name === 'subscribe' && arg !== undefined) this.#joined(id, arg, message, text);
  }

  #joined(id: number, arg: { channel: string; marketType?: string }, message: Message, text: string): void {
    const { position } = message as { position?: Record<string, { sequence: number }> };
    if (position === undefined) return;
    const isOwn = PRIVATE.has(arg.channel);
    // One that named its place is kept for the next login, should its right run out before it is answered.
    const isKept = (arg as { recover?: object }).recover !== undefined;
    if (isOwn && !isKept && !this.isRight()) this.#fail('joined without a right to it', text);
    const places: [string, number][] = isOwn
      ? Object.entries(position).map(([account, { sequence }]) => [`${arg.marketType}/${account}`, sequence])
      : [[String(arg.marketType), Number((position as unknown as { sequence: number }).sequence)]];
    for (const [key, sequence] of places) {
      const stream = `${arg.channel}/${key}`;
      if (this.place.has(stream)) this.#fail('joined twice', text);
      const account = key.slice(key.indexOf('/') + 1);
      const { recover } = arg as { recover?: Message & { sequence?: number } };
      const from = isOwn ? (recover?.[account] as { sequence: number } | undefined) : recover;
      const { recovered } = message as { recovered?: unknown };
      const madeUp = isOwn ? (recovered as Message | undefined)?.[account] : recovered;
      if ((madeUp !== undefined) !== (from !== undefined))
        this.#fail('asked for recovery and not told', text);
      // What is made up for follows the answer.
      this.place.set(stream, madeUp === true ? Number(from?.sequence) : sequence);
      this.#from.set(stream, id);
    }
  }

  #seeCoinbase(message: Message): void {
    const text = JSON.stringify(message);
    if (message.type === 'error') {
      // This dialect's errors do not say what they are about.
      this.#warned = true;
      return;
    }
    const events = message.events as Message[];
    const channel = String(message.channel);
    if (channel === 'subscriptions') {
      const held = (events[0]?.subscriptions ?? {}) as Record<string, string[]>;
      for (const [name, keys] of Object.entries(held)) {
        if (name === 'user' && keys[0] !== String(this.subject)) this.#fail("another user's stream", text);
      }
      for (const stream of [...this.place.keys()]) {
        const [name = '', key = ''] = stream.split('/');
        if (!held[name]?.includes(key)) this.#forget(stream);
      }
      return;
    }
    const isSnapshot = events[0]?.type === 'snapshot';
    const key = channel === 'user' ? String(this.subject) : 'BTC-USD';
    this.#data(channel, key, Number(message.sequence_num), isSnapshot, text);
    for (const event of events) {
      for (const order of (event.orders ?? []) as { owner: number }[]) {
        if (order.owner !== this.subject) this.#fail("another user's data", text);
      }
    }
  }

  #forget(stream: string): void {
    this.place.delete(stream);
    this.#from.delete(stream);
  }

  // -------------------------------------------------------------------------------- when all is quiet

  /** Every command has had its answer, and every stream that is held has been delivered to its end. */
  checkEnd(): void {
    if (this.line.ended !== null) return;
    for (const [id, { answers, isPrivate: own, command }] of this.#sent) {
      if (answers < 1) this.#fail(`no answer to ${command} ${id}`);
      if (answers > 1 && !own) this.#fail(`${answers} answers to ${command} ${id}`);
    }
    for (const [stream, at] of this.place) {
      const head = this.#truth.heads.get(stream) ?? 0;
      if (isPrivate(stream) && !this.isRight(0)) {
        if (this.dialect === 'coinbase' && this.#warned) continue;
        this.#fail(`${stream} is held without a right and without a word`);
      }
      if (at !== head) this.#fail(`${stream} ends at ${at}, not at ${head}`);
    }
  }

  #fail(what: string, text = ''): never {
    const now = this.#truth.now();
    // Whoever called may catch it: it was writing to a socket.
    this.#truth.violation ??= new Error(
      `${this.line.connection.peer.id} ${this.dialect}: ${what}\n${text}\n` +
        `now ${now} identities ${JSON.stringify(this.identities)} subject ${this.subject} ended ${[...this.#truth.ended]}`,
    );
    throw this.#truth.violation;
  }
}

const isPrivate = (stream: string): boolean => PRIVATE.has(stream.slice(0, stream.indexOf('/')));
