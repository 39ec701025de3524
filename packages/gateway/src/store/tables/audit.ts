import { CHAIN_START, chainHash } from '../audit-chain.ts';
import { createAuditCheck } from '../audit-check.ts';
import { type Engine, type Following, lock, type Op, prepare, rowsOf, together } from '../engine.ts';
import type { AuditRow } from '../schema.ts';
import type { AuditEntry, AuditLog } from '../store.ts';

/** Rows that `verify` reads before it lets others have the event loop. */
const VERIFY_CHUNK = 500;

export interface Audit {
  store: AuditLog;
  /** Appends a line, for a write that has one to make. */
  line(entry: AuditEntry): Following;
}

export function auditOn({ build, read, write }: Engine): Audit {
  const last = prepare<object>()(() =>
    build.selectFrom('audit').select(['n', 'hash']).orderBy('n', 'desc').limit(1),
  );
  const insert = prepare<AuditRow>()((v) =>
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
  const newest = prepare<{ before: number; limit: number }>()((v) =>
    build.selectFrom('audit').selectAll().where('n', '<', v.before).orderBy('n', 'desc').limit(v.limit),
  );
  const after = prepare<{ n: number; limit: number }>()((v) =>
    build.selectFrom('audit').selectAll().where('n', '>', v.n).orderBy('n').limit(v.limit),
  );

  const line = (entry: AuditEntry) => ({
    *operation(): Op<void> {
      // Each row covers the one before it: nobody else may add one between the two statements.
      const [, newestRow] = yield* together(lock('audit'), last.first({}));
      const previous = rowsOf<Pick<AuditRow, 'n' | 'hash'>>(newestRow)[0];
      const n = (previous?.n ?? 0) + 1;
      const clean = storable(entry);
      yield* insert.run({ ...clean, n, hash: chainHash(previous?.hash ?? CHAIN_START, n, clean) });
    },
    lane: { name: 'audit', shared: true },
  });

  const store: AuditLog = {
    append(entry) {
      const { operation, lane } = line(entry);
      return write(operation, lane);
    },
    list: ({ limit, before }) => read(() => newest.all({ before: before ?? Number.MAX_SAFE_INTEGER, limit })),
    since: ({ after: n, limit }) => read(() => after.all({ n, limit })),
    async verify(anchor) {
      const check = createAuditCheck(anchor);
      for (let n = 0; ; ) {
        const chunk = await read(() => after.all({ n, limit: VERIFY_CHUNK }));
        check.take(chunk);
        n = chunk.at(-1)?.n ?? n;
        if (chunk.length < VERIFY_CHUNK) return check.report();
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
  };
  return { store, line };
}

/**
 * What comes back equals what the hash was made of: text that is not Unicode, or holds a NUL, would not. An
 * entry is never refused for its content.
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
