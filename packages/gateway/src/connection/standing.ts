/** Who a connection belongs to, on what proof, and until when. */
import type { Authentication, Principal } from '../session/principal.ts';

export class Standing {
  /** Kept after it expired, so that the subject of a connection cannot change (R51). */
  #proof: Authentication | null;
  /** The proof came inside a request and counts for that request alone (wire facts coinbase C5). */
  #perRequest = false;
  #lapsed = false;
  #told = false;

  constructor(proof: Authentication | null) {
    this.#proof = proof;
  }

  /** The last proof, expired or not. */
  get proof(): Authentication | null {
    return this.#proof;
  }

  /** The proof that a request without one of its own can stand on now. */
  get current(): Authentication | null {
    return this.#lapsed || this.#perRequest ? null : this.#proof;
  }

  /** Whose connection this is; null until somebody has proved to be anybody. */
  get userId(): number | null {
    return this.#proof?.principal.userId ?? null;
  }

  adopt(proof: Authentication, perRequest: boolean): void {
    this.#proof = proof;
    this.#perRequest = perRequest;
    this.#lapsed = false;
    this.#told = false;
  }

  /** The same proof, for a principal whose rights have changed. */
  replacePrincipal(principal: Principal): Authentication | null {
    if (this.#proof === null) return null;
    this.#proof = { ...this.#proof, principal };
    return this.#proof;
  }

  clear(): void {
    this.#proof = null;
    this.#perRequest = false;
    this.#lapsed = false;
    this.#told = false;
  }

  /**
   * What has become due since the last look: `over` = the credential itself has ended; `lapsed` = the token
   * and its leeway are over; `expired` = the token is over and the leeway has begun. Each is said once.
   */
  due(now: number, leeway: number): 'over' | 'lapsed' | 'expired' | null {
    if (this.#proof === null) return null;
    const { expiresAt, endsAt } = this.#proof;
    if (endsAt != null && now >= endsAt) return 'over';
    if (expiresAt === null) return null;
    if (!this.#told && now >= expiresAt - leeway) {
      this.#told = true;
      return 'expired';
    }
    if (!this.#lapsed && now >= expiresAt) {
      this.#lapsed = true;
      return 'lapsed';
    }
    return null;
  }
}
