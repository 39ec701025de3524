/** Keeps asking the gateway who is signed in. */
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import { type Principal, readPrincipal } from '../principal.ts';
import type { Gateway } from './publisher.ts';

/** The venue plays for so many users at most. */
const PRINCIPALS_MAX = 1000;
const BODY_MAX = 2_000_000;

export interface Watch {
  close(): Promise<void>;
}

/** Calls `tell` with each answer, every second; while the gateway is silent the last answer stands. */
export function watchPrincipals(
  gateway: Gateway,
  clock: Clock,
  log: Log,
  tell: (principals: Principal[]) => void,
): Watch {
  const stop = new AbortController();
  const address = `${gateway.internalUrl.replace(/\/$/, '')}/backend/v1/principals`;
  let asking: Promise<void> | null = null;
  let answered = true;

  async function ask(): Promise<void> {
    try {
      const response = await fetch(address, {
        headers: { authorization: `Bearer ${gateway.backendToken}` },
        signal: AbortSignal.any([stop.signal, AbortSignal.timeout(5000)]),
      });
      const text = await response.text();
      if (!response.ok || text.length > BODY_MAX) throw new Error(`status ${response.status}`);
      const { data } = JSON.parse(text) as { data?: { principals?: unknown } };
      const principals = data?.principals;
      if (!Array.isArray(principals)) throw new Error('no list of principals');
      answered = true;
      tell(
        principals
          .slice(0, PRINCIPALS_MAX)
          .map(readPrincipal)
          .filter((principal) => principal !== null),
      );
    } catch (error) {
      if (answered && !stop.signal.aborted) {
        log.warn(
          { why: error instanceof Error ? error.message : 'unknown' },
          'cannot learn who is signed in',
        );
      }
      answered = false;
    }
  }

  const tick = () => {
    asking ??= ask().finally(() => {
      asking = null;
    });
  };
  tick();
  const cancel = clock.every(1000, tick);
  return {
    async close() {
      cancel();
      stop.abort();
      await asking;
    },
  };
}
