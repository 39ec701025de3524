/**
 * The rules of sequences, for one stream: which frame is the next one, which one was seen before, and which one shows
 * that something is missing. Frames are judged by their numbers alone, whatever order they come in.
 *
 * Not detected, because updates name no epoch on the wire: a change of epoch whose first frame is lost or overtaken on
 * a connection that lives on, where the numbers of both epochs happen to join up. TCP neither loses nor swaps.
 */
import { type Frame, rawText } from './frame.ts';
import type { Position } from './update.ts';

/** Where a subscription began, as the server's answer says. */
export interface Place {
  readonly position: Position;
  /** What was missed since the position asked for follows. Null: nothing was asked for. */
  readonly recovered: boolean | null;
}

/**
 * - `deliver`: it is next (or part of the snapshot that opens the stream)
 * - `drop`: it was seen before
 * - `replace`: a snapshot that the server sent by itself, ahead of what was seen
 * - `gap`: something before it is missing, or it cannot be told whether anything is
 */
export type Verdict = 'deliver' | 'drop' | 'replace' | 'gap';

export interface TrackerRules {
  /** The state of such a stream always opens with a snapshot. */
  readonly opensWithSnapshot: boolean;
  /** Updates that carry the number of the snapshot before them belong to it. */
  readonly patchesFollowSnapshot: boolean;
  /** A snapshot at the position that was reached already repeats entries. */
  readonly isLog: boolean;
}

/** Updates that are known again when they come a second time. */
const KNOWN = 16;
/** Updates after a snapshot, while which a frame of that snapshot is still known for a repetition. */
const REMEMBERED = 8;

export class Tracker {
  readonly #rules: TrackerRules;
  #epoch: string | null = null;
  /** Newest sequence that was delivered, or where the stream was joined; null before either. */
  #last: number | null = null;
  /** Sequence that the server's answer promised. */
  #owed = 0;
  /** Frames of the snapshot at this sequence may still come; null when updates have begun. */
  #opening: number | null = null;
  #openingAt = 0;
  readonly #parts = new Set<string>();
  #expected: number | null = null;
  #needsSnapshot = false;
  /** The last updates as they came, by sequence modulo {@link KNOWN}. */
  readonly #known: Pick<Frame, 'sequence' | 'raw'>[] = [];

  constructor(rules: TrackerRules) {
    this.#rules = rules;
  }

  /** Where the reader is, to go on from there; null where the server tells no epochs, or the opening came in part. */
  get position(): Position | null {
    if (this.#epoch === null || this.#last === null || !this.#opened) return null;
    return { epoch: this.#epoch, sequence: this.#last };
  }

  get epoch(): string | null {
    return this.#epoch;
  }

  get last(): number | null {
    return this.#last;
  }

  /** Everything that the opening promised has come. */
  get complete(): boolean {
    return this.#opened && (this.#last === null || this.#last >= this.#owed);
  }

  get #opened(): boolean {
    return !this.#needsSnapshot && (this.#expected === null || this.#parts.size >= this.#expected);
  }

  /** Puts the reader somewhere, before anything has come: a position from an earlier life, or one to go back to. */
  moveTo({ epoch, sequence }: Position): void {
    this.#epoch = epoch;
    this.#last = sequence;
    this.#close();
  }

  /** A subscription was answered. @returns whether what follows joins up with what came before */
  begin({ position, recovered }: Place): boolean {
    this.#owed = position.sequence;
    this.#close();
    const joins =
      recovered === true &&
      this.#epoch === position.epoch &&
      this.#last !== null &&
      this.#last <= position.sequence;
    if (joins) return true;
    this.#open(position.epoch, position.sequence);
    // Nothing was ever published: there is nothing to show.
    this.#needsSnapshot = this.#rules.opensWithSnapshot && position.sequence > 0;
    return false;
  }

  /** What the opening promised does not exist: a book that has no levels left opens with nothing. */
  settleForLess(): void {
    this.#needsSnapshot = false;
    this.#expected = null;
  }

  judge(frame: Frame): Verdict {
    const { sequence, epoch } = frame;
    if (sequence === null) return 'deliver';
    if (this.#last === null) {
      this.#open(epoch, sequence);
      if (frame.type === 'snapshot') return this.#part(frame, sequence);
      this.#close();
      return 'deliver';
    }
    const moved = epoch !== null && this.#epoch !== null && epoch !== this.#epoch;
    if (frame.type === 'snapshot') return this.#snapshot(frame, sequence, moved);
    if (moved) return 'gap';
    if (sequence === this.#last + 1) {
      if (!this.#opened) return 'gap';
      this.#last = sequence;
      this.#opening = null;
      this.#expected = null;
      this.#known[sequence % KNOWN] = { sequence, raw: frame.raw };
      if (this.#parts.size > 0 && sequence - this.#openingAt > REMEMBERED) this.#parts.clear();
      return 'deliver';
    }
    if (sequence > this.#last) return 'gap';
    if (this.#rules.patchesFollowSnapshot && sequence === this.#opening && this.#parts.size > 0) {
      return this.#fresh(frame) ? 'deliver' : 'drop';
    }
    // Updates name no epoch. One with an old number that is not the old frame may belong to a new epoch whose
    // beginning was lost: taken for a repetition, the stream would stand still without a word.
    const known = this.#known[sequence % KNOWN];
    return known?.sequence === sequence && rawText(known) === rawText(frame) ? 'drop' : 'gap';
  }

  #snapshot(frame: Frame, sequence: number, moved: boolean): Verdict {
    const last = this.#last ?? 0;
    // Of an old number without an epoch, even the very same text may be the beginning of a new epoch.
    const sure = frame.epoch !== null || sequence >= last;
    if (!moved && sure && this.#parts.has(rawText(frame))) return 'drop';
    if (!moved && sequence === this.#opening && sequence === last) return this.#part(frame, sequence);
    if (!moved && sequence === last) {
      if (this.#rules.isLog) return 'drop';
      this.#open(this.#epoch, sequence);
      return this.#part(frame, sequence);
    }
    // A lower number is an old frame or a new epoch, and only the server knows which.
    if (!moved && sequence < last) return 'gap';
    this.#open(frame.epoch ?? this.#epoch, sequence);
    this.#part(frame, sequence);
    // A whole state that is the next publication leaves nothing out.
    return !moved && sequence === last + 1 && !this.#rules.isLog ? 'deliver' : 'replace';
  }

  #part(frame: Frame, sequence: number): Verdict {
    this.#needsSnapshot = false;
    this.#expected = frame.frames;
    this.#openingAt = sequence;
    return this.#fresh(frame) ? 'deliver' : 'drop';
  }

  #fresh(frame: Frame): boolean {
    const raw = rawText(frame);
    if (this.#parts.has(raw)) return false;
    this.#parts.add(raw);
    return true;
  }

  #open(epoch: string | null, sequence: number): void {
    this.#close();
    this.#epoch = epoch;
    this.#last = sequence;
    this.#opening = sequence;
    this.#openingAt = sequence;
  }

  #close(): void {
    this.#opening = null;
    this.#parts.clear();
    this.#expected = null;
    this.#needsSnapshot = false;
  }
}
