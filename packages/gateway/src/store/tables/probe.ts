import { type Engine, prepare } from '../engine.ts';

export function probeOn({ build, write }: Engine, clock: { monotonic(): number }): () => Promise<number> {
  const touch = prepare<object>()(() =>
    build.updateTable('probe').set((eb) => ({ writes: eb('writes', '+', 1) })),
  );
  return async () => {
    const begun = clock.monotonic();
    await write(() => touch.run({}), { name: 'probe' });
    return clock.monotonic() - begun;
  };
}
