/**
 * Publishes a recording instead of a simulation, with its own spacing: one JSON object per line, either a
 * publication as a backend writes it or a frame as it was captured from a socket of a real venue.
 */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Clock } from '../clock.ts';
import { type BookLevel, type JsonObject, kindOf, type Publication } from '../publication.ts';
import { readCaptured } from './captured.ts';

export interface Replay {
  /** What has been published so far, as a gateway that lost it would need it. */
  snapshot(): Publication[];
  /** Resolves when the recording is over or the replay was closed; rejects if a line is not a publication. */
  readonly finished: Promise<void>;
  close(): Promise<void>;
}

const MEMORY_MAX = 20_000;

export function startReplay(path: string, clock: Clock, publish: (list: Publication[]) => void): Replay {
  const memory = new Memory();
  let closed = false;
  let wake = () => {};

  const until = (at: number): Promise<void> =>
    new Promise((resolve) => {
      const wait = at - clock.monotonic();
      if (wait <= 0 || closed) return resolve();
      const cancel = clock.after(wait, resolve);
      wake = () => {
        cancel();
        resolve();
      };
    });

  async function run(): Promise<void> {
    const input = createReadStream(path, 'utf8');
    const began = clock.monotonic();
    const wall = clock.now();
    let first: number | undefined;
    let number = 0;
    try {
      for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
        number += 1;
        if (line.trim() === '') continue;
        for (const recorded of read(line, number)) {
          first ??= recorded.time;
          await until(began + recorded.time - first);
          if (closed) return;
          const publication = { ...recorded, time: wall + recorded.time - first };
          memory.add(publication);
          publish([publication]);
        }
      }
    } finally {
      input.destroy();
    }
  }

  const finished = run();
  // Whoever cares awaits `finished`; nobody has to.
  finished.catch(() => {});
  return {
    snapshot: () => memory.snapshot(),
    finished,
    async close() {
      closed = true;
      wake();
      await finished.catch(() => {});
    },
  };
}

function read(line: string, number: number): Publication[] {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new Error(`line ${number} of the recording is not JSON`);
  }
  const captured = typeof value === 'object' && value !== null ? readCaptured(value as JsonObject) : null;
  if (captured !== null) return captured;
  const { channel, key, time, data } = (value ?? {}) as Partial<Publication>;
  if (typeof channel !== 'string' || typeof key !== 'string' || typeof time !== 'number') {
    throw new Error(`line ${number} of the recording is not a publication: channel, key and time are needed`);
  }
  if (typeof data !== 'object' || data === null) {
    throw new Error(`line ${number} of the recording has no data`);
  }
  return [value as Publication];
}

class Memory {
  readonly #latest = new Map<string, Publication>();
  readonly #books = new Map<string, { last: Publication; levels: Map<string, BookLevel> }>();

  add(publication: Publication): void {
    const name = JSON.stringify([publication.channel, publication.key, publication.item]);
    const kind = kindOf(publication.channel);
    if (kind === 'log') return;
    if (publication.remove === true) {
      this.#latest.delete(name);
      this.#books.delete(name);
    } else if (kind === 'latest') {
      this.#latest.set(name, publication);
      if (this.#latest.size > MEMORY_MAX) this.#latest.delete(this.#latest.keys().next().value!);
    } else {
      const { reset, levels } = publication.data as unknown as { reset?: boolean; levels: BookLevel[] };
      const book = this.#books.get(name) ?? { last: publication, levels: new Map<string, BookLevel>() };
      if (reset === true) book.levels.clear();
      for (const level of levels) {
        if (level[2] === '0') book.levels.delete(`${level[0]} ${level[1]}`);
        else book.levels.set(`${level[0]} ${level[1]}`, level);
      }
      this.#books.set(name, { last: publication, levels: book.levels });
    }
  }

  snapshot(): Publication[] {
    const books = [...this.#books.values()].map(({ last, levels }) => ({
      ...last,
      data: { reset: true, levels: [...levels.values()] },
    }));
    return [...this.#latest.values(), ...books];
  }
}
