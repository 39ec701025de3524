/** Checks the chain of the audit log, and says of what does not hold together what was done to it. */
import { CHAIN_START, chainHash } from './audit-chain.ts';
import type { AuditRow } from './schema.ts';

/** A place in the log: the number of a row and its hash. Kept elsewhere, it proves that nothing up to it was rewritten. */
export interface AuditAnchor {
  n: number;
  hash: string;
}

export interface AuditFinding {
  /** The first row that it is about. */
  n: number;
  /**
   * - `changed`: the row does not follow from the one before it
   * - `removed`: rows are missing in front of this one
   * - `inserted`: the row was never written by a gateway
   * - `moved`: the row stood at another place
   * - `cut`: the newest rows are missing
   * - `rewritten`: the chain holds together, but it is not the one that the anchor was taken from
   */
  kind: 'changed' | 'removed' | 'inserted' | 'moved' | 'cut' | 'rewritten';
  says: string;
}

export interface AuditReport {
  /** Rows that were read. */
  rows: number;
  /** The newest row: the anchor for next time. Null for an empty log. */
  head: AuditAnchor | null;
  /** Where the first finding is; null if all is well. */
  brokenAt: number | null;
  /** Empty if all is well; in order of `n`. Bounded: after {@link MOST_SUSPECTS} bad rows the rest is only counted. */
  findings: AuditFinding[];
  /** Rows that did not follow from the one before, and were not looked at further. */
  unexplained: number;
}

export interface AuditCheck {
  /** Takes the next rows, in order of `n` from the first. */
  take(rows: readonly AuditRow[]): void;
  report(): AuditReport;
}

const MOST_SUSPECTS = 200;
/** How far rows may have been renumbered, in either direction, and still be recognised. */
const SHIFT = 8;
const PASSES = 8;

interface Suspect {
  row: AuditRow;
  /** Stored hash of the row before it. */
  before: string;
}

/** @param anchor what an earlier check ended with; then what was cut off or written anew is noticed too */
export function createAuditCheck(anchor?: AuditAnchor): AuditCheck {
  const findings: AuditFinding[] = [];
  const suspects: Suspect[] = [];
  let previous: AuditAnchor = { n: 0, hash: CHAIN_START };
  /** By how much rows carry a lower number than they were written with. */
  let shift = 0;
  let rows = 0;
  let unexplained = 0;
  let anchored = anchor === undefined;

  function take(row: AuditRow): void {
    rows += 1;
    if (anchor !== undefined && row.n === anchor.n) {
      anchored = true;
      if (row.hash !== anchor.hash)
        findings.push({
          n: row.n,
          kind: 'rewritten',
          says: `row ${row.n} has another hash than the anchor: it or rows before it were written anew`,
        });
    }
    const before = previous;
    previous = row;
    if (chainHash(before.hash, row.n + shift, row) === row.hash) return;
    if (row.n > before.n + 1) {
      // What the row follows from is gone; whether it is itself untouched, the next one tells.
      const last = row.n - 1;
      const which = last === before.n + 1 ? `row ${last} is` : `rows ${before.n + 1} to ${last} are`;
      findings.push({ n: before.n + 1, kind: 'removed', says: `${which} missing` });
      return;
    }
    for (let by = -SHIFT; by <= SHIFT; by += 1) {
      if (chainHash(before.hash, row.n + by, row) !== row.hash) continue;
      noteShift(row.n, by - shift);
      shift = by;
      return;
    }
    if (suspects.length < MOST_SUSPECTS) suspects.push({ row, before: before.hash });
    else unexplained += 1;
  }

  /** Rows go on in the chain under other numbers: some were taken out or put in before them, and these renumbered. */
  function noteShift(n: number, by: number): void {
    const last = suspects.at(-1);
    if (by > 0) {
      // The first row behind the gap could not be told from a changed one until now.
      if (last?.row.n === n - 1) suspects.pop();
      findings.push({
        n: n - 1,
        kind: 'removed',
        says: `${by} row${by === 1 ? ' was' : 's were'} taken out before row ${n - 1}, and those after it renumbered`,
      });
    } else {
      findings.push({
        n,
        kind: 'moved',
        says: `rows from ${n} on carry numbers ${-by} higher than they were written with`,
      });
    }
  }

  /** Finds for each suspect the place where it follows from what stood there. */
  function explain(): AuditFinding[] {
    const numbers = new Set(suspects.map(({ row }) => row.n));
    const beforePlace = new Map(suspects.map(({ row, before }) => [row.n, new Set([before])]));
    const placeOf = new Map<Suspect, number>();
    for (let pass = 0, found = true; found && pass < PASSES; pass += 1) {
      found = false;
      for (const suspect of suspects) {
        if (placeOf.has(suspect)) continue;
        for (const [place, hashes] of beforePlace) {
          if (![...hashes].some((hash) => chainHash(hash, place, suspect.row) === suspect.row.hash)) continue;
          placeOf.set(suspect, place);
          beforePlace.get(place + 1)?.add(suspect.row.hash);
          found = true;
          break;
        }
      }
    }
    const taken = new Map([...placeOf].map(([suspect, place]) => [place, suspect.row.n]));
    const explained: AuditFinding[] = [];
    for (const suspect of suspects) {
      const { n } = suspect.row;
      const place = placeOf.get(suspect);
      if (place === n) continue;
      if (place !== undefined)
        explained.push({ n, kind: 'moved', says: `row ${n} was written as row ${place}` });
      else if (taken.has(n))
        explained.push({
          n,
          kind: 'inserted',
          says: `row ${n} was never written by a gateway: the row of that number stands at ${taken.get(n)}`,
        });
      else
        explained.push({
          n,
          kind: 'changed',
          says: `row ${n} does not follow from row ${n - 1}: it was changed${numbers.has(n - 1) || n === 1 ? '' : `, or row ${n - 1} was and got a new hash`}`,
        });
    }
    return explained;
  }

  return {
    take(chunk) {
      for (const row of chunk) take(row);
    },
    report() {
      const all = [...findings, ...explain()];
      if (anchor !== undefined && !anchored)
        all.push({
          n: previous.n + 1,
          kind: 'cut',
          says: `the log ends with row ${previous.n}, but row ${anchor.n} is known to have been written`,
        });
      all.sort((a, b) => a.n - b.n);
      return {
        rows,
        head: rows === 0 ? null : { n: previous.n, hash: previous.hash },
        brokenAt: all[0]?.n ?? null,
        findings: all,
        unexplained,
      };
    },
  };
}
