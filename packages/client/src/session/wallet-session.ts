/** A signed-in wallet: tokens that are always fresh, for REST calls and for streams. */
import { type Clock, systemClock } from '../clock.ts';
import { createClockSkew } from '../clock-skew.ts';
import type { Credential, WaitOptions, WebSocketLogin } from '../credential.ts';
import { UsageError } from '../errors.ts';
import { createEmitter, type Listenable, type Unsubscribe } from '../events.ts';
import { readBaseUrl, resolveBelow } from '../http/base-url.ts';
import { createCaller, type Fetch, noteDate } from '../http/caller.ts';
import { randomFraction } from '../random.ts';
import { type LoginSigner, readSigner, type SignerInput } from '../signers/signer.ts';
import { memoryStore } from '../stores/memory.ts';
import type { SessionStore } from '../stores/store.ts';
import { createKeeper } from './keeper.ts';
import { createRenewal } from './renewal.ts';
import { createSessionApi } from './session-api.ts';
import { readSessionList, type SessionInfo, sendSigned } from './session-calls.ts';
import type { SessionEvents, SessionState, SessionStats, TokenEvent } from './session-events.ts';
import { createShelf } from './shelf.ts';

export interface WalletSessionOptions {
  /** Where the API is, without `/v1`: `https://mainnet.app.ethgas.com/api`, `http://127.0.0.1:4400`. */
  baseUrl: string | URL;
  /**
   * Who signs: a private key, a viem account or wallet client, an ethers 5 or 6 signer, an EIP-1193 provider, or a
   * function that gives one of these when it is needed. Without it the session lives on what the store holds.
   */
  signer?: SignerInput | (() => SignerInput | Promise<SignerInput>);
  /**
   * Whether the session may use the signer without being asked to. Default: true for private keys and other signers
   * that hold their key, false for wallets that ask a person; those are used by `login()` only.
   */
  unattended?: boolean;
  /** The chain that the login message must name. Default: the wallet's; where it does not say, whatever comes. */
  chainId?: number;
  /** The site that the login message must name. Default `ethgas.com`. */
  domain?: string;
  /** Default: memory. */
  store?: SessionStore;
  /**
   * `strict` (default): each refresh token works once, and seeing an old one ends the session. `adaptive`: the old one
   * works until the new one is used. Servers that know only one way ignore this.
   */
  rotation?: 'strict' | 'adaptive';
  /** `include` lets a browser's refresh cookie take part. Default `omit`: the token in the answer is used. */
  credentials?: 'omit' | 'include';
  /** Milliseconds until one call without answer is given up. Default 10,000. */
  timeout?: number;
  /** Milliseconds that a caller without a usable token waits through failing attempts. Default 30,000. */
  patience?: number;
  /** Milliseconds that a session lives where its server does not say. Default 7 days. */
  sessionLife?: number;
  /** Permits plain http to another machine: everybody on the way can read the tokens. Default false. */
  allowInsecure?: boolean;
  /** Closes the session when it is aborted. */
  signal?: AbortSignal;
  /** Default: the platform's. */
  fetch?: Fetch;
  clock?: Clock;
  /** A number in [0, 1), for jitter. */
  random?: () => number;
}

export interface WalletSession extends Credential, Listenable<SessionEvents>, AsyncDisposable {
  readonly kind: 'wallet-session';
  readonly state: SessionState;
  readonly baseUrl: string;
  /** Lower case; null before the first login. */
  readonly address: string | null;
  readonly userId: number | null;
  /** Logs in now, whatever there is. The only thing that asks a wallet which asks a person. */
  login(options?: WaitOptions): Promise<void>;
  /**
   * A token that is good now. Waits for a login or refresh where one is needed, for `patience` at most.
   *
   * @throws CountersignError; the signal's reason
   */
  accessToken(options?: WaitOptions): Promise<string>;
  /**
   * `fetch` with the session's token, to a path below `baseUrl`. On 401 the token is renewed and the request sent once
   * more, unless its body can be read only once or renewals do not help.
   *
   * @throws UsageError `foreign_url` for another origin, before anything is sent
   */
  fetch(path: string | URL, init?: RequestInit): Promise<Response>;
  /** Told of every new token, also those that other tabs or processes got. */
  onToken(listener: (event: TokenEvent) => void): Unsubscribe;
  /** Ends the session at the server and forgets it, also in other tabs and processes. */
  logout(): Promise<void>;
  /** Ends every session of the user. @param options.keepCurrent spares this one */
  logoutEverywhere(options?: { keepCurrent?: boolean }): Promise<void>;
  /** The user's live sessions. */
  sessions(): Promise<SessionInfo[]>;
  stats(): SessionStats;
  /** Stops the background work and lets a refresh under way finish. Does not log out. Idempotent. */
  close(): Promise<void>;
}

const WEEK = 7 * 86_400_000;

