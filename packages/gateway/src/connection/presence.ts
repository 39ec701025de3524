/** Which users and sessions have a connection here that counts, and when the first of them comes and the last goes. */
import type { Principal } from '../session/principal.ts';

export type PresenceKind = 'user' | 'session';

/** `present` is false when the last connection of the subject has gone. Must not throw. */
export type PresenceListener = (kind: PresenceKind, subject: string, present: boolean) => void;

export class Presence {
  /** `user:78` or `session:...` -> connections. */
  readonly #counts = new Map<string, number>();
  readonly #names = new Map<object, readonly string[]>();
  readonly #listeners: PresenceListener[] = [];

  /** @param subject user id as text, or sid */
  has(kind: PresenceKind, subject: string): boolean {
    return this.#counts.has(`${kind}:${subject}`);
  }

  onPresence(listener: PresenceListener): void {
    this.#listeners.push(listener);
  }

  /** Says who is behind a connection from now on; null when nobody is, or the connection is closed. */
  set(connection: object, who: Principal | null): void {
    const before = this.#names.get(connection) ?? [];
    const after = who === null ? [] : namesOf(who);
    if (before.join() === after.join()) return;
    if (after.length === 0) this.#names.delete(connection);
    else this.#names.set(connection, after);
    // Those that come first: a subject that both have in common has not been away.
    for (const name of after) this.#add(name, 1);
    for (const name of before) this.#add(name, -1);
  }

  #add(name: string, by: 1 | -1): void {
    const before = this.#counts.get(name) ?? 0;
    const now = before + by;
    if (now === 0) this.#counts.delete(name);
    else this.#counts.set(name, now);
    if (before !== 0 && now !== 0) return;
    const at = name.indexOf(':');
    for (const listener of this.#listeners)
      listener(name.slice(0, at) as PresenceKind, name.slice(at + 1), now !== 0);
  }
}

function namesOf({ userId, credential }: Principal): string[] {
  const user = `user:${userId}`;
  return credential.kind === 'session' ? [user, `session:${credential.sid}`] : [user];
}
