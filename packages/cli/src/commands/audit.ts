/** `countersign audit`: reads the whole audit log and checks its chain here, not in the gateway that wrote it. */
import { closeSync, openSync, writeSync } from 'node:fs';
import type { AuditAnchor, AuditReader } from '@countersign/gateway';
import { defineCommand } from 'citty';
import { CliError } from '../cli-error.ts';
import { EXIT } from '../exit-codes.ts';
import { type Io, printable } from '../io.ts';
import { call } from '../session/api.ts';
import { type AdminArgs, adminFlags, adminOf } from './key-access.ts';
import { ioOf, jsonFlag } from './shared.ts';

type Row = Awaited<ReturnType<AuditReader['since']>>[number];

/** Loaded when it is needed: no other command need wait for it. */
const gateway = () => import('@countersign/gateway');

/** Rows asked for at once: an answer stays far below what the program reads. */
const PAGE = 250;

const placeFlags = {
  store: {
    type: 'string',
    valueHint: 'place',
    description: 'Read the store itself, no gateway: postgres://... or the path of countersign.db',
  },
  ...adminFlags,
} as const;

const anchorFlag = {
  anchor: {
    type: 'string',
    valueHint: 'n:hash',
    description: 'Last line of an earlier check: notice too what was cut off or written anew',
  },
} as const;

/** The log page by page, from the store or from the gateway's admin API. Ends by itself. */
async function* pages(args: AdminArgs & { store?: string | undefined }, io: Io, from: number) {
  const { read, close } = await readerOf(args, io);
  try {
    for (let after = from; ; ) {
      const rows = await read(after);
      if (rows.length > 0) yield rows;
      if (rows.length < PAGE) return;
      after = rows.at(-1)?.n ?? after;
      if (io.stop.aborted) throw new CliError('interrupted', 'stopped');
    }
  } finally {
    await close();
  }
}

async function readerOf(args: AdminArgs & { store?: string | undefined }, io: Io) {
  if (args.store === undefined) {
    const { origin, bearer } = adminOf(args, io);
    const read = async (after: number) => {
      const path = `/admin/v1/audit?after=${after}&limit=${PAGE}`;
      return (await call<{ entries: Row[] }>(origin, path, { bearer, signal: io.stop })).entries;
    };
    return { read, close: async () => undefined };
  }
  const { openAuditLog, StoreError } = await gateway();
  try {
    const log = await openAuditLog(args.store);
    return { read: (after: number) => log.since({ after, limit: PAGE }), close: log.close };
  } catch (error) {
    if (error instanceof StoreError) throw new CliError('config', printable(error.message));
    throw error;
  }
}

export function anchorOf(text: string | undefined): AuditAnchor | undefined {
  if (text === undefined) return undefined;
  const [, n, hash] = /^([1-9]\d{0,14}):([0-9a-f]{64})$/.exec(text) ?? [];
  if (n === undefined || hash === undefined)
    throw new CliError('usage', '--anchor is a row and its hash, such as 1200:9f86...');
  return { n: Number(n), hash };
}

const verifyCommand = defineCommand({
  meta: {
    name: 'verify',
    description: 'Check that no row of the audit log was changed, removed, put in or moved',
  },
  args: { ...placeFlags, ...anchorFlag, ...jsonFlag },
  async run(context) {
    const io = ioOf(context);
    const { args } = context;
    const { createAuditCheck } = await gateway();
    const check = createAuditCheck(anchorOf(args.anchor));
    for await (const rows of pages(args, io, 0)) check.take(rows);
    const report = check.report();
    const { rows, head, findings, unexplained } = report;
    if (args.json) io.out(JSON.stringify(report));
    else {
      for (const { kind, says } of findings) io.out(printable(`${kind}: ${says}`));
      if (unexplained > 0) io.out(`${unexplained} more rows do not follow from the ones before them`);
      if (findings.length === 0) io.out(`whole: ${rows} rows`);
      if (head !== null) io.out(`anchor ${head.n}:${head.hash}`);
    }
    return findings.length === 0 ? EXIT.ok.code : EXIT.failure.code;
  },
});

const exportCommand = defineCommand({
  meta: { name: 'export', description: 'Write the audit log as JSON lines, oldest first' },
  args: {
    ...placeFlags,
    after: { type: 'string', valueHint: 'n', description: 'Begin behind this row (default: the first)' },
    out: { type: 'string', valueHint: 'file', description: 'New file for it (default: standard output)' },
  },
  async run(context) {
    const io = ioOf(context);
    const { args } = context;
    const from = args.after ?? '0';
    if (!/^\d{1,15}$/.test(from)) throw new CliError('usage', '--after is the number of a row');
    const file = args.out === undefined ? null : newFile(args.out);
    let last: Row | null = null;
    try {
      for await (const rows of pages(args, io, Number(from))) {
        last = rows.at(-1) ?? last;
        const lines = rows.map((row) => JSON.stringify(row));
        if (file === null) for (const line of lines) io.out(line);
        else writeSync(file, `${lines.join('\n')}\n`);
      }
    } finally {
      if (file !== null) closeSync(file);
    }
    io.err(last === null ? 'no rows' : `anchor ${last.n}:${last.hash}`);
  },
});

/** @throws CliError `config` if it is there already: a log is not written over */
function newFile(path: string): number {
  try {
    return openSync(path, 'wx', 0o600);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new CliError('config', `cannot make ${printable(path)} (${code})`);
  }
}

export const auditCommand = defineCommand({
  meta: { name: 'audit', description: 'Check and copy the audit log' },
  subCommands: { verify: verifyCommand, export: exportCommand },
});
