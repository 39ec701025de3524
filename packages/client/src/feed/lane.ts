/** One connection of a feed with everything that hangs on it: requests, subscriptions, and who is signed in. */
import type { Clock } from '../clock.ts';
import type { Credential } from '../credential.ts';
import { ConnectionError, CountersignError, UsageError } from '../errors.ts';
import { type Drop, Link, type LinkState } from '../transport/link.ts';
import type { SocketConstructor } from '../transport/socket.ts';
import type { Answer, FeedDialect, Wish } from './dialect.ts';
import { Entry, type EntryObserver } from './entry.ts';
import { FrameRouter } from './frame-router.ts';
import { type Joined, Reconciler, type Wire } from './reconciler.ts';
import { refusal } from './refusal.ts';
import { Requests } from './requests.ts';
import { SignIn } from './sign-in.ts';
import type { Sink } from './sink.ts';

export interface LaneOptions {
  url: string;
  dialect: FeedDialect;
  credential: Credential | null;
  WebSocket: SocketConstructor;
  clock: Clock;
  random: () => number;
  connectTimeout: number;
  requestTimeout: number;
  heartbeatTimeout: number;
  stableAfter: number;
  maxAttempts: number;
  rate: number;
  observe: LaneObserver;
}

export interface LaneObserver extends EntryObserver {
  state(state: LinkState): void;
  login(): void;
  request(): void;
  error(error: CountersignError): void;
  /** The link has stopped for good. */
  stopped(error: CountersignError): void;
}

/** Milliseconds of silence after which the server is asked for a sign of life, and that it has to give one. */
const SILENCE = 10_000;
const PATIENCE = 5000;

export class Lane implements Wire {
  readonly #options: LaneOptions;
  readonly #link: Link;
  readonly #requests: Requests<Answer>;
  readonly #reconciler: Reconciler;
  readonly #router: FrameRouter;
  readonly #signIn: SignIn | null;
  readonly #unlisten: (() => void)[] = [];
  #signInError: CountersignError | null = null;
  #heartbeats: Sink | null = null;

