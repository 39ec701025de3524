/** The saved session as a credential of the client: one refresh at a time, kept on disk before it is used. */
import type { Credential, WebSocketLogin } from '@countersign/client';
import { CliError } from '../cli-error.ts';
import type { Io } from '../io.ts';
import { isAboutToExpire, refresh } from './api.ts';
import { requireSession, type SavedSession, saveSession } from './session-file.ts';

export interface SavedCredential extends Credential {
  /** Stops renewing. Idempotent. */
  close(): void;
}

/** When of its life a token is replaced: late enough to use most of it, early enough for a second try. */
const RENEW_AT = 0.75;
const SOONEST_MS = 5000;
/** `setTimeout` takes no more. */
const LATEST_MS = 2 ** 31 - 1;

/** @throws CliError `config` where there is no saved session */
export function savedCredential(io: Io): SavedCredential {
  const renewedListeners = new Set<(login: WebSocketLogin) => void>();
  const endedListeners = new Set<(error: Error) => void>();
  let refused: string | null = null;
  let renewing: Promise<SavedSession> | null = null;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;
  const { address } = requireSession(io.env).session;

  const loginOf = ({ accessToken, accessExpiresAt }: SavedSession): WebSocketLogin => ({
    scheme: 'access-token',
    token: accessToken,
    perMessage: false,
    expiresAt: accessExpiresAt * 1000,
  });

  function schedule(session: SavedSession): void {
    clearTimeout(timer);
    if (closed) return;
    const left = session.accessExpiresAt * 1000 - Date.now();
    const wait = Math.min(LATEST_MS, Math.max(SOONEST_MS, left * RENEW_AT));
    timer = setTimeout(() => {
      renew().then(
        (renewed) => {
          for (const listener of renewedListeners) listener(loginOf(renewed));
        },
        (error: unknown) => {
          if (!(error instanceof CliError) || error.exit !== 'refused') return schedule(session);
          for (const listener of endedListeners) listener(error);
        },
      );
    }, wait);
    timer.unref();
  }

  function renew(): Promise<SavedSession> {
    renewing ??= (async () => {
      const { path, session } = requireSession(io.env);
      const renewed = await refresh(session, io.stop);
      saveSession(path, renewed);
      refused = null;
      schedule(renewed);
      return renewed;
    })().finally(() => {
      renewing = null;
    });
    return renewing;
  }

  return {
    kind: 'wallet-session',
    label: address,
    async webSocketLogin() {
      // Read anew: another command may have refreshed it meanwhile.
      const { session } = requireSession(io.env);
      if (session.accessToken === refused || isAboutToExpire(session)) return loginOf(await renew());
      schedule(session);
      return loginOf(session);
    },
    onRenewed(listener) {
      renewedListeners.add(listener);
      return () => renewedListeners.delete(listener);
    },
    onEnded(listener) {
      endedListeners.add(listener);
      return () => endedListeners.delete(listener);
    },
    invalidate(token) {
      refused = token;
    },
    noteServerTime: () => undefined,
    close() {
      closed = true;
      clearTimeout(timer);
    },
  };
}
