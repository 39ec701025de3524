/** Housekeeping of the store: what ended long ago is forgotten in small steps, so that no request waits for it. */
import type { Store } from '../store/store.ts';
import type { Clock } from './clock.ts';

export interface Sweeper {
  /** Stops; a step under way is finished by the store. Idempotent. */
  close(): void;
}

export interface SweeperOptions {
  store: Pick<Store, 'sweep'>;
  clock: Clock;
  /** Milliseconds for which ended sessions are kept. */
  keepMs: number;
  /** False while the clock is surely wrong: nothing is forgotten by it then. Default: it is right. */
  clockAgrees?: () => boolean;
  log: { info(entry: object, message: string): void };
  onProblem: (problem: unknown) => void;
}

const EVERY_MS = 3_600_000;
/** Rows of one step, which holds up the event loop for a few milliseconds, and the pause after it. */
const STEP_ROWS = 500;
const PAUSE_MS = 200;

/** Sweeps once an hour, for the first time an hour after the start. After a failure it waits for the next hour. */
export function createSweeper(options: SweeperOptions): Sweeper {
  const { store, clock, keepMs, clockAgrees = () => true, log, onProblem } = options;
  let closed = false;
  let running = false;
  let cancelPause = (): void => {};

  async function step(total: { sessions: number; refreshTokens: number }): Promise<void> {
    if (!clockAgrees()) {
      running = false;
      return;
    }
    const { sessions, refreshTokens } = await store.sweep(clock.now(), keepMs, STEP_ROWS);
    const sum = { sessions: total.sessions + sessions, refreshTokens: total.refreshTokens + refreshTokens };
    if (!closed && sessions + refreshTokens >= STEP_ROWS) {
      cancelPause = clock.after(PAUSE_MS, () => run(sum));
      return;
    }
    running = false;
    if (sum.sessions > 0) log.info({ event: 'store.swept', ...sum }, 'forgot sessions that ended long ago');
  }

  function run(total: { sessions: number; refreshTokens: number }): void {
    running = true;
    step(total).catch((problem: unknown) => {
      running = false;
      if (!closed) onProblem(problem);
    });
  }

  const stop = clock.every(EVERY_MS, () => {
    if (!running) run({ sessions: 0, refreshTokens: 0 });
  });
  return {
    close() {
      closed = true;
      stop();
      cancelPause();
    },
  };
}
