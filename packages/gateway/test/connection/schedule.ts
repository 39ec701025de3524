/** Carries out one schedule of logins, expiries, revocations, subscriptions and publications, under an oracle. */
import { Refusal } from '@countersign/protocol';
import type { Proof } from '../../src/connection/services.ts';
import type { Credential, Permission, Principal } from '../../src/session/principal.ts';
import { accountsOf, createKit, draft, type Kit, principalOf, settle } from './kit.ts';
import { type Identity, idOf, Oracle, type Truth, type UserNow } from './oracle.ts';

const HISTORY = 6;
const LEEWAY = 3000;
const USERS = [1, 2] as const;
const MARKET = 'inclusionPreconf';
const CHANNELS = [
  'accountOrderUpdate',
  'accountPositionUpdate',
  'recentTradeUpdate',
  'tickerUpdate',
] as const;
const EPOCH = `${Buffer.from('epoch-00').toString('hex')}.0`;

interface Token {
  userId: number;
  credential: Credential;
  mayRead: boolean;
  expiresAt: number | null;
  endsAt: number | null;
}

/** Work of the gateway's that takes as long as the schedule says. */
interface Pending {
  finish(): void;
}

class World {
  readonly kit: Kit;
  readonly truth: Truth;
  readonly oracles: Oracle[] = [];
  /** What the gateway is told; the oracle's own copy follows once a change has been told to all. */
  readonly #users = new Map<number, UserNow>(
    USERS.map((userId) => [userId, { active: true, mayRead: true }]),
  );
  readonly #tokens = new Map<string, Token>();
  readonly #names: string[] = ['never issued'];
  readonly #pending: Pending[] = [];
  #sessions = 0;
  readonly #current = new Map<number, string>();
  /** When each key is over, if ever. */
  readonly #keyEnds = new Map<string, number | null>();
  /** Changes of access that the node has not heard of. */
  readonly #missed: ((paused: boolean) => Promise<void>)[] = [];
  /** How many of every four look-ups take their time. */
  #slowness = 0;
  #turn = 0;
  steps = 0;

  constructor() {
    this.truth = {
      now: () => this.kit.clock.now(),
      users: new Map(USERS.map((userId) => [userId, { active: true, mayRead: true }])),
      ended: new Set(),
      extended: new Map(),
      unconfirmedSince: null,
      heads: new Map(),
      violation: null,
    };
    this.kit = createKit({
      history: HISTORY,
      limits: { leeway: LEEWAY },
      backlog: { soft: 1000, hard: 100_000 },
      authenticate: (token) => this.#authenticate(token),
      principal: (userId, credential) => this.#later(() => this.#principal(userId, credential)),
    });
    this.oracles.push(
      new Oracle(this.kit.open(), 'op', this.truth),
      new Oracle(this.kit.open(), 'cmd', this.truth),
      new Oracle(this.kit.open(), 'coinbase', this.truth),
    );
    for (const stream of this.#streams()) this.#publish(stream);
  }

  // -------------------------------------------------------------------------------- who is who

  #principal(userId: number, credential: Credential, mayRead = true): Principal | null {
    const user = this.#users.get(userId);
    if (user?.active !== true || this.truth.ended.has(idOf(credential))) return null;
    const may = user.mayRead && mayRead && idOf(credential) !== 'key-narrow';
    const permissions: Permission[] = may ? ['market_data', 'account_updates'] : ['market_data'];
    return {
      ...principalOf(userId, credential, permissions),
      endsAt: this.#keyEnds.get(idOf(credential)) ?? null,
    };
  }

  #authenticate(name: string): Proof | Promise<Proof> {
    const asOf = this.kit.applied;
    if (!this.kit.confirmed) this.#refuse('unavailable');
    const token = this.#tokens.get(name);
    if (token === undefined) return this.#later(() => this.#refuse('unauthorized'));
    // What the connection does with it happens in turns of its own, after this one.
    return this.#later(
      () => {
        if (token.expiresAt !== null && this.kit.clock.now() >= token.expiresAt)
          this.#refuse('token_expired');
        const principal = this.#principal(token.userId, token.credential, token.mayRead);
        if (principal === null) this.#refuse('unauthorized');
        return { principal, expiresAt: token.expiresAt, asOf };
      },
      () => this.#proving(name)?.proven(token),
    );
  }

  #refuse(code: 'unauthorized' | 'token_expired' | 'unavailable'): never {
    throw new Refusal(code, 'the test says so');
  }

  /** Which client a token was presented by: each presents its own. */
  #proving(name: string): Oracle | undefined {
    return this.oracles[Number(name.split('@')[1])];
  }

  /** Decides now; the answer arrives when the schedule says. */
  #later<T>(decide: () => T, arrived: () => void = () => {}): Promise<T> {
    let answer: T;
    try {
      answer = decide();
    } catch (error) {
      if (this.#isQuick()) return Promise.reject(error);
      return new Promise((_, reject) => this.#pending.push({ finish: () => reject(error) }));
    }
    if (this.#isQuick()) {
      if (answer !== null) arrived();
      return Promise.resolve(answer);
    }
    return new Promise((resolve) =>
      this.#pending.push({
        finish: () => {
          if (answer !== null) arrived();
          resolve(answer);
        },
      }),
    );
  }

  #isQuick(): boolean {
    this.#turn += 1;
    return this.#turn % 4 >= this.#slowness;
  }

  #mint(oracle: Oracle, userId: number, kind: number, life: number): string {
    let token: Token;
    if (kind < 6) {
      let sid = this.#current.get(userId);
      if (sid === undefined || kind === 0 || this.truth.ended.has(sid)) {
        this.#sessions += 1;
        sid = `s${this.#sessions}`;
        this.#current.set(userId, sid);
      }
      const expiresAt = this.kit.clock.now() + life;
      token = { userId, credential: { kind: 'session', sid }, mayRead: true, expiresAt, endsAt: null };
    } else {
      const narrow = kind === 6;
      const keyId = narrow ? 'key-narrow' : `key-${userId}`;
      const endsAt = narrow ? null : (this.#keyEnds.get(keyId) ?? this.kit.clock.now() + life * 2);
      this.#keyEnds.set(keyId, endsAt);
      token = { userId, credential: { kind: 'api-key', keyId }, mayRead: !narrow, expiresAt: null, endsAt };
    }
    const name = `T${this.#names.length}@${this.oracles.indexOf(oracle)}`;
    this.#tokens.set(name, token);
    this.#names.push(name);
    return name;
  }

  // -------------------------------------------------------------------------------- what is published

  *#streams(): Iterable<string> {
    for (const channel of CHANNELS) {
      if (!channel.startsWith('account')) yield `${channel}/${MARKET}`;
      else
        for (const user of USERS)
          for (const account of accountsOf(user)) yield `${channel}/${MARKET}/${account}`;
    }
    yield 'market_trades/BTC-USD';
    for (const user of USERS) yield `user/${user}`;
  }

  #publish(stream: string): void {
    const channel = stream.slice(0, stream.indexOf('/'));
    const key = stream.slice(channel.length + 1);
    const sequence = (this.truth.heads.get(stream) ?? 0) + 1;
    this.truth.heads.set(stream, sequence);
    const account = Number(key.slice(key.lastIndexOf('/') + 1));
    const owner = account > 10 ? Math.floor(account / 10) : account;
    const data =
      channel === 'user'
        ? { orders: [{ order_id: 'o', status: 'OPEN', owner }] }
        : channel === 'market_trades'
          ? { trades: [{ product_id: key, trade_id: String(sequence) }] }
          : { owner, filler: 'x'.repeat(60) };
    this.kit.publish(draft(channel, key, data));
  }

  // -------------------------------------------------------------------------------- steps

  /** Two schedules in three begin with people at work: most of what can go wrong needs somebody signed in. */
  async begin(number: number): Promise<void> {
    const [first, second, third] = this.oracles as [Oracle, Oracle, Oracle];
    if (number % 3 === 0) return;
    this.#login(first, 1, 2, 11);
    for (const which of [0, 1, 2, 3]) this.#subscribe(first, 1, which, 1, 0);
    this.#login(second, number % 3, 2, 6);
    this.#subscribe(second, 1, 0, 1, 0);
    this.#subscribe(third, 1, 1, 1, 7);
    await this.#settled();
  }

  async step(number: number): Promise<void> {
    this.steps += 1;
    let rest = number;
    const take = (count: number): number => {
      const taken = rest % count;
      rest = Math.floor(rest / count);
      return taken;
    };
    const what = take(32);
    const turns = take(4);
    const oracle = this.oracles[take(3)] as Oracle;
    const userId = take(8) === 0 ? 2 : 1;
    if (what < 5) this.#login(oracle, userId, take(9), take(12));
    else if (what < 11) this.#subscribe(oracle, userId, take(6), take(3), take(8));
    else if (what < 12) this.#unsubscribe(oracle, take(4));
    else if (what < 13)
      oracle.dialect === 'coinbase' ? oracle.line.send('{') : oracle.command('logout', null);
    else if (what < 14) oracle.dialect !== 'coinbase' && oracle.command('ping', null);
    else if (what < 21) for (let left = 1 + take(3); left > 0; left -= 1) this.#publishSome(take(16));
    else if (what < 22)
      for (let left = HISTORY + 2; left > 0; left -= 1) this.#publish(`accountOrderUpdate/${MARKET}/11`);
    else if (what < 26) this.kit.clock.advance([100, 250, 700, 1300, 2600, 6000][take(6)] ?? 0);
    else if (what < 28) this.#finish(take(8));
    else if (what < 29) this.#slowness = take(4);
    else if (what < 30) await this.#end(oracle, userId, take(10));
    else if (what < 31) await this.#changeUser(userId, take(8));
    else if (take(2) === 0) this.#confirm(!this.kit.confirmed);
    else if (take(3) === 0) this.#extend(oracle, take(4));
    else this.#stall(oracle);
    // Between two steps anything from nothing to everything may get its turn.
    if (turns === 3) await this.#settled();
    else for (let left = turns * 3; left > 0; left -= 1) await null;
    this.check();
  }

  check(): void {
    if (this.truth.violation !== null) throw this.truth.violation;
    for (const oracle of this.oracles) {
      const { line, wasSlow } = oracle;
      if (line.ended?.code === 4101 && !wasSlow && !this.#overran) throw new Error('cut for being slow');
    }
    if (this.kit.faults.length > 0) throw this.kit.faults[0];
  }

  /** More was published than history holds, so that a stream may be cut for what is gone. */
  get #overran(): boolean {
    return [...this.truth.heads.values()].some((head) => head > HISTORY);
  }

  async #settled(): Promise<void> {
    await settle();
    if (this.#pending.length === 0) for (const oracle of this.oracles) oracle.settled();
  }

  #login(oracle: Oracle, userId: number, kind: number, life: number): void {
    const names = this.#names.filter((name) => name.endsWith(`@${this.oracles.indexOf(oracle)}`));
    const old = kind === 1 && names.length > 0;
    const token =
      kind === 8
        ? 'never issued'
        : old
          ? (names[life % names.length] ?? '')
          : this.#mint(
              oracle,
              userId,
              oracle.dialect === 'coinbase' ? kind : Math.min(kind, 6),
              2000 + life * 1500,
            );
    if (oracle.dialect !== 'coinbase') return oracle.command('login', { accessToken: token });
    oracle.line.send({ type: 'subscribe', channel: 'user', jwt: token });
  }

  #subscribe(oracle: Oracle, userId: number, which: number, recovering: number, kind: number): void {
    if (oracle.dialect === 'coinbase') {
      if (which > 2)
        return oracle.line.send({ type: 'subscribe', channel: 'market_trades', product_ids: ['BTC-USD'] });
      const jwt = which === 0 ? {} : { jwt: this.#mint(oracle, userId, kind, 8000) };
      return oracle.line.send({ type: 'subscribe', channel: 'user', ...jwt });
    }
    const channel = CHANNELS[which % 4] ?? 'tickerUpdate';
    const places = [...oracle.left].filter(([stream]) => stream.startsWith(`${channel}/`));
    const recover =
      recovering > 0 || places.length === 0
        ? {}
        : channel.startsWith('account')
          ? {
              recover: Object.fromEntries(
                places.map(([stream, sequence]) => [stream.split('/')[2], { epoch: EPOCH, sequence }]),
              ),
            }
          : { recover: { epoch: EPOCH, sequence: places[0]?.[1] } };
    oracle.command('subscribe', { channel, marketType: MARKET, ...recover });
  }

  #unsubscribe(oracle: Oracle, which: number): void {
    if (oracle.dialect === 'coinbase') {
      oracle.line.send({
        type: 'unsubscribe',
        channel: which < 2 ? 'user' : 'market_trades',
        product_ids: [],
      });
    } else oracle.command('unsubscribe', { channel: CHANNELS[which], marketType: MARKET });
  }

  #publishSome(which: number): void {
    const streams = [...this.#streams()];
    this.#publish(streams[which % streams.length] ?? '');
  }

  #finish(which: number): void {
    const [one] = this.#pending.splice(which % Math.max(1, this.#pending.length), 1);
    one?.finish();
  }

  /** Ends the session or key behind a client, or some session of a user. */
  async #end(oracle: Oracle, userId: number, which: number): Promise<void> {
    if (which > 6) return;
    const id = which > 3 ? this.#current.get(userId) : oracle.identity && idOf(oracle.identity.credential);
    if (id == null || this.truth.ended.has(id) || id === 'key-narrow') return;
    await this.#reaching(async () => {
      this.truth.ended.add(id);
      await this.kit.change(id.startsWith('key') ? 'api-key-ended' : 'session-ended', id);
    });
  }

  /** A change of access, now or as soon as the node can read of it. */
  async #reaching(change: (paused: boolean) => Promise<void>): Promise<void> {
    if (this.kit.confirmed) await change(false);
    else this.#missed.push(change);
  }

  /** The node loses the change log, or reads all that it has missed and has it again. */
  #confirm(confirmed: boolean): void {
    if (confirmed === this.kit.confirmed) return;
    // As the change log does it: connections have been told of what was missed before anything counts again, but
    // not everybody who was told has looked up yet what is left.
    if (confirmed) {
      // Streams that had no time to be paused go on until a change has been looked up, as they always do.
      const paused = this.truth.now() - (this.truth.unconfirmedSince ?? 0) >= 250;
      for (const change of this.#missed.splice(0)) {
        change(paused).catch((error: unknown) => void this.kit.faults.push(error));
      }
    }
    this.truth.unconfirmedSince = confirmed ? null : this.truth.now();
    this.kit.confirmed = confirmed;
  }

  async #changeUser(userId: number, which: number): Promise<void> {
    await this.#reaching((paused) => this.#changeUserNow(userId, which, paused));
  }

  async #changeUserNow(userId: number, which: number, paused: boolean): Promise<void> {
    const user = this.#users.get(userId);
    if (user === undefined) return;
    if (which === 0) user.active = !user.active;
    else user.mayRead = !user.mayRead;
    let done = false;
    const told = this.kit.change('user-changed', String(userId)).finally(() => {
      done = true;
    });
    // Who gains may be given more at once; whoever loses keeps it until the change has been looked up, unless
    // nothing private flows.
    if (paused || (user.active && user.mayRead)) this.truth.users.set(userId, { ...user });
    for (let left = 1000; left > 0 && !done && !paused; left -= 1) {
      this.#pending.shift()?.finish();
      await settle();
    }
    if (!paused) this.truth.users.set(userId, { ...user });
    await told;
  }

  #extend(oracle: Oracle, which: number): void {
    const { credential } = oracle.identity ?? {};
    const sid =
      which === 0 ? this.#current.get(1) : credential?.kind === 'session' ? credential.sid : undefined;
    if (sid === undefined || this.truth.ended.has(sid)) return;
    const until = this.kit.clock.now() + LEEWAY + 5000;
    this.truth.extended.set(sid, Math.max(until, this.truth.extended.get(sid) ?? 0));
    this.kit.registry.extend(sid, until);
  }

  #stall(oracle: Oracle): void {
    const { sink } = oracle.line;
    if (sink.stalled) return sink.drain();
    sink.stalled = true;
    oracle.wasSlow = true;
  }

  // -------------------------------------------------------------------------------- the end

  async #quiet(): Promise<void> {
    for (let left = 1000; left > 0; left -= 1) {
      for (const { line } of this.oracles) line.sink.drain();
      this.#pending.shift()?.finish();
      await settle();
      if (this.#pending.length === 0 && this.oracles.every(({ line }) => line.sink.backlog === 0)) break;
    }
    await this.#settled();
    this.check();
  }

  /** Lets everything come to rest, signs everybody in again, and looks whether all is there. */
  async finish(): Promise<void> {
    this.#slowness = 0;
    this.#confirm(true);
    await this.#quiet();
    this.kit.clock.advance(2000);
    await this.#quiet();
    for (const oracle of this.oracles) {
      const { subject, dialect, line } = oracle;
      if (line.connection.closed || subject === null) continue;
      if (
        oracle.identity !== null &&
        !oracle.isRight() &&
        oracle.identity.expiresAt !== null &&
        dialect !== 'coinbase'
      ) {
        const over = this.truth.now() > oracle.identity.expiresAt + 250;
        const extended = this.truth.extended.has(idOf(oracle.identity.credential));
        if (over && !extended && !oracle.told)
          throw new Error('nobody told the client that its token expired');
      }
      const token = this.#mint(oracle, subject, 2, 60_000);
      if (dialect === 'coinbase') line.send({ type: 'subscribe', channel: 'user', jwt: token });
      else oracle.command('login', { accessToken: token });
    }
    await this.#quiet();
    for (const stream of this.#streams()) this.#publish(stream);
    await this.#quiet();
    for (const oracle of this.oracles) {
      const user = oracle.subject === null ? undefined : this.truth.users.get(oracle.subject);
      // The newest login of the suspended is the one before: it ended with them.
      if (user?.active !== false) oracle.checkEnd();
    }
    this.check();
  }

  close(): void {
    this.kit.registry.close();
    this.kit.hub.close();
  }
}

export interface Outcome {
  steps: number;
  delivered: number;
  privately: number;
  closed: number;
}

/** @throws Error naming the first message that should not have been, or the first that is missing */
export async function runSchedule(numbers: readonly number[]): Promise<Outcome> {
  const world = new World();
  try {
    await world.begin(numbers[0] ?? 0);
    for (const number of numbers) await world.step(number);
    await world.finish();
    const { oracles, steps } = world;
    return {
      steps,
      delivered: oracles.reduce((sum, { delivered }) => sum + delivered, 0),
      privately: oracles.reduce((sum, { privately }) => sum + privately, 0),
      closed: oracles.filter(({ line }) => line.ended !== null).length,
    };
  } finally {
    world.close();
  }
}

export type { Identity };
