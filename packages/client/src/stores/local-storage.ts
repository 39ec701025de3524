import { StoreError } from '../errors.ts';
import { createTurns, type SessionStore } from './store.ts';

/** What is used of `localStorage`. */
export interface StorageArea {
  getItem(name: string): string | null;
  setItem(name: string, text: string): void;
  removeItem(name: string): void;
}

/** What is used of the Web Locks API: one holder per name over all tabs of an origin. */
export interface Locks {
  request<T>(name: string, task: () => Promise<T>): Promise<T>;
}

/** Where `storage` events arrive: other tabs' changes. */
export interface StorageEvents {
  addEventListener(name: 'storage', listener: (event: { key?: string | null }) => void): void;
  removeEventListener(name: 'storage', listener: (event: { key?: string | null }) => void): void;
}

export interface LocalStorageOptions {
  /** Name of the entry. Default `countersign.session`. Give each account its own. */
  name?: string;
  /** Default: the page's, if it has them. */
  storage?: StorageArea | null;
  locks?: Locks | null;
  events?: StorageEvents | null;
}

interface Page {
  localStorage?: StorageArea;
  navigator?: { locks?: Locks };
  addEventListener?: StorageEvents['addEventListener'];
  removeEventListener?: StorageEvents['removeEventListener'];
}

/** Reading the property throws where a browser forbids storage. */
function pageStorage(): StorageArea | null {
  try {
    return (globalThis as Page).localStorage ?? null;
  } catch {
    return null;
  }
}

/**
 * Keeps a session in `localStorage`: tabs of one origin share it, and `navigator.locks` lets exactly one of them
 * refresh. Any script of the origin can read it: wrap it in `encryptedStore`, or keep to memory, where that matters.
 *
 * Where there is no storage (private mode, a worker, a server that renders pages) the session lives in memory.
 */
export function localStorageStore(options: LocalStorageOptions = {}): SessionStore {
  const page = globalThis as Page;
  const { name = 'countersign.session', storage = pageStorage() } = options;
  const { locks = page.navigator?.locks ?? null } = options;
  const { events = typeof page.addEventListener === 'function' ? (page as StorageEvents) : null } = options;
  const turns = createTurns();
  let fallback: string | null = null;

  return {
    async read() {
      try {
        return storage === null ? fallback : storage.getItem(name);
      } catch {
        return fallback;
      }
    },
    async write(text) {
      fallback = text;
      try {
        storage?.setItem(name, text);
      } catch (cause) {
        throw new StoreError('store_failed', 'localStorage did not take the session', { cause });
      }
    },
    async clear() {
      fallback = null;
      try {
        storage?.removeItem(name);
      } catch (cause) {
        throw new StoreError('store_failed', 'localStorage did not let go of the session', { cause });
      }
    },
    exclusive: (task) => (locks === null ? turns(task) : locks.request(`countersign:${name}`, task)),
    watch(listener) {
      // A null key: everything was cleared.
      const changed = (event: { key?: string | null }) => {
        if (event.key === name || event.key === null) listener();
      };
      events?.addEventListener('storage', changed);
      return () => events?.removeEventListener('storage', changed);
    },
  };
}