/**
 * Makes a session. Nothing is sent until a token is asked for.
 *
 * @throws UsageError `invalid_option`, SignerError `unsupported_signer`, CredentialError `invalid_key`
 */
export function createWalletSession(options: WalletSessionOptions): WalletSession {
  const { clock = systemClock, random = randomFraction, store = memoryStore() } = options;
  const { rotation = 'strict', domain = 'ethgas.com', credentials = 'omit' } = options;
  const { timeout = 10_000, patience = 30_000, sessionLife = WEEK } = options;
  const baseUrl = readBaseUrl(options.baseUrl, options.allowInsecure);
  const fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
  const { chainId } = options;
  if (chainId !== undefined && !(Number.isSafeInteger(chainId) && chainId > 0)) {
    throw new UsageError('invalid_option', 'chainId must be a positive integer');
  }

  const signer = signerSource(options.signer, options.unattended);
  const events = createEmitter<SessionEvents>();
  const skew = createClockSkew();
  const call = createCaller({ fetch, clock, skew, timeout, credentials });
  const api = createSessionApi({ baseUrl, call, clock, skew, rotation, domain, chainId, sessionLife });
  const shelf = createShelf({
    store,
    baseUrl,
    async address() {
      const known = await signer();
      if (known === null) return null;
      // Asking a signer that needs nobody bothers nobody.
      return known.unattended ? known.connect() : known.address;
    },
    onProblem: (error) => events.emit('storeProblem', { error }),
  });
  const renewal = createRenewal({ api, shelf, store, signer, events });
  const keeper = createKeeper({ renewal, api, shelf, store, clock, skew, random, events, patience });

  const close = () => {
    options.signal?.removeEventListener('abort', close);
    return keeper.close();
  };
  options.signal?.addEventListener('abort', close, { once: true });
  if (options.signal?.aborted) void close();

  const accessToken = async ({ signal }: WaitOptions = {}) => (await keeper.ensure(signal)).accessToken;

  const asLogin = (token: string, expiresAt: number): WebSocketLogin => ({
    scheme: 'access-token',
    token,
    perMessage: false,
    expiresAt,
  });

  const sessionFetch = (path: string | URL, init: RequestInit = {}) =>
    sendSigned({
      url: resolveBelow(baseUrl, path),
      init,
      fetch: async (url, request) => {
        const sentAt = clock.now();
        const response = await fetch(url, request);
        noteDate(skew, response.headers, sentAt, clock.now());
        return response;
      },
      token: (signal) => accessToken(signal === undefined ? {} : { signal }),
      reject: keeper.reject,
    });

  return {
    kind: 'wallet-session',
    baseUrl,
    get label() {
      return keeper.record?.address ?? null;
    },
    get address() {
      return keeper.record?.address ?? null;
    },
    get userId() {
      return keeper.record?.userId ?? null;
    },
    get state() {
      return keeper.state;
    },
    on: events.on,
    stats: keeper.stats,
    accessToken,
    fetch: sessionFetch,
    async login({ signal } = {}) {
      await keeper.login(signal);
    },
    onToken: (listener) => events.on('token', listener),
    logout: keeper.logout,
    async logoutEverywhere({ keepCurrent = false } = {}) {
      await readSessionList(
        sessionFetch('/v1/user/logout/all', {
          method: 'POST',
          body: new URLSearchParams({ keepCurrent: String(keepCurrent) }),
        }),
        'The logout',
      );
      if (!keepCurrent) await keeper.logout();
    },
    sessions: () => readSessionList(sessionFetch('/v1/user/sessions'), 'The list of sessions'),
    close,
    [Symbol.asyncDispose]: close,

    async webSocketLogin({ signal } = {}) {
      const record = await keeper.ensure(signal);
      return asLogin(record.accessToken, skew.toLocal(record.accessExpiresAt));
    },
    onRenewed: (listener) =>
      events.on('token', ({ token, expiresAt }) => listener(asLogin(token, expiresAt))),
    onEnded: (listener) => events.on('ended', ({ error }) => listener(error)),
    invalidate: (token) => void keeper.reject(token),
    // Frames may have waited on their way: a generous bound keeps them from making good hints worse.
    noteServerTime: (serverTime) => skew.observe(serverTime, 5000, clock.now(), clock.now()),
  };
}

/** Reads the signer once where it is given, each time where it is a function. */
function signerSource(
  input: WalletSessionOptions['signer'],
  unattended: boolean | undefined,
): () => Promise<LoginSigner | null> {
  const read = (given: SignerInput): LoginSigner => {
    const signer = readSigner(given);
    return unattended === undefined ? signer : Object.create(signer, { unattended: { value: unattended } });
  };
  if (input === undefined) return async () => null;
  if (typeof input === 'function') return async () => read(await input());
  const signer = read(input);
  return async () => signer;
}
