/** The words in which a developer asks for faults: `drop:0.01,delay:50-200,close:1012@45`. */

/** Probabilities are above 0 and at most 1; times are seconds since the connection opened, unless they say `Ms`. */
export interface FaultSpec {
  /** A stream frame is never sent. */
  drop?: number;
  /** A stream frame is sent twice. */
  duplicate?: number;
  /** A stream frame changes places with the next. */
  reorder?: number;
  /** With this frame a run of {@link GAP_FRAMES} stream frames begins of which none is sent. */
  gap?: number;
  /** Everything that is sent is so many milliseconds late, drawn for each; the order stays. */
  delayMs?: { least: number; most: number };
  /** Proofs that came before this moment are over at it. */
  expire?: number;
  /** Access ends as by a revocation. */
  revoke?: number;
  /** A request is answered "rate limited" and is not carried out. */
  rateLimited?: number;
  close?: { code: number; at: number };
  /** Nothing is sent from `from` until `to`; the socket stays open. */
  freeze?: { from: number; to: number };
}

/** Frames that a gap swallows: at least and at most. */
export const GAP_FRAMES = { least: 2, most: 10 } as const;

export const MAX_SPEC = 512;
const MAX_PARTS = 16;
const MAX_SECONDS = 86_400;
const MAX_DELAY_MS = 60_000;

/** What is wrong with a specification, in words that name the part. */
export class FaultSpecError extends Error {
  override readonly name = 'FaultSpecError';
}

type Reader = (text: string) => FaultSpec | null;

const numberIn = (text: string, least: number, most: number): number | null => {
  if (!/^[0-9]{1,9}(?:\.[0-9]{1,9})?$/.test(text)) return null;
  const value = Number(text);
  return value >= least && value <= most ? value : null;
};

const chance =
  (name: 'drop' | 'duplicate' | 'reorder' | 'gap' | 'rateLimited'): Reader =>
  (text) => {
    const value = numberIn(text, Number.MIN_VALUE, 1);
    return value === null ? null : { [name]: value };
  };

const moment =
  (name: 'expire' | 'revoke'): Reader =>
  (text) => {
    const value = numberIn(text, 0, MAX_SECONDS);
    return value === null ? null : { [name]: value };
  };

function span(text: string, most: number, open: number | null): [number, number] | null {
  const [first = '', second, ...more] = text.split('-');
  const from = numberIn(first, 0, most);
  const to = second === undefined ? (open ?? from) : numberIn(second, 0, most);
  return from === null || to === null || to < from || more.length > 0 ? null : [from, to];
}

/** What a server may send: RFC 6455 section 7.4 without those that only say how a connection was lost. */
const mayBeSent = (code: number): boolean =>
  Number.isInteger(code) &&
  ((code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code)) || (code >= 3000 && code <= 4999));

const PROBABILITY = 'must be a probability above 0, up to 1';
const SECONDS = `must be seconds, up to ${MAX_SECONDS}`;

const PARTS: Readonly<Record<string, { read: Reader; rule: string }>> = {
  drop: { read: chance('drop'), rule: PROBABILITY },
  duplicate: { read: chance('duplicate'), rule: PROBABILITY },
  reorder: { read: chance('reorder'), rule: PROBABILITY },
  gap: { read: chance('gap'), rule: PROBABILITY },
  429: { read: chance('rateLimited'), rule: PROBABILITY },
  delay: {
    read(text) {
      const found = span(text, MAX_DELAY_MS, null);
      return found && { delayMs: { least: found[0], most: found[1] } };
    },
    rule: `must be milliseconds or two of them with "-" between, up to ${MAX_DELAY_MS}`,
  },
  expire: { read: moment('expire'), rule: SECONDS },
  revoke: { read: moment('revoke'), rule: SECONDS },
  close: {
    read(text) {
      const [code = '', at = '', ...more] = text.split('@');
      const [number, seconds] = [numberIn(code, 1000, 4999), numberIn(at, 0, MAX_SECONDS)];
      if (number === null || seconds === null || more.length > 0 || !mayBeSent(number)) return null;
      return { close: { code: number, at: seconds } };
    },
    rule: 'must be a close code that a server may send, "@" and seconds, such as 1012@45',
  },
  freeze: {
    read(text) {
      const found = span(text, MAX_SECONDS, Number.POSITIVE_INFINITY);
      return found && { freeze: { from: found[0], to: found[1] } };
    },
    rule: `must be the second at which it begins, and with "-" the one at which it ends, up to ${MAX_SECONDS}`,
  },
};

const shown = (text: string): string => JSON.stringify(text.slice(0, 40));

/**
 * Reads a specification; null for `none` and for nothing at all.
 *
 * @throws FaultSpecError naming the part that is wrong and what it should be
 */
export function parseFaults(text: string): FaultSpec | null {
  if (text.length > MAX_SPEC) throw new FaultSpecError(`longer than ${MAX_SPEC} characters`);
  if (text.trim() === '' || text.trim() === 'none') return null;
  const parts = text.split(',');
  if (parts.length > MAX_PARTS) throw new FaultSpecError(`more than ${MAX_PARTS} parts`);
  const spec: FaultSpec = {};
  const seen = new Set<string>();
  for (const part of parts) {
    const cut = part.indexOf(':');
    const name = (cut < 0 ? part : part.slice(0, cut)).trim();
    const value = cut < 0 ? '' : part.slice(cut + 1).trim();
    if (!Object.hasOwn(PARTS, name)) {
      throw new FaultSpecError(
        `${shown(name)} is no fault; there are ${Object.keys(PARTS).sort().join(', ')}`,
      );
    }
    if (seen.has(name)) throw new FaultSpecError(`${name} is there twice`);
    seen.add(name);
    const { read, rule } = PARTS[name]!;
    const found = read(value);
    if (found === null) throw new FaultSpecError(`${name}: ${shown(value)} ${rule}`);
    Object.assign(spec, found);
  }
  return spec;
}