  constructor(options: LaneOptions) {
    this.#options = options;
    const { clock, random, dialect, credential, rate } = options;
    this.#link = new Link({
      url: options.url,
      WebSocket: options.WebSocket,
      clock,
      random,
      connectTimeout: options.connectTimeout,
      backoff: { base: 500, cap: 20_000 },
      stableAfter: options.stableAfter,
      maxAttempts: options.maxAttempts,
      silence: SILENCE,
      patience: PATIENCE,
      probe: () => this.#link.send(dialect.probe()),
      onState: (state) => this.#stateChanged(state),
      onOpen: () => this.#opened(),
      onText: (text) => this.#receive(text),
      onDown: (drop) => this.#down(drop),
    });
    this.#requests = new Requests<Answer>({
      clock,
      timeout: options.requestTimeout,
      rate,
      burst: Math.max(1, rate * 2),
      send: (text) => {
        options.observe.request();
        return this.#link.send(text);
      },
    });
    const { concurrency, batch, openingFirst } = dialect;
    this.#reconciler = new Reconciler({ clock, wire: this, concurrency, batch, openingFirst });
    this.#router = new FrameRouter(dialect, this.#reconciler, options.observe);
    this.#signIn = this.#createSignIn(credential);
    if (credential !== null) this.#unlisten.push(credential.onEnded((error) => this.#ended(error)));
    if (dialect.heartbeats !== null) this.#watchHeartbeats(dialect.heartbeats);
  }

  get state(): LinkState {
    return this.#link.state;
  }

  get connects(): number {
    return this.#link.connects;
  }

  /** Subscriptions of a channel that take up room here. */
  count(channel: string): number {
    let count = 0;
    for (const entry of this.#reconciler.entries) if (entry.channel.name === channel) count += 1;
    return count;
  }

  has(channel: string, key: string): boolean {
    return this.#reconciler.get(channel, key) !== undefined;
  }

  open(): void {
    this.#link.open();
  }

  /** @throws UsageError for a private channel without a credential */
  entry({ channel, key, extra }: Omit<Wish, 'since'>): Entry {
    const { credential, clock, random, observe } = this.#options;
    if (channel.private && credential === null) {
      throw new UsageError('invalid_option', `${channel.name} is private: the feed needs a credential.`);
    }
    let entry = this.#reconciler.get(channel.name, key);
    if (entry === undefined) {
      const wake = () => this.#reconciler.wake();
      entry = new Entry(channel, key, extra, { clock, random, wake, observe });
      this.#reconciler.put(entry);
    }
    // Whoever asks again may have signed in meanwhile.
    if (channel.private && this.#signInError !== null) {
      this.#signInError = null;
      this.#signIn?.start();
    }
    return entry;
  }

  release(entry: Entry): Promise<void> {
    return this.#reconciler.release(entry);
  }

  /** Gives up the present connection and makes another: for whoever knows better. */
  reconnect(): void {
    this.#link.drop('abandoned');
  }

  async close(error: CountersignError | null = null): Promise<void> {
    for (const stop of this.#unlisten.splice(0)) stop();
    const closed = this.#link.close(error);
    this.#signIn?.offline();
    this.#requests.clear();
    await closed;
  }

  fail(error: CountersignError): void {
    this.#reconciler.fail(error);
  }

  // ------------------------------------------------------------------------------------------ Wire

  async subscribe(entries: readonly Entry[]): Promise<(entry: Entry) => Joined> {
    const answer = await this.#ask('subscribe', entries);
    return (entry) => {
      const { channel, key } = entry;
      const listed = answer.holding?.[channel.name];
      // Private channels list whose they are, not what was asked for (wire facts, coinbase 2).
      const held =
        answer.holding === null ||
        (listed !== undefined && (channel.keyedBy !== 'product' || listed.includes(key)));
      if (held) return { places: answer.places(entry) };
      const what = key === '' ? channel.name : `${channel.name} of ${key}`;
      return { missing: refusal('unknown_channel', `The server did not take up ${what}.`) };
    };
  }

  async unsubscribe(entries: readonly Entry[]): Promise<void> {
    const { holding } = await this.#ask('unsubscribe', entries);
    const left = entries.find(({ channel, key }) => {
      const listed = holding?.[channel.name];
      return listed !== undefined && (channel.keyedBy !== 'product' || listed.includes(key));
    });
    if (left !== undefined) {
      throw new ConnectionError('unexpected_answer', `The server still sends ${left.channel.name}.`);
    }
  }

  giveUp(): void {
    this.#link.drop('abandoned');
  }

  refusedCredential({ channel }: Entry): boolean {
    return channel.private && this.#options.credential !== null;
  }

  async #ask(command: 'subscribe' | 'unsubscribe', entries: readonly Entry[]): Promise<Answer> {
    const { dialect, credential } = this.#options;
    const first = entries[0]!;
    const inside = dialect.login === null && first.channel.private && credential !== null;
    const token = inside ? (await credential.webSocketLogin()).token : null;
    const subject = dialect.subject(first);
    try {
      return await this.#requests.ask({ command, subject }, (id) => dialect[command](entries, id, token));
    } catch (error) {
      if (token !== null && error instanceof CountersignError && error.code === 'unauthorized') {
        credential?.invalidate(token, 'refused');
      }
      throw error;
    }
  }

  // ------------------------------------------------------------------------------------------ the connection

  #stateChanged(state: LinkState): void {
    this.#options.observe.state(state);
    if (state.status === 'closed' && state.error !== null) {
      const { error } = state;
      this.#reconciler.fail(error);
      this.#options.observe.stopped(error);
    }
  }

  #opened(): void {
    this.#router.begin();
    this.#signInError = null;
    // Where requests carry their own proof there is nobody to wait for.
    if (this.#signIn === null) this.#reconciler.mayPrivate = this.#options.credential !== null;
    this.#reconciler.online();
    this.#signIn?.online();
  }

  #down(_drop: Drop): void {
    this.#signIn?.offline();
    this.#reconciler.offline();
    this.#requests.clear();
  }

  #receive(text: string): void {
    const { dialect } = this.#options;
    const message = dialect.read(text);
    switch (message.kind) {
      case 'data':
        this.#router.take(message.frames, message.count);
        return;
      case 'answer':
        this.#router.count(message.count);
        this.#requests.answer(message.id, message.may, message.answer);
        return;
      case 'refusal':
        // Nobody asked: the server takes something away, or complains of what cannot be told any more.
        if (!this.#requests.refuse(message.id, message.may, message.error)) this.#takenAway(message.error);
        return;
      case 'expired':
        this.#signIn?.expired();
        return;
      case 'other':
        return;
    }
  }

  // ------------------------------------------------------------------------------------------ who is signed in

  #createSignIn(credential: Credential | null): SignIn | null {
    const { dialect, clock, random, observe } = this.#options;
    const { login } = dialect;
    if (credential === null || login === null) return null;
    const signIn = new SignIn({
      credential,
      clock,
      random,
      present: async (token) => {
        await this.#requests.ask({ command: 'login', subject: '' }, (id) => login(token, id));
      },
      signedIn: () => {
        observe.login();
        this.#reconciler.mayPrivate = true;
      },
      failed: (error) => {
        this.#signInError = error;
        this.#reconciler.mayPrivate = false;
        this.#takenAway(error);
      },
      giveUp: () => this.#link.drop('abandoned'),
    });
    this.#unlisten.push(credential.onRenewed(() => signIn.start()));
    return signIn;
  }

  #ended(error: Error): void {
    const known =
      error instanceof CountersignError
        ? error
        : new ConnectionError('unauthorized', 'Access has ended.', { cause: error });
    this.#takenAway(known);
  }

  #takenAway(error: CountersignError): void {
    this.#options.observe.error(error);
    if (error.remedy === 'retry') return;
    this.#reconciler.fail(error, ({ channel }) => channel.private);
  }

  /** First of all, within the five seconds that the service grants; from the first beat on silence is death. */
  #watchHeartbeats(name: string): void {
    const channel = this.#options.dialect.channels.get(name);
    if (channel === undefined) return;
    this.#heartbeats = {
      deliver: () => this.#link.expectWithin(this.#options.heartbeatTimeout),
      stale: () => {},
      live: () => {},
      failed: () => {},
    };
    this.entry({ channel, key: '', extra: {} }).add(this.#heartbeats, null);
  }
}
