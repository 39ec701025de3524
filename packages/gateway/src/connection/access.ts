/**
 * Taking a proof into effect on a connection, and out of it: login, refresh, expiry, revocation, and the times in
 * which this node cannot confirm that access still holds. Every way ends in one of two places: private streams
 * are paused where the reader is, or taken up again from there.
 */
import { CLOSE, Refusal } from '@countersign/protocol';
import type { Phrase } from '../dialects/dialect.ts';
import type { Credential, Principal } from '../session/principal.ts';
import type { Work } from './command-queue.ts';
import type { Holdings } from './holdings.ts';
import type { Host } from './host.ts';
import type { ConnectionServices, Peer, Proof } from './services.ts';
import { Standing } from './standing.ts';
import type { Subscriptions } from './subscriptions.ts';

/** Changes of access that may overtake one login; a busier log than that is a reason to come back later. */
const MOST_LOOKUPS = 10;

export interface AccessParts {
  peer: Peer;
  services: ConnectionServices;
  host: Host;
  holdings: Holdings;
  subscriptions: Subscriptions;
  /** Has something done in its turn among the commands. */
  enqueue(work: Work): void;
  /** The connection belongs to somebody else now, or to nobody. */
  identityChanged(): void;
  refused(refusal: Refusal): void;
}

export class Access {
  readonly #standing: Standing;
  readonly #parts: AccessParts;
  /** How many changes had been applied when access could not be confirmed any more. */
  #suspendedAt = 0;
  /** The peer was told of that. */
  #told = false;
  /** Taking up again has its place in the queue. */
  #returning = false;

  constructor(parts: AccessParts) {
    this.#parts = parts;
    this.#standing = new Standing(parts.services.clock);
  }

  /** Who may act now; null while there is no proof that counts. */
  get principal(): Principal | null {
    return this.#standing.current?.principal ?? null;
  }

  /** Whose connection it is, expired or not; null before the first login and after a logout. */
  get owner(): Principal | null {
    return this.#standing.proof?.principal ?? null;
  }

  /** Whose connection it is while the proof lasts. A node that cannot confirm access has not lost its peers. */
  get present(): Principal | null {
    return this.#standing.lapsed ? null : this.owner;
  }

  get credential(): Credential | null {
    return this.owner?.credential ?? null;
  }

  /** Who a request stands on that brought the last proof itself: null once that has expired. */
  get bearer(): Principal | null {
    return this.#standing.lasts ? this.owner : null;
  }

  /** What is said to whoever needs a principal where there is none. */
  get missing(): 'unauthorized' | 'unavailable' {
    return this.#standing.waits ? 'unavailable' : 'unauthorized';
  }

  // ---------------------------------------------------------------------------------- a proof

  /** Verifies a token and sees to it that the subject of a connection never changes (R51). Answers refusals itself. */
  async verify(token: string | null, phrase: Phrase): Promise<Proof | null> {
    const { services, peer, host } = this.#parts;
    try {
      if (token === null) throw new Refusal('unauthorized', 'no token');
      const proof = await services.authenticate(token, peer);
      if (host.closed) return null;
      const { subject } = this.#standing;
      if (subject === null || subject === proof.principal.userId) return proof;
      host.refuse(phrase, 'forbidden', 'This connection belongs to another user: open a new one.');
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.#parts.refused(error);
      host.refuse(phrase, error.code);
    }
    return null;
  }

