/** What a person sees: lines in colour, and a book that stays in its place. */
import type { FeedUpdate, OrderBook } from '@countersign/client';
import { type Io, printable } from '../io.ts';

const CODES = { green: 32, red: 31, yellow: 33, grey: 90, bold: 1 } as const;

/** Colours only where somebody looks, and not where they asked for none (no-color.org). */
export function painter(io: Pick<Io, 'env' | 'outIsTerminal'>) {
  const wanted = io.outIsTerminal && !io.env.NO_COLOR && io.env.TERM !== 'dumb';
  return (colour: keyof typeof CODES, text: string) =>
    wanted ? `\u001b[${CODES[colour]}m${text}\u001b[0m` : text;
}
type Paint = ReturnType<typeof painter>;

/** One update in one line. */
export function readable(update: FeedUpdate, paint: Paint, columns: number): string {
  if (update.type === 'resync') {
    const { channel, key, reason, recovered } = update;
    const what = recovered ? 'what was missed follows' : 'what was missed is lost, the present state follows';
    const line = printable(`resync        ${channel}${key === '' ? '' : ` ${key}`}  ${reason}: ${what}`, 200);
    return paint('yellow', line);
  }
  const { time, channel, key, item, type, action, data } = update;
  const at = time === null ? '            ' : new Date(time).toISOString().slice(11, 23);
  const about = [key, item === key ? null : item, type === 'snapshot' ? 'snapshot' : null, action];
  const head = printable([channel, ...about.filter((part) => part)].join(' '), 120);
  const rest = printable(JSON.stringify(data) ?? '', Math.max(20, columns - at.length - head.length - 5));
  return `${paint('grey', at)}  ${paint('bold', head)}  ${rest}`;
}

/** Redraws are no more frequent than an eye can follow. */
const REDRAW_MS = 100;

/** Draws a book over itself until it is closed. */
export function bookView(book: OrderBook, io: Io) {
  const paint = painter(io);
  let drawn = 0;
  let timer: NodeJS.Timeout | undefined;
  let changes = 0;

  function draw(): void {
    timer = undefined;
    const { columns, rows } = io.size();
    const lines = bookLines(book, paint, Math.max(3, Math.min(20, rows - 5)), changes);
    // Up to the first line of the last drawing, then clear to the end of the screen (ECMA-48 CPL and ED).
    const back = drawn === 0 ? '' : `\u001b[${drawn}F\u001b[0J`;
    io.draw(`${back}${lines.map((line) => cut(line, columns)).join('\n')}\n`);
    drawn = lines.length;
  }
  const later = () => {
    timer ??= setTimeout(draw, REDRAW_MS);
  };
  const off = [
    book.on('change', () => {
      changes += 1;
      later();
    }),
    book.on('stale', later),
    book.on('live', later),
  ];
  draw();
  return {
    get changes() {
      return changes;
    },
    /** Draws the last state, which stays. Idempotent. */
    close() {
      if (off.length === 0) return;
      for (const undo of off.splice(0)) undo();
      clearTimeout(timer);
      draw();
    },
  };
}

function bookLines(book: OrderBook, paint: Paint, rows: number, changes: number): string[] {
  const { bids, asks } = book.depth(rows);
  const state = book.stale ? paint('yellow', 'STALE: do not trade on this') : paint('green', 'live');
  const at = book.time === null ? '' : `  ${new Date(book.time).toISOString().slice(11, 23)}`;
  const head = `${paint('bold', printable(book.product, 40))}  ${state}${at}  ${changes} changes`;
  const lines = [
    head,
    paint('grey', `${'bid size'.padStart(18)}${'bid'.padStart(14)}  ${'ask'.padEnd(14)}ask size`),
  ];
  for (let row = 0; row < rows; row++) {
    const bid = bids[row];
    const ask = asks[row];
    const left = bid
      ? `${bid.quantity.padStart(18)}${paint('green', bid.price.padStart(14))}`
      : ' '.repeat(32);
    const right = ask ? `${paint('red', ask.price.padEnd(14))}${ask.quantity}` : '';
    lines.push(`${left}  ${right}`.trimEnd());
  }
  return lines;
}

/** A line that wraps would break the redrawing. Escapes take no room. */
function cut(line: string, columns: number): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the colours put in above
  const parts = line.split(/(\u001b\[\d+m)/);
  let room = columns;
  return parts
    .map((part, i) => {
      if (i % 2 === 1) return part;
      const shown = part.slice(0, room);
      room -= shown.length;
      return shown;
    })
    .join('');
}
