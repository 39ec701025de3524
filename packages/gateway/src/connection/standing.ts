/** Who a connection belongs to, on what proof, and until when. */
import type { Clock } from '../operations/clock.ts';
import type { Authentication, Principal } from '../session/principal.ts';

export class Standing {
  readonly #clock: Pick<Clock, 'now'>;
  #proof: Authentication | null = null;
  /** Kept after the proof expired and after a logout: the subject of a connection never changes (R51). */
  #subject: number | null = null;
  /** The proof came inside a request and counts for that request alone (wire facts coinbase C5). */
  #perRequest = false;
  #lapsed = false;
  #told = false;
  #suspended = false;

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
  }

  /** The last proof, expired or not; null before the first and after a logout. */
  get proof(): Authentication | null {
    return this.#proof;
  }

  /** The time of the last proof has run out. */
  get lapsed(): boolean {
    return this.#lapsed;
  }

  /** There is a proof that counts: its time has not run out, and access could be confirmed. */
  get lasts(): boolean {
    return this.#proof !== null && !this.#lapsed && !this.#suspended;
  }

  /** There is a proof whose time has not run out, and it counts for nothing until access can be confirmed. */
  get waits(): boolean {
    return this.#proof !== null && !this.#lapsed && this.#suspended;
  }

  /** No proof counts, whatever comes, until {@link confirm}. */
  get suspended(): boolean {
    return this.#suspended;
  }

  /** The proof that a request without one of its own can stand on now. */
  get current(): Authentication | null {
    return this.#perRequest || !this.lasts ? null : this.#proof;
  }

  /** Whose connection this is for good; null until somebody has proved to be anybody. */
  get subject(): number | null {
    return this.#subject;
  }

  /**
   * Takes a proof into effect in place of the one before.
   *
   * @param perRequest it came inside a request; a connection that was signed in stays signed in all the same
   */
  adopt(proof: Authentication, perRequest: boolean): void {
    // The right lasts until the newest access token of the session expires: an older one presented again does
    // not shorten it (wire facts 3.4).
    const known = this.#longer(proof) ? null : this.#proof;
    this.#perRequest = perRequest && (this.#proof === null || this.#perRequest);
    this.#proof = known === null ? proof : { ...proof, expiresAt: known.expiresAt };
    this.#subject = proof.principal.userId;
    this.#lapsed = false;
    this.#told = false;
  }

  /** The present proof with a later end, if it is of that session and if that is later; else null. */
  extended(sid: string, expiresAt: number): Authentication | null {
    const proof = this.#proof;
    if (proof === null || proof.principal.credential.kind !== 'session') return null;
    const longer = { ...proof, expiresAt };
    return proof.principal.credential.sid === sid && this.#longer(longer) ? longer : null;
  }

  /** The same proof, for a principal whose rights have changed. */
  replacePrincipal(principal: Principal): void {
    if (this.#proof !== null) this.#proof = { ...this.#proof, principal };
  }

  suspend(): void {
    this.#suspended = true;
  }

  confirm(): void {
    this.#suspended = false;
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
  due(leeway: number): 'over' | 'lapsed' | 'expired' | null {
    if (this.#proof === null) return null;
    const now = this.#clock.now();
    const { expiresAt, principal } = this.#proof;
    const { endsAt } = principal;
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

  /** False if the present proof is of the same session and lasts as long or longer. */
  #longer({ principal: { credential }, expiresAt }: Authentication): boolean {
    const present = this.#proof?.principal.credential;
    const until = this.#proof?.expiresAt;
    if (credential.kind !== 'session' || present?.kind !== 'session') return true;
    return credential.sid !== present.sid || until == null || expiresAt === null || expiresAt > until;
  }
}
