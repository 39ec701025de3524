/** Processes whose wall clock a drill sets while they run, by libfaketime; their monotonic time goes on as it is. */
import { existsSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const FOLDER = '/usr/lib';
const NAME = 'faketime/libfaketimeMT.so.1';
/** Debian keeps it below the name of the processor. */
const LIBRARY = readdirSync(FOLDER)
  .map((name) => join(FOLDER, name, NAME))
  .find((path) => existsSync(path));

/** What to install, or null if nothing is missing. */
export const missingForClocks = (): string | null => (LIBRARY === undefined ? 'faketime' : null);

export interface WrongClock {
  /** For the process. */
  readonly env: Record<string, string>;
  /** Milliseconds by which the clock is ahead from within a second on; negative = behind. */
  set(ahead: number): void;
  close(): void;
}

export function createWrongClock(): WrongClock {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-clock-'));
  const file = join(folder, 'offset');
  const set = (ahead: number): void => {
    // In one step: a file that is half written would be another time.
    writeFileSync(`${file}.next`, `${ahead < 0 ? '-' : '+'}${(Math.abs(ahead) / 1000).toFixed(3)}\n`);
    renameSync(`${file}.next`, file);
  };
  set(0);
  return {
    env: {
      LD_PRELOAD: LIBRARY ?? '',
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_CACHE_DURATION: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    },
    set,
    close: () => rmSync(folder, { recursive: true, force: true }),
  };
}
