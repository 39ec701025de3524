/**
 * How figures are taken here: variants in turn, A B A B, each in a fresh process, so that a machine that
 * drifts drifts for both; medians are quoted, ratios are taken pair by pair, and every raw figure is kept.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';

export type Figures = Record<string, number>;

export interface Variant {
  name: string;
  run(): Promise<Figures>;
}

export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
};

export const percentile = (values: readonly number[], share: number): number => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
};

/** Runs the variants in turn, prints medians, and keeps all raw figures under `bench/results/`. */
export async function measure(
  bench: string,
  variants: readonly Variant[],
  rounds: number,
): Promise<Record<string, Figures[]>> {
  const raw: Record<string, Figures[]> = Object.fromEntries(variants.map(({ name }) => [name, []]));
  const load = loadavg()[0]!;
  for (let round = 1; round <= rounds; round += 1) {
    // Every other round backwards: neither variant always follows the other.
    for (const variant of round % 2 === 1 ? variants : [...variants].reverse()) {
      const figures = await variant.run();
      raw[variant.name]!.push(figures);
      process.stderr.write(`${bench} ${round}/${rounds} ${variant.name}: ${show(figures)}\n`);
    }
  }
  for (const { name } of variants) {
    const runs = raw[name]!;
    const medians = Object.fromEntries(
      Object.keys(runs[0] ?? {}).map((key) => [key, median(runs.map((run) => run[key]!))]),
    );
    process.stdout.write(`${JSON.stringify({ bench, variant: name, rounds, medians })}\n`);
  }
  const folder = new URL('../results/', import.meta.url);
  mkdirSync(folder, { recursive: true });
  const machine = {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    node: process.version,
    loadAtStart: load,
  };
  writeFileSync(
    new URL(`${bench}.json`, folder),
    `${JSON.stringify({ bench, at: new Date().toISOString(), machine, raw }, null, 1)}\n`,
  );
  return raw;
}

/** The median over rounds of a / b, taken pair by pair. */
export function ratio(raw: Record<string, Figures[]>, a: string, b: string, figure: string): number {
  return median(raw[a]!.map((run, index) => run[figure]! / raw[b]![index]![figure]!));
}

const show = (figures: Figures): string =>
  Object.entries(figures)
    .map(([name, value]) => `${name} ${value >= 100 ? Math.round(value) : value.toFixed(2)}`)
    .join(', ');
