/** What one attempt does: take what others got, refresh, or log in, in this order. When to attempt is decided elsewhere. */
import { type CountersignError, SessionError } from '../errors.ts';
import type { Emitter } from '../events.ts';
import type { LoginSigner } from '../signers/signer.ts';
import type { SessionStore } from '../stores/store.ts';
import { isFresh, isNearEnd, isRefreshable } from './lifetimes.ts';
import type { SessionRecord } from './record.ts';
import { isFinalRefusal, type SessionApi } from './session-api.ts';
import type { SessionEvents } from './session-events.ts';
import type { Shelf } from './shelf.ts';

export interface Renewed {
  record: SessionRecord;
  how: 'login' | 'refresh' | 'adopted';
}

export interface Renewal {
  /** Attempts begun. */
  readonly attempts: number;
  /**
   * Renews without asking anybody, while nobody else who shares the store does.
   *
   * @param record what is held here
   * @param rejected an access token that a server refused: not to be taken from the store again
   * @param now the server's time in milliseconds since 1970
   * @throws SessionError `logged_out` when somebody who shares the store logged out, `sign_in_needed`
   */
  renew(record: SessionRecord | null, rejected: string | null, now: number): Promise<Renewed>;
  /** A login that was asked for. */
  login(signal: AbortSignal | undefined): Promise<Renewed>;
}

export interface RenewalOptions {
  api: SessionApi;
  shelf: Shelf;
  store: SessionStore;
  /** Null while nobody can sign: the session then lives on what the store holds. */
  signer(): Promise<LoginSigner | null>;
  events: Emitter<SessionEvents>;
}

export const loggedOut = (): SessionError =>
  new SessionError('logged_out', 'The session was logged out. Call login() for a new one');

export function createRenewal({ api, shelf, store, signer: findSigner, events }: RenewalOptions): Renewal {
  let attempts = 0;

  const count = (kind: 'login' | 'refresh') => events.emit('attempt', { kind, number: ++attempts });

  async function refresh(base: SessionRecord): Promise<Renewed> {
    count('refresh');
    const { refreshToken, parentRefreshToken } = base;
    const record = await api.refresh(base, refreshToken).catch((error: unknown) => {
      if (!isFinalRefusal(error) || parentRefreshToken === null) throw error;
      // The newest token never worked, and the one before it did: the server may have lost what it issued.
      return api.refresh(base, parentRefreshToken);
    });
    // Kept before it is used: a restart must not come back with a spent token.
    await shelf.write(record);
    return { record, how: 'refresh' };
  }

  async function logIn(signer: LoginSigner, signal?: AbortSignal): Promise<SessionRecord> {
    count('login');
    return api.login(signer, signal);
  }

  async function attempt(
    record: SessionRecord | null,
    rejected: string | null,
    now: number,
  ): Promise<Renewed> {
    const stored = await shelf.read();
    if (stored === 'logged-out' && record !== null) throw loggedOut();
    const held = stored === 'logged-out' ? null : stored;
    const news = held !== null && held.accessToken !== record?.accessToken && held.accessToken !== rejected;
    if (news && isFresh(held, now)) return { record: held, how: 'adopted' };

    const base = held ?? record;
    const signer = await findSigner();
    const unattended = signer?.unattended === true;
    const refreshable = base !== null && isRefreshable(base, now);
    const nearEnd = base !== null && isNearEnd(base, now);
    if (refreshable && !(nearEnd && unattended)) {
      try {
        return await refresh(base);
      } catch (error) {
        if (!isFinalRefusal(error)) throw error;
        events.emit('lost', { error: error as CountersignError });
      }
    }
    if (signer === null || !unattended) {
      const who = signer === null ? 'no signer was given' : 'the wallet has to be asked';
      throw new SessionError('sign_in_needed', `There is no session and ${who}: call login()`);
    }
    try {
      const next = await logIn(signer);
      await shelf.write(next);
      return { record: next, how: 'login' };
    } catch (error) {
      // Near its end, but not over: the old session serves until a login succeeds.
      if (refreshable && nearEnd) return refresh(base);
      throw error;
    }
  }

  return {
    get attempts() {
      return attempts;
    },
    renew: (...held) => store.exclusive(() => attempt(...held)),
    async login(signal) {
      const signer = await findSigner();
      if (signer === null) throw new SessionError('sign_in_needed', 'There is no signer to log in with');
      const record = await logIn(signer, signal);
      // Only now, not while a person may be thinking: others go on refreshing meanwhile.
      await store.exclusive(() => shelf.write(record));
      return { record, how: 'login' };
    },
  };
}
