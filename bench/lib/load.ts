/** Closed-loop load: a fixed number of lanes, each starting its next operation when the last has ended. */

/**
 * @param lanes operations under way at once
 * @param seconds how long to measure, after a warm-up of a quarter of that
 * @param warmed called once, when the warm-up is over
 * @returns operations per second and the latencies in milliseconds
 */
export async function closedLoop(
  lanes: number,
  seconds: number,
  operation: (lane: number) => Promise<void>,
  warmed: () => void = () => {},
): Promise<{ perSecond: number; latencies: number[] }> {
  const warmUntil = performance.now() + seconds * 250;
  const until = warmUntil + seconds * 1000;
  const latencies: number[] = [];
  let warm = false;
  await Promise.all(
    Array.from({ length: lanes }, async (_, lane) => {
      for (;;) {
        const begun = performance.now();
        if (begun >= until) return;
        if (!warm && begun >= warmUntil) {
          warm = true;
          warmed();
        }
        await operation(lane);
        const ended = performance.now();
        if (begun >= warmUntil && ended <= until) latencies.push(ended - begun);
      }
    }),
  );
  return { perSecond: latencies.length / seconds, latencies };
}
