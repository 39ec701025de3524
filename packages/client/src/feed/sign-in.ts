/** Keeps one connection signed in: after it opens, with each renewed token, and when the server says it has expired. */
import { type Backoff, createBackoff } from '../backoff.ts';
import type { Clock } from '../clock.ts';
import { sleep } from '../clock.ts';
import type { Credential } from '../credential.ts';
import { ConnectionError, CountersignError } from '../errors.ts';

export interface SignInOptions {
  credential: Credential;
  clock: Clock;
  random: () => number;
  /** Presents a token. @throws CountersignError */
  present(token: string): Promise<void>;
  signedIn(): void;
  /** It cannot be done; nothing more happens until there is a new token. */
  failed(error: CountersignError): void;
  /** The server does not answer. */
  giveUp(): void;
}

/** Refusals of a token in a row, after which it is said instead of tried. */
const REFUSALS = 2;
/** Other failures in a row on one connection. */
const FAILURES = 8;

export class SignIn {
  readonly #options: SignInOptions;
  #generation = 0;
  #online = false;
  #busy = false;
  #again = false;
  #presented: string | null = null;
  #stop = new AbortController();

  constructor(options: SignInOptions) {
    this.#options = options;
  }

  online(): void {
    this.#online = true;
    this.#generation += 1;
    this.#presented = null;
    this.start();
  }

  offline(): void {
    this.#online = false;
    this.#generation += 1;
    this.#busy = false;
    this.#again = false;
    this.#stop.abort(new ConnectionError('unreachable', 'The connection was lost.'));
    this.#stop = new AbortController();
  }

  /** Signs in with what is good now. While that is under way already, once more after it. */
  start(): void {
    if (!this.#online) return;
    if (this.#busy) {
      this.#again = true;
      return;
    }
    this.#busy = true;
    const generation = this.#generation;
    this.#run(generation, this.#stop.signal)
      .catch((error: unknown) => {
        if (generation === this.#generation) this.#options.failed(asError(error));
      })
      .finally(() => {
        if (generation !== this.#generation) return;
        this.#busy = false;
        if (!this.#again) return;
        this.#again = false;
        this.start();
      });
  }

  /** The server says that the token has expired. */
  expired(): void {
    if (this.#presented !== null) this.#options.credential.invalidate(this.#presented, 'expired');
    this.#presented = null;
    this.start();
  }

  async #run(generation: number, signal: AbortSignal): Promise<void> {
    const { credential, clock, random, present } = this.#options;
    const backoff: Backoff = createBackoff({ base: 500, cap: 20_000, random });
    const current = () => generation === this.#generation;
    for (let refusals = 0; current(); ) {
      let retryAfter: number | undefined;
      try {
        const { token } = await credential.webSocketLogin({ signal });
        if (!current() || token === this.#presented) return;
        try {
          await present(token);
          if (!current()) return;
          this.#presented = token;
          this.#options.signedIn();
          return;
        } catch (error) {
          if (!current()) return;
          const refused = asError(error);
          if (refused.code === 'timeout') return this.#options.giveUp();
          if (refused.code === 'unauthorized') {
            credential.invalidate(token, 'refused');
            refusals += 1;
            if (refusals >= REFUSALS) throw refused;
          } else if (refused.remedy !== 'retry') throw refused;
          retryAfter = refused.retryAfter;
        }
      } catch (error) {
        if (!current()) return;
        const failure = asError(error);
        if (failure.remedy !== 'retry' && !(failure.code === 'unauthorized' && refusals < REFUSALS))
          throw failure;
        retryAfter = failure.retryAfter;
        if (backoff.attempts >= FAILURES) throw failure;
      }
      await sleep(backoff.next(retryAfter), clock, signal);
    }
  }
}

const asError = (error: unknown): CountersignError =>
  error instanceof CountersignError
    ? error
    : new ConnectionError('unexpected_answer', 'Signing in failed for no reason known here.', {
        cause: error,
      });
