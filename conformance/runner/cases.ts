/** One file per client: how it is started, and the steps that it has to report, in order. */
import { readdir, readFile } from 'node:fs/promises';
import { basename } from 'node:path';

export type Runtime = 'node' | 'python' | 'go';

export interface Case {
  /** Of the file, without `.json`. */
  name: string;
  title: string;
  runtime: Runtime;
  /** Relative to this folder's parent. */
  program: string;
  /** True for a program that stands on a documentation page and is read from there. */
  seeds: boolean;
  /** The most that it may take. */
  seconds: number;
  steps: readonly string[];
}

export async function readCases(folder: URL): Promise<Case[]> {
  const files = (await readdir(folder)).filter((file) => file.endsWith('.json')).sort();
  return Promise.all(
    files.map(async (file) => {
      const written = JSON.parse(await readFile(new URL(file, folder), 'utf8')) as Omit<Case, 'name'>;
      return { ...written, seeds: written.seeds ?? false, name: basename(file, '.json') };
    }),
  );
}
