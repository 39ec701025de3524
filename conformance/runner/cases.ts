/** One file per client: how it is started, and the steps that it has to report, in order. */
import { readdir, readFile } from 'node:fs/promises';
import { basename } from 'node:path';

export type Runtime = 'node' | 'python' | 'go';

export interface Case {
  /** Of the file, without `.json`. */
  name: string;
  title: string;
  runtime: Runtime;
  /** What else has to be there. */
  needs: readonly Runtime[];
  /** Relative to this folder's parent. */
  program: string;
  /** True for a program that stands on a documentation page and is read from there. */
  seeds: boolean;
  /** True for a client that has a gateway of its own, which it may restart. */
  restarts: boolean;
  /** The most that it may take. */
  seconds: number;
  steps: readonly string[];
}

type Written = Omit<Case, 'name' | 'needs' | 'seeds' | 'restarts'> &
  Partial<Pick<Case, 'needs' | 'seeds' | 'restarts'>>;

export async function readCases(folder: URL): Promise<Case[]> {
  const files = (await readdir(folder)).filter((file) => file.endsWith('.json')).sort();
  return Promise.all(
    files.map(async (file) => {
      const written = JSON.parse(await readFile(new URL(file, folder), 'utf8')) as Written;
      const { needs = [], seeds = false, restarts = false } = written;
      return { ...written, needs, seeds, restarts, name: basename(file, '.json') };
    }),
  );
}
