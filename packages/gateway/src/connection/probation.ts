/**
 * What a new connection may send until it has signed in or asked for a public channel (R57). A message that does
 * either costs nothing, and neither does one that waits for a login that is being checked; what leads nowhere is
 * counted once that is known.
 */
export interface ProbationLimits {
  /** Messages that lead nowhere. One more ends the connection. */
  messages: number;
  /** Bytes of these together. */
  bytes: number;
  /** Bytes of everything that comes in this time, a login and what waits for it included. */
  whole: number;
}

export class Probation {
  readonly #limits: ProbationLimits;
  #passed = false;
  #messages = 0;
  #bytes = 0;
  #whole = 0;

  constructor(limits: ProbationLimits) {
    this.#limits = limits;
  }

  /** The peer is signed in, or reads what everybody may. */
  get passed(): boolean {
    return this.#passed;
  }

  pass(): void {
    this.#passed = true;
  }

  /** A message has come. @returns false if that is too much */
  received(bytes: number): boolean {
    this.#whole += bytes;
    return this.#passed || this.#whole <= this.#limits.whole;
  }

  /** A message has led nowhere. @returns false if that is one too many */
  wasted(bytes: number): boolean {
    this.#messages += 1;
    this.#bytes += bytes;
    return this.#passed || (this.#messages <= this.#limits.messages && this.#bytes <= this.#limits.bytes);
  }
}
