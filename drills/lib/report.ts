/** What a drill prints: progress for people on standard error, one JSON line with its figures on standard output. */
export const report = (line: string): void => void process.stderr.write(`${line}\n`);

/** Lists of milliseconds are shown as median and maximum. @returns `held` */
export function summary(drill: string, figures: Record<string, unknown>, held: boolean): boolean {
  const shown = Object.fromEntries(
    Object.entries(figures).map(([name, value]) => {
      if (!Array.isArray(value) || value.length === 0) return [name, value];
      const sorted = [...(value as number[])].sort((a, b) => a - b);
      return [name, { median: Math.round(sorted[sorted.length >> 1]!), max: Math.round(sorted.at(-1)!) }];
    }),
  );
  process.stdout.write(`${JSON.stringify({ drill, held, ...shown })}\n`);
  return held;
}
