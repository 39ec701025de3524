import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CHAIN_START, chainHash } from '../../src/store/audit-chain.ts';
import { type AuditAnchor, type AuditFinding, createAuditCheck } from '../../src/store/audit-check.ts';
import type { AuditRow } from '../../src/store/schema.ts';

function logOf(length: number): AuditRow[] {
  const rows: AuditRow[] = [];
  let previous = CHAIN_START;
  for (let n = 1; n <= length; n++) {
    const entry = {
      at: n,
      actor: 'operator:admin',
      action: 'a',
      target: `t${n}`,
      source: null,
      detail: '{}',
    };
    previous = chainHash(previous, n, entry);
    rows.push({ ...entry, n, hash: previous });
  }
  return rows;
}

function check(rows: readonly AuditRow[], anchor?: AuditAnchor) {
  const checking = createAuditCheck(anchor);
  checking.take(rows.slice(0, 3));
  checking.take(rows.slice(3));
  return checking.report();
}

const kinds = (findings: readonly AuditFinding[]) => findings.map(({ n, kind }) => `${n} ${kind}`);
const rehash = (rows: AuditRow[], from: number) => {
  for (let i = from - 1; i < rows.length; i++) {
    const row = rows[i] as AuditRow;
    row.hash = chainHash(rows[i - 1]?.hash ?? CHAIN_START, row.n, row);
  }
};

describe('the check of the audit chain', () => {
  it('finds nothing in a log that nobody touched, and ends with its anchor', () => {
    const rows = logOf(20);
    expect(check(rows)).toEqual({
      rows: 20,
      head: { n: 20, hash: rows[19]?.hash },
      brokenAt: null,
      findings: [],
      unexplained: 0,
    });
    expect(check([])).toMatchObject({ rows: 0, head: null, findings: [] });
  });

  it.each<[string, (rows: AuditRow[]) => unknown, string[]]>([
    ['a changed row', (rows: AuditRow[]) => Object.assign(rows[6]!, { detail: '{"x":1}' }), ['7 changed']],
    [
      'a changed first row',
      (rows: AuditRow[]) => Object.assign(rows[0]!, { actor: 'nobody' }),
      ['1 changed'],
    ],
    [
      'two changed rows',
      (rows: AuditRow[]) => rows.slice(6, 8).forEach((row) => void Object.assign(row, { at: 0 })),
      ['7 changed', '8 changed'],
    ],
    [
      'a row with a hash of its own making',
      (rows: AuditRow[]) => {
        rows[6]!.target = 'somebody else';
        rows[6]!.hash = chainHash(rows[5]!.hash, 7, rows[6]!);
      },
      ['8 changed'],
    ],
    ['a removed row', (rows: AuditRow[]) => void rows.splice(6, 1), ['7 removed']],
    ['removed first rows', (rows: AuditRow[]) => void rows.splice(0, 3), ['1 removed']],
    [
      'a removed row, the rest renumbered',
      (rows: AuditRow[]) => {
        rows.splice(6, 1);
        for (const row of rows.slice(6)) row.n -= 1;
      },
      ['7 removed'],
    ],
    [
      'two swapped rows',
      (rows: AuditRow[]) => {
        const [a, b] = [rows[6]!, rows[12]!];
        [rows[6], rows[12]] = [
          { ...b, n: 7 },
          { ...a, n: 13 },
        ];
      },
      ['7 moved', '13 moved'],
    ],
    [
      'two neighbours swapped',
      (rows: AuditRow[]) => {
        const [a, b] = [rows[6]!, rows[7]!];
        [rows[6], rows[7]] = [
          { ...b, n: 7 },
          { ...a, n: 8 },
        ];
      },
      ['7 moved', '8 moved'],
    ],
    [
      'an inserted row, the rest renumbered',
      (rows: AuditRow[]) => {
        for (const row of rows.slice(6)) row.n += 1;
        const forged = { ...rows[3]!, n: 7, target: 'forged' };
        forged.hash = chainHash(rows[5]!.hash, 7, forged);
        rows.splice(6, 0, forged);
      },
      ['8 changed', '9 moved'],
    ],
    [
      'an inserted row with a hash that fits nothing',
      (rows: AuditRow[]) => {
        for (const row of rows.slice(6)) row.n += 1;
        rows.splice(6, 0, { ...rows[3]!, n: 7 });
      },
      ['7 inserted', '8 moved', '9 moved'],
    ],
  ] as const)('says what was done: %s', (_, tamper, expected) => {
    const rows = logOf(20);
    tamper(rows);
    expect(kinds(check(rows).findings)).toEqual(expected);
  });

  it('by its anchor, notices that the newest rows are gone, and that all were written anew', () => {
    const rows = logOf(20);
    const anchor = check(rows).head as AuditAnchor;
    expect(check(logOf(25), anchor).findings).toEqual([]);
    expect(kinds(check(rows.slice(0, 18), anchor).findings)).toEqual(['19 cut']);
    const anew = logOf(20);
    anew[4]!.target = 'somebody else';
    rehash(anew, 5);
    expect(check(anew).findings).toEqual([]);
    expect(kinds(check(anew, anchor).findings)).toEqual(['20 rewritten']);
  });

  it('overlooks no single change of any member of any row', () => {
    const members = ['at', 'actor', 'action', 'target', 'source', 'detail', 'hash', 'n'] as const;
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 19 }), fc.constantFrom(...members), (n, member) => {
        const rows = logOf(20);
        const row = rows[n - 1] as AuditRow;
        Object.assign(row, { [member]: member === 'at' || member === 'n' ? row[member] + 0.5 : 'other' });
        expect(check(rows).brokenAt).not.toBeNull();
      }),
    );
  });

  it('spends a bounded effort on a log in which everything is wrong', () => {
    const rows = logOf(5_000).map((row) => ({ ...row, hash: 'x' }));
    const report = check(rows);
    expect(report.findings).toHaveLength(200);
    expect(report.unexplained).toBe(4_800);
  });
});