  /** False, and said so, if the user has as many connections as they may. */
  hasRoom({ principal }: Proof, phrase: Phrase): boolean {
    if (this.owner?.userId === principal.userId) return true;
    if (this.#parts.services.roomFor(principal).connections > 0) return true;
    this.#parts.host.refuse(phrase, 'too_many_connections');
    return false;
  }

  /** Takes a proof into effect, at once and whole; `phrase` is the login to answer, if there was one. */
  async adopt(proof: Proof, perRequest: boolean, phrase?: Phrase): Promise<void> {
    const { services, host, holdings, subscriptions } = this.#parts;
    this.#standing.adopt(proof, perRequest);
    this.#parts.identityChanged();
    // Filed first, looked up after: a change of access that came in between is not missed.
    if (services.changesApplied() !== proof.asOf) {
      holdings.pause();
      if (!(await this.#lookUp(proof.principal))) return;
    }
    const principal = this.owner ?? proof.principal;
    subscriptions.reconsider(principal);
    if (phrase !== undefined) host.say((talk) => talk.loggedIn(phrase, { ...proof, principal }));
    await this.#resume();
  }

  /** A REST refresh gave a session a newer access token: if the connection stands on that session, it lives on. */
  extend(sid: string, expiresAt: number): void {
    this.#parts.enqueue(async () => {
      const proof = this.#standing.extended(sid, expiresAt);
      if (proof !== null) {
        await this.adopt({ ...proof, asOf: this.#parts.services.changesApplied() }, true);
      }
    });
  }

  /** Gives up what is private, and whose connection it is. */
  logOut(): void {
    this.#parts.holdings.leavePrivate();
    this.#standing.clear();
    this.#parts.identityChanged();
  }

  // ---------------------------------------------------------------------------------- what happens to it

  /** Permissions, tier or accounts have changed: what is not allowed any more stops here and now (R54). */
  reconsider(principal: Principal): void {
    this.#standing.replacePrincipal(principal);
    this.#parts.subscriptions.reconsider(principal);
  }

  /** The credential, session or user has been ended: nothing private leaves any more. */
  end(): void {
    this.#parts.holdings.leavePrivate();
    this.#parts.host.close(CLOSE.goodbye);
  }

  /** Tells the peer when its access token expires, and stops private streams when the leeway has passed too (R49). */
  expire(): void {
    const { host, holdings } = this.#parts;
    for (let due = this.#due(); due !== null && !host.closed; due = this.#due()) {
      if (due === 'over') return this.end();
      if (due === 'lapsed') {
        if (host.dialect?.endsWithProof === true) return this.end();
        holdings.pause();
        this.#parts.identityChanged();
      } else host.notify(host.conversation.expired());
    }
  }

  /**
   * R47: what may have been revoked counts for nothing while this node cannot know. Called a few times a second;
   * the change log has been applied whole before access counts as confirmed again.
   */
  follow(): void {
    if (!this.#parts.services.accessConfirmed()) {
      if (!this.#standing.suspended) this.#suspend();
    } else if (this.#standing.suspended && !this.#returning) {
      this.#returning = true;
      this.#parts.enqueue(() =>
        this.#confirm().finally(() => {
          this.#returning = false;
        }),
      );
    }
  }

  #suspend(): void {
    const { services, host, holdings } = this.#parts;
    const had = this.#standing.lasts;
    const acted = this.principal !== null;
    this.#standing.suspend();
    this.#suspendedAt = services.changesApplied();
    const paused = holdings.pause();
    // Whoever only ever showed a proof along with public requests has lost nothing.
    this.#told = had && (acted || paused);
    if (this.#told) host.notify(host.conversation.unconfirmed());
  }

  async #confirm(): Promise<void> {
    const { services, host, subscriptions } = this.#parts;
    const { owner } = this;
    if (!services.accessConfirmed()) return;
    if (owner !== null && services.changesApplied() !== this.#suspendedAt) {
      const principal = await this.#ask(owner);
      // Nobody could say: the next look asks again, and the peer goes on resting.
      if (principal === undefined || host.closed) return;
      if (principal === null) return this.end();
      this.#standing.replacePrincipal(principal);
    }
    const go = (): boolean => {
      // Lost again meanwhile: the next look finds it.
      if (host.closed || !services.accessConfirmed()) return false;
      this.#standing.confirm();
      // Also to whoever has signed out meanwhile: what was said is taken back.
      if (this.#told) host.notify(host.conversation.confirmed());
      return true;
    };
    if (this.owner !== null) subscriptions.reconsider(this.owner);
    this.expire();
    if (host.closed) return;
    if (!this.#standing.waits) return void go();
    try {
      await subscriptions.resume(host.conversation.encoder, go);
    } catch (error) {
      // The store is back before the broker: until then there is nothing to go on with, and the next look tries again.
      if (!this.#standing.suspended || !(error instanceof Refusal)) this.#cannotResume(error);
    }
    if (this.#standing.suspended) this.#parts.holdings.pause();
  }

  async #resume(): Promise<void> {
    const { host, subscriptions } = this.#parts;
    // Verifying may have taken longer than the token had left.
    this.expire();
    if (host.closed || !this.#standing.lasts) return;
    try {
      await subscriptions.resume(host.conversation.encoder);
    } catch (error) {
      this.#cannotResume(error);
    }
  }

  /** Half of the streams would go on without a word about the others. */
  #cannotResume(error: unknown): void {
    const { services, peer, host } = this.#parts;
    if (!(error instanceof Refusal)) services.fault('connection.resume', error, peer.id);
    host.close(CLOSE.overload);
  }

  /** Asks again who is behind a credential. False if nobody is any more: the connection has ended then. */
  async #lookUp(before: Principal): Promise<boolean> {
    const { host } = this.#parts;
    const principal = await this.#ask(before);
    if (host.closed) return false;
    if (principal === undefined) host.close(CLOSE.overload);
    else if (principal === null) this.end();
    else this.#standing.replacePrincipal(principal);
    return !host.closed;
  }

  /** Who is behind a credential now; null if nobody is any more, undefined if nobody can say. */
  async #ask({ userId, credential }: Principal): Promise<Principal | null | undefined> {
    const { services, peer, host } = this.#parts;
    for (let asked = 0; asked < MOST_LOOKUPS; asked += 1) {
      const asOf = services.changesApplied();
      const principal = await services.principal(userId, credential, peer).catch(() => undefined);
      // An answer that a further change has overtaken is no answer.
      if (host.closed || asOf === services.changesApplied()) return principal;
    }
    return undefined;
  }

  #due(): ReturnType<Standing['due']> {
    return this.#standing.due(this.#parts.services.limits.leeway);
  }
}
