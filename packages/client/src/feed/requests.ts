/** Requests under way on one connection: paced, timed, and matched with what comes back. */
import type { Clock } from '../clock.ts';
import { ConnectionError, type CountersignError } from '../errors.ts';

/** What a request is about; answers without an id are matched by it. */
export interface About {
  readonly command: 'login' | 'subscribe' | 'unsubscribe' | 'query';
  /** Tells requests of one command apart where answers repeat what was asked; '' where they do not. */
  readonly subject: string;
}

interface Pending<Answer> {
  readonly id: number;
  readonly about: About;
  resolve(answer: Answer): void;
  reject(error: CountersignError): void;
}

export interface RequestsOptions {
  clock: Clock;
  /** Milliseconds for an answer. */
  timeout: number;
  /** Messages per second on average, and at once. */
  rate: number;
  burst: number;
  /** False if there is no connection. */
  send(text: string): boolean;
}

export class Requests<Answer> {
  readonly #options: RequestsOptions;
  /** Oldest first. */
  readonly #pending = new Map<number, Pending<Answer>>();
  #nextId = 1;
  #tokens: number;
  #filledAt: number;
  #line: (() => void)[] = [];
  #cancelTurn: (() => void) | null = null;

  constructor(options: RequestsOptions) {
    this.#options = options;
    this.#tokens = options.burst;
    this.#filledAt = options.clock.monotonic();
  }

  /**
   * Sends one message and waits for its answer.
   *
   * @param write makes the message; called when it is its turn, so that what it signs is fresh
   * @throws CountersignError the refusal, `timeout`, or `unreachable` if the connection is lost
   */
  ask(about: About, write: (id: number) => string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#turn(() => {
        const { clock, timeout, send } = this.#options;
        const id = this.#nextId++;
        const cancel = clock.after(timeout, () => {
          this.#pending.delete(id);
          reject(new ConnectionError('timeout', `No answer to ${about.command} in ${timeout / 1000} s.`));
        });
        this.#pending.set(id, {
          id,
          about,
          resolve(answer) {
            cancel();
            resolve(answer);
          },
          reject(error) {
            cancel();
            reject(error);
          },
        });
        if (!send(write(id))) this.#take(id)?.reject(lost());
      }, reject);
    });
  }

  /** Hands an answer to the request with that id, or else to the oldest one that it may belong to. */
  answer(id: number | null, may: (about: About) => boolean, answer: Answer): boolean {
    const request = this.#find(id, may);
    request?.resolve(answer);
    return request !== undefined;
  }

  refuse(id: number | null, may: (about: About) => boolean, error: CountersignError): boolean {
    const request = this.#find(id, may);
    request?.reject(error);
    return request !== undefined;
  }

  /** The connection is gone. */
  clear(): void {
    this.#cancelTurn?.();
    this.#cancelTurn = null;
    const line = this.#line;
    this.#line = [];
    for (const request of [...this.#pending.values()]) this.#take(request.id)?.reject(lost());
    // Those in line send to nobody, and are told so.
    for (const go of line) go();
  }

  #find(id: number | null, may: (about: About) => boolean): Pending<Answer> | undefined {
    if (id !== null) return this.#take(id);
    for (const request of this.#pending.values()) if (may(request.about)) return this.#take(request.id);
    return undefined;
  }

  #take(id: number): Pending<Answer> | undefined {
    const request = this.#pending.get(id);
    this.#pending.delete(id);
    return request;
  }

  #turn(go: () => void, fail: (error: unknown) => void): void {
    this.#line.push(() => {
      try {
        go();
      } catch (error) {
        fail(error);
      }
    });
    this.#advance();
  }

  #advance(): void {
    const { clock, rate, burst } = this.#options;
    if (this.#cancelTurn !== null) return;
    const now = clock.monotonic();
    this.#tokens = Math.min(burst, this.#tokens + ((now - this.#filledAt) / 1000) * rate);
    this.#filledAt = now;
    while (this.#line.length > 0 && this.#tokens >= 1) {
      this.#tokens -= 1;
      this.#line.shift()?.();
    }
    if (this.#line.length === 0) return;
    this.#cancelTurn = clock.after(Math.ceil(((1 - this.#tokens) / rate) * 1000), () => {
      this.#cancelTurn = null;
      this.#advance();
    });
  }
}

const lost = (): ConnectionError => new ConnectionError('unreachable', 'The connection was lost.');
