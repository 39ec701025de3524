/** A session in a file that only its owner can read. Processes that use one file share one session. */
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { type Clock, systemClock } from '../clock.ts';
import { StoreError } from '../errors.ts';
import { createTurns, type SessionStore } from '../stores/store.ts';
import { withFileLock } from './file-lock.ts';

export interface FileStoreOptions {
  /** Milliseconds that a process waits for its turn to refresh. Default 30,000. */
  patience?: number;
  clock?: Clock;
}

/** No session is larger: guards against a path that was meant for something else. */
const MAX_SIZE = 256 * 1024;

const failed = (what: string, cause: unknown): StoreError =>
  new StoreError('store_failed', `The session file cannot be ${what}`, { cause });

/**
 * Keeps a session in a file of mode 0600. A write is whole or not at all, also when the machine stops in the middle.
 * Beside it lies `<file>.lock` while somebody refreshes. Locks work on one machine; network file systems may not.
 *
 * Refresh tokens are secrets: wrap it in `encryptedStore` where the disk or its backups are read by others.
 */
export function fileStore(path: string, options: FileStoreOptions = {}): SessionStore {
  const { patience = 30_000, clock = systemClock } = options;
  const file = resolve(path);
  const turns = createTurns();

  return {
    async read() {
      try {
        const text = await readFile(file, 'utf8');
        return text.length > MAX_SIZE || text === '' ? null : text;
      } catch (error) {
        if ((error as { code?: string }).code === 'ENOENT') return null;
        throw failed('read', error);
      }
    },
    async write(text) {
      const draft = `${file}.${randomBytes(6).toString('hex')}.tmp`;
      try {
        await mkdir(dirname(file), { recursive: true, mode: 0o700 });
        const handle = await open(draft, 'wx', 0o600);
        try {
          await handle.writeFile(text);
          // Before the rename, or a power cut may leave an empty file under the right name.
          await handle.sync();
        } finally {
          await handle.close();
        }
        await chmod(draft, 0o600);
        await rename(draft, file);
      } catch (error) {
        await rm(draft, { force: true }).catch(() => {});
        throw failed('written', error);
      }
    },
    async clear() {
      try {
        await rm(file, { force: true });
      } catch (error) {
        throw failed('removed', error);
      }
    },
    // In turns within the process too: waiting there costs nothing.
    exclusive: (task) =>
      turns(async () => {
        await mkdir(dirname(file), { recursive: true, mode: 0o700 }).catch(() => {});
        return withFileLock(`${file}.lock`, { clock, patience }, task);
      }),
  };
}
