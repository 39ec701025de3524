/** One connection that is kept: opened, watched, and opened again for as long as it takes. */
import type { Clock } from '../../operations/clock.ts';

/** What a link is made of. `destroy` must be harmless when called twice. */
export interface Session {
  destroy(): void;
}

export interface LinkOptions<S extends Session> {
  clock: Clock;
  /** 0 to 1, for the pause between attempts. */
  random: () => number;
  /** Makes a session that works, or rejects. `lost` is to be called once it does not work any more. */
  open: (lost: (reason: string) => void) => Promise<S>;
  /** Told of each change. */
  onChange?: (session: S | null, reason: string) => void;
}

export interface Link<S extends Session> {
  /** The session that works now; null while there is none. */
  readonly session: S | null;
  /** Makes the first session. @throws what `open` threw; then the link is closed */
  start(): Promise<void>;
  /** Ends the session, which does not work as it should, and opens another. */
  drop(reason: string): void;
  /** Idempotent. */
  close(): void;
}

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 2000;

/** Full jitter: nodes that lost one server at one moment do not come back at one moment. */
export function createLink<S extends Session>(options: LinkOptions<S>): Link<S> {
  const { clock, random, open, onChange = () => {} } = options;
  let session: S | null = null;
  /** Counts sessions, so that a late word about an old one is not taken for one about the present one. */
  let life = 0;
  let failures = 0;
  let cancelRetry = (): void => {};
  let closed = false;

  async function attempt(): Promise<void> {
    const mine = ++life;
    const opened = await open((reason) => {
      if (mine === life) drop(reason);
    });
    if (mine !== life || closed) return opened.destroy();
    session = opened;
    failures = 0;
    onChange(session, 'connected');
  }

  function retry(): void {
    if (closed) return;
    const longest = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** failures);
    failures = Math.min(failures + 1, 16);
    cancelRetry();
    cancelRetry = clock.after(random() * longest, () => {
      const next = life + 1;
      attempt().catch(() => {
        if (life === next) retry();
      });
    });
  }

  function drop(reason: string): void {
    if (closed) return;
    const old = session;
    // While an attempt is under way there is nothing to drop: it finds out for itself.
    if (old === null) return;
    life++;
    session = null;
    old.destroy();
    onChange(null, reason);
    retry();
  }

  return {
    get session() {
      return session;
    },
    async start() {
      try {
        await attempt();
      } catch (error) {
        closed = true;
        throw error;
      }
    },
    drop,
    close() {
      if (closed) return;
      closed = true;
      life++;
      cancelRetry();
      session?.destroy();
      session = null;
    },
  };
}
