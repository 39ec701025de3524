import type Database from 'libsql';
import type { GroupCommit } from './group-commit.ts';
import { build, prepare } from './statement.ts';

export function sqliteProbe(
  db: Database.Database,
  commits: GroupCommit,
  clock: { monotonic(): number },
): () => Promise<number> {
  const touch = prepare(db)<object>()(() =>
    build.updateTable('probe').set((eb) => ({ writes: eb('writes', '+', 1) })),
  );
  return async () => {
    const begun = clock.monotonic();
    await commits.write(() => touch.run({}));
    return clock.monotonic() - begun;
  };
}
