import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { encryptedStore, localStorageStore, memoryStore, type SessionStore } from '../../src/index.ts';
import { fileStore } from '../../src/node.ts';

const folder = mkdtempSync(join(tmpdir(), 'countersign-store-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;
const newFile = () => join(folder, `${files++}`, 'session.json');

/** `localStorage`, Web Locks and `storage` events of one origin, as its tabs see them. */
function browser() {
  const entries = new Map<string, string>();
  const tabs: Set<(event: { key: string | null }) => void>[] = [];
  const tails = new Map<string, Promise<unknown>>();
  const locks = {
    request<T>(name: string, task: () => Promise<T>): Promise<T> {
      const turn = (tails.get(name) ?? Promise.resolve()).then(task, task);
      tails.set(
        name,
        turn.catch(() => {}),
      );
      return turn;
    },
  };
  return {
    entries,
    tab() {
      const listeners = new Set<(event: { key: string | null }) => void>();
      tabs.push(listeners);
      const tell = (key: string) => {
        // The tab that writes is not told.
        for (const other of tabs) if (other !== listeners) for (const listener of other) listener({ key });
      };
      return {
        locks,
        storage: {
          getItem: (key: string) => entries.get(key) ?? null,
          setItem(key: string, text: string) {
            entries.set(key, text);
            tell(key);
          },
          removeItem(key: string) {
            entries.delete(key);
            tell(key);
          },
        },
        events: {
          addEventListener: (_: string, listener: (event: { key: string | null }) => void) =>
            void listeners.add(listener),
          removeEventListener: (_: string, listener: (event: { key: string | null }) => void) =>
            void listeners.delete(listener),
        },
      };
    },
  };
}

const kinds: [string, () => [SessionStore, SessionStore]][] = [
  [
    'memory',
    () => {
      const store = memoryStore();
      return [store, store];
    },
  ],
  [
    'localStorage of two tabs',
    () => {
      const origin = browser();
      return [localStorageStore(origin.tab()), localStorageStore(origin.tab())];
    },
  ],
  [
    'a file',
    () => {
      const file = newFile();
      return [fileStore(file), fileStore(file)];
    },
  ],
  [
    'an encrypted file',
    () => {
      const file = newFile();
      const options = { passphrase: () => 'correct horse', iterations: 1000 };
      return [encryptedStore(fileStore(file), options), encryptedStore(fileStore(file), options)];
    },
  ],
];

describe.each(kinds)('%s', (name, make) => {
  test('gives back what was written, to every holder, until it is cleared', async () => {
    const [one, other] = make();
    expect(await one.read()).toBeNull();
    await one.write('first');
    await one.write('zweites £ 二');
    expect(await other.read()).toBe('zweites £ 二');
    await other.clear();
    await other.clear();
    expect(await one.read()).toBeNull();
  });

  test('lets one holder in at a time, also after one that failed', async () => {
    const [one, other] = make();
    let inside = 0;
    let most = 0;
    const turns = Array.from({ length: 12 }, (_, n) =>
      (n % 2 === 0 ? one : other)
        .exclusive(async () => {
          most = Math.max(most, ++inside);
          await new Promise((resolve) => setImmediate(resolve));
          inside -= 1;
          if (n === 3) throw new Error('this one fails');
          return n;
        })
        .catch((error: Error) => error.message),
    );
    expect(await Promise.all(turns)).toEqual([0, 1, 2, 'this one fails', 4, 5, 6, 7, 8, 9, 10, 11]);
    expect(most).toBe(1);
  });

  test.skipIf(name.includes('file'))('tells who watches of a change, and nobody afterwards', async () => {
    const [one, other] = make();
    let told = 0;
    const off = other.watch?.(() => {
      told += 1;
    });
    await one.write('x');
    expect(told).toBe(1);
    off?.();
    await one.write('y');
    expect(told).toBe(1);
  });
});

describe('a file store', () => {
  test('lets only the owner read, also where the file was open to others before', async () => {
    const file = newFile();
    const store = fileStore(file);
    await store.write('x');
    chmodSync(file, 0o644);
    await store.write('y');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(statSync(join(file, '..')).mode & 0o777).toBe(0o700);
    expect(readdirSync(join(file, '..'))).toEqual(['session.json']);
  });

  test('leaves no lock behind', async () => {
    const file = newFile();
    await fileStore(file).exclusive(async () => {
      expect(readdirSync(join(file, '..'))).toEqual(['session.json.lock']);
    });
    expect(readdirSync(join(file, '..'))).toEqual([]);
  });

  test('takes over the lock of a process that died', async () => {
    const file = newFile();
    const store = fileStore(file);
    await store.write('x');
    const { hostname } = await import('node:os');
    // No process has this id: the largest that Linux gives is 2^22.
    writeFileSync(`${file}.lock`, JSON.stringify({ pid: 2 ** 22 + 1, host: hostname(), id: 'dead' }));
    expect(await store.exclusive(async () => 'in')).toBe('in');
  });

  test('takes over a lock that nobody has touched for long, and waits for one that is in use', async () => {
    const file = newFile();
    const store = fileStore(file, { patience: 100 });
    await store.write('x');
    writeFileSync(`${file}.lock`, JSON.stringify({ pid: 1, host: 'another-machine', id: 'other' }));
    await expect(store.exclusive(async () => 'in')).rejects.toMatchObject({
      code: 'store_busy',
      remedy: 'retry',
    });
    expect(JSON.parse(readFileSync(`${file}.lock`, 'utf8')).id).toBe('other');
    const past = new Date(Date.now() - 60_000);
    utimesSync(`${file}.lock`, past, past);
    expect(await store.exclusive(async () => 'in')).toBe('in');
  });

  test('says that it failed and shows nothing of what it was to keep', async () => {
    const file = join(folder, 'not-a-folder');
    writeFileSync(file, '');
    const store = fileStore(join(file, 'session.json'));
    const error = await store.write('very secret').catch((thrown: Error) => thrown);
    expect(error).toMatchObject({ code: 'store_failed', remedy: 'retry' });
    expect(String(error)).not.toContain('very secret');
  });
});

describe('an encrypted store', () => {
  const inner = () => {
    const store = memoryStore();
    return store;
  };

  test('holds nothing readable, and never the same twice', async () => {
    const kept = inner();
    const store = encryptedStore(kept, { passphrase: 'p', iterations: 1000 });
    await store.write('refresh token');
    const first = await kept.read();
    await store.write('refresh token');
    expect(first).not.toContain('refresh');
    expect(await kept.read()).not.toBe(first);
  });

  test('opens with a key that cannot be taken out', async () => {
    const kept = inner();
    const key = await crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, [
      'encrypt',
      'decrypt',
    ]);
    await encryptedStore(kept, { key }).write('text');
    expect(await encryptedStore(kept, { key }).read()).toBe('text');
  });

  test.each([
    ['another passphrase', (text: string) => text, 'q'],
    [
      'a changed text',
      (text: string) => text.replace(/"data":"(.)/, (_, c) => `"data":"${c === 'A' ? 'B' : 'A'}`),
      'p',
    ],
    ['a clear text', () => '{"version":1,"accessToken":"x"}', 'p'],
    ['rounds without end', (text: string) => text.replace('1000', '99999999999'), 'p'],
  ])('refuses %s and leaves it as it is', async (_name, change, passphrase) => {
    const kept = inner();
    await encryptedStore(kept, { passphrase: 'p', iterations: 1000 }).write('text');
    const changed = change((await kept.read()) ?? '');
    await kept.write(changed);
    const store = encryptedStore(kept, { passphrase, iterations: 1000 });
    await expect(store.read()).rejects.toMatchObject({ code: 'store_unreadable', remedy: 'user' });
    expect(await kept.read()).toBe(changed);
  });

  test('wants a passphrase or a key, and not both', () => {
    expect(() => encryptedStore(inner(), {})).toThrow(TypeError);
    expect(() => encryptedStore(inner(), { passphrase: 'x', key: {} as never })).toThrow(TypeError);
  });
});

describe('localStorage that a browser forbids', () => {
  test('keeps the session in memory', async () => {
    const store = localStorageStore({ storage: null, locks: null, events: null });
    await store.write('x');
    expect(await store.read()).toBe('x');
  });

  test('or that is full says so', async () => {
    const store = localStorageStore({
      storage: {
        getItem: () => null,
        setItem() {
          throw new DOMException('full', 'QuotaExceededError');
        },
        removeItem() {},
      },
      locks: null,
      events: null,
    });
    await expect(store.write('x')).rejects.toMatchObject({ code: 'store_failed' });
  });
});
