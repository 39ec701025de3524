/**
 * A lock that processes of one machine share: a file that only one of them can create. Its holder touches it, so that a
 * lock whose holder died is told from one that is held.
 */
import { randomBytes } from 'node:crypto';
import { link, open, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import { type Clock, sleep } from '../clock.ts';
import { StoreError } from '../errors.ts';

export interface FileLockOptions {
  clock: Clock;
  /** Milliseconds that a turn is waited for. */
  patience: number;
}

const TOUCH_EVERY = 2000;
/** A holder that has not touched its lock for so long is gone, or asleep: servers give a late one the same tokens. */
const STALE_AFTER = 15_000;
const POLL = { from: 10, to: 150 };

interface Holder {
  pid: number;
  host: string;
  id: string;
}

/** Runs `task` while holding the lock file. @throws StoreError `store_busy`, `store_failed` */
export async function withFileLock<T>(
  path: string,
  { clock, patience }: FileLockOptions,
  task: () => Promise<T>,
): Promise<T> {
  const holder: Holder = { pid: process.pid, host: hostname(), id: randomBytes(8).toString('hex') };
  await acquire(path, holder, clock, patience);
  const timer = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => {});
  }, TOUCH_EVERY);
  timer.unref();
  try {
    return await task();
  } finally {
    clearInterval(timer);
    // Not what somebody else made after taking this one for stale.
    if ((await read(path))?.id === holder.id) await rm(path, { force: true });
  }
}

async function acquire(path: string, holder: Holder, clock: Clock, patience: number): Promise<void> {
  const deadline = clock.monotonic() + patience;
  for (let wait = POLL.from; ; wait = Math.min(POLL.to, wait * 1.5)) {
    try {
      const file = await open(path, 'wx', 0o600);
      try {
        await file.writeFile(JSON.stringify(holder));
      } finally {
        await file.close();
      }
      return;
    } catch (error) {
      if ((error as { code?: string }).code !== 'EEXIST') {
        throw new StoreError('store_failed', 'The lock of the session file cannot be made', { cause: error });
      }
    }
    if (await isAbandoned(path)) await remove(path);
    else if (clock.monotonic() > deadline) {
      throw new StoreError('store_busy', `Another process has held the session file for ${patience} ms`);
    } else await sleep(wait, clock);
  }
}

async function read(path: string): Promise<Holder | null> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Holder;
  } catch {
    return null;
  }
}

async function isAbandoned(path: string): Promise<boolean> {
  const [found, holder] = await Promise.all([stat(path).catch(() => null), read(path)]);
  if (found === null) return false;
  if (Date.now() - found.mtimeMs > STALE_AFTER) return true;
  if (holder === null || holder.host !== hostname()) return false;
  return !isAlive(holder.pid);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as { code?: string }).code !== 'ESRCH';
  }
}

/**
 * Takes an abandoned lock away. Two may find it abandoned at once, and the slower one must not take away what the
 * faster one has made since: so it is moved aside, looked at again, and put back if it is somebody's.
 */
async function remove(path: string): Promise<void> {
  const aside = `${path}.${randomBytes(6).toString('hex')}`;
  try {
    await rename(path, aside);
  } catch {
    return; // Somebody was faster.
  }
  if (await isAbandoned(aside)) {
    await rm(aside, { force: true });
  } else {
    // A link, not a rename: that would take away what a third one has made by now.
    await link(aside, path).catch(() => {});
    await rm(aside, { force: true });
  }
}
