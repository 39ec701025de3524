import type Database from 'libsql';
import { CHAIN_START, chainHash } from '../audit-chain.ts';
import type { AuditRow } from '../schema.ts';
import type { AuditEntry, AuditLog } from '../store.ts';
import type { GroupCommit } from './group-commit.ts';
import { build, prepare } from './statement.ts';

/** Rows that `verify` reads before it lets others have the event loop. */
const VERIFY_CHUNK = 500;

export function sqliteAudit(db: Database.Database, commits: GroupCommit): AuditLog {
  const last = prepare(db)<object>()(() =>
    build.selectFrom('audit').select(['n', 'hash']).orderBy('n', 'desc').limit(1),
  );
  const insert = prepare(db)<AuditRow>()((v) =>
    build.insertInto('audit').values({
      n: v.n,
      at: v.at,
      actor: v.actor,
      action: v.action,
      target: v.target,
      source: v.source,
      detail: v.detail,
      hash: v.hash,
    }),
  );
  const newest = prepare(db)<{ before: number; limit: number }>()((v) =>
    build.selectFrom('audit').selectAll().where('n', '<', v.before).orderBy('n', 'desc').limit(v.limit),
  );
  const after = prepare(db)<{ n: number; limit: number }>()((v) =>
    build.selectFrom('audit').selectAll().where('n', '>', v.n).orderBy('n').limit(v.limit),
  );

  return {
    append: (entry) =>
      commits.write(() => {
        const previous = last.get({});
        const n = (previous?.n ?? 0) + 1;
        const clean = storable(entry);
        insert.run({ ...clean, n, hash: chainHash(previous?.hash ?? CHAIN_START, n, clean) });
      }),
    list: ({ limit, before }) =>
      commits.read(() => newest.all({ before: before ?? Number.MAX_SAFE_INTEGER, limit })),
    async verify() {
      let previous = CHAIN_START;
      let rows = 0;
      for (;;) {
        const chunk = await commits.read(() => after.all({ n: rows, limit: VERIFY_CHUNK }));
        for (const row of chunk) {
          if (row.hash !== chainHash(previous, row.n, row)) {
            return { rows, brokenAt: row.n };
          }
          rows = row.n;
          previous = row.hash;
        }
        if (chunk.length < VERIFY_CHUNK) return { rows, brokenAt: null };
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
  };
}

/**
 * What comes back from the file equals what the hash was made of: text that is not Unicode, or holds a NUL,
 * would not. An entry is never refused for its content.
 */
function storable(entry: AuditEntry): AuditEntry {
  const text = (value: string) => Buffer.from(value).toString().replaceAll('\0', '\ufffd');
  return {
    at: entry.at,
    actor: text(entry.actor),
    action: text(entry.action),
    target: text(entry.target),
    source: entry.source === null ? null : text(entry.source),
    detail: text(entry.detail),
  };
}
