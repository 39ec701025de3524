import { describe, expect, test } from 'vitest';
import type { Frame } from '../../src/feed/frame.ts';
import { Tracker, type TrackerRules } from '../../src/feed/tracker.ts';

const LOG: TrackerRules = { opensWithSnapshot: false, patchesFollowSnapshot: false, isLog: true };
const BOOK: TrackerRules = { opensWithSnapshot: true, patchesFollowSnapshot: false, isLog: false };
const USER: TrackerRules = { opensWithSnapshot: true, patchesFollowSnapshot: true, isLog: true };

const frame = (type: Frame['type'], sequence: number | null, more: Partial<Frame> = {}): Frame => ({
  channel: 'c',
  key: 'k',
  sequence,
  epoch: null,
  type,
  time: null,
  parts: [],
  raw: `${type} ${sequence}`,
  frames: null,
  ...more,
});
const at = (sequence: number, recovered: boolean | null = null, epoch = 'e') => ({
  position: { epoch, sequence },
  recovered,
});

describe('a stream that was joined', () => {
  test('delivers the next number, drops what it knows, and stops at a hole', () => {
    const tracker = new Tracker(LOG);
    expect(tracker.begin(at(5))).toBe(false);
    expect(tracker.judge(frame('update', 6))).toBe('deliver');
    expect(tracker.judge(frame('update', 6))).toBe('drop');
    expect(tracker.judge(frame('update', 8))).toBe('gap');
    expect(tracker.position).toEqual({ epoch: 'e', sequence: 6 });
  });

  test.each<[string, ReturnType<typeof at>, boolean]>([
    ['was made up for', at(9, true), true],
    ['was not', at(9, false), false],
    ['was, says a server that is behind the reader', at(4, true), false],
    ['was, in another epoch', at(9, true, 'f'), false],
    ['was never asked for', at(9, null), false],
  ])('joins up with what was read only if what was missed %s', (_, place, joins) => {
    const tracker = new Tracker(LOG);
    tracker.moveTo({ epoch: 'e', sequence: 6 });
    expect(tracker.begin(place)).toBe(joins);
    expect(tracker.last).toBe(joins ? 6 : place.position.sequence);
    expect(tracker.complete).toBe(!joins);
  });

  test('is complete when all that was promised has come', () => {
    const tracker = new Tracker(LOG);
    tracker.moveTo({ epoch: 'e', sequence: 6 });
    tracker.begin(at(8, true));
    tracker.judge(frame('update', 7));
    expect(tracker.complete).toBe(false);
    tracker.judge(frame('update', 8));
    expect(tracker.complete).toBe(true);
  });
});

describe('an old number', () => {
  test('with other content is no repetition: an epoch may have begun unseen', () => {
    const tracker = new Tracker(LOG);
    tracker.begin(at(5));
    tracker.judge(frame('update', 6));
    expect(tracker.judge(frame('update', 6, { raw: 'something else' }))).toBe('gap');
    expect(tracker.judge(frame('update', 2))).toBe('gap');
  });

  test('of a snapshot without an epoch is a reason to ask, with the same epoch a repetition', () => {
    const nameless = new Tracker(BOOK);
    nameless.begin(at(5));
    nameless.judge(frame('snapshot', 5));
    nameless.judge(frame('update', 6));
    expect(nameless.judge(frame('snapshot', 5))).toBe('gap');
    const named = new Tracker(BOOK);
    named.begin(at(5));
    named.judge(frame('snapshot', 5, { epoch: 'e' }));
    named.judge(frame('update', 6));
    expect(named.judge(frame('snapshot', 5, { epoch: 'e' }))).toBe('drop');
  });
});

describe('an opening', () => {
  test('without its snapshot ends at the first update, and can only begin anew', () => {
    const tracker = new Tracker(BOOK);
    tracker.begin(at(5));
    expect(tracker.complete).toBe(false);
    expect(tracker.position).toBeNull();
    expect(tracker.judge(frame('update', 6))).toBe('gap');
  });

  test('of a stream that nothing was published on needs none', () => {
    const tracker = new Tracker(BOOK);
    tracker.begin(at(0));
    expect(tracker.complete).toBe(true);
    expect(tracker.judge(frame('update', 1))).toBe('deliver');
  });

  test('in several frames that say how many they are is whole when all have come, each counted once', () => {
    const tracker = new Tracker(BOOK);
    tracker.begin(at(5));
    const part = (n: number) => frame('snapshot', 5, { raw: `part ${n}`, frames: 2 });
    expect(tracker.judge(part(1))).toBe('deliver');
    expect(tracker.judge(part(1))).toBe('drop');
    expect(tracker.complete).toBe(false);
    expect(tracker.judge(frame('update', 6))).toBe('gap');
    expect(tracker.judge(part(2))).toBe('deliver');
    expect(tracker.judge(frame('update', 6))).toBe('deliver');
  });

  test('of orders goes on in updates of the same number', () => {
    const tracker = new Tracker(USER);
    tracker.begin(at(5));
    expect(tracker.judge(frame('snapshot', 5))).toBe('deliver');
    expect(tracker.judge(frame('update', 5, { raw: 'patch' }))).toBe('deliver');
    expect(tracker.judge(frame('update', 5, { raw: 'patch' }))).toBe('drop');
  });
});

describe('a snapshot that nobody asked for', () => {
  test('ahead of the reader replaces what it has', () => {
    const tracker = new Tracker(BOOK);
    tracker.begin(at(5));
    tracker.judge(frame('snapshot', 5));
    expect(tracker.judge(frame('snapshot', 9))).toBe('replace');
    expect(tracker.judge(frame('update', 10))).toBe('deliver');
  });

  test('that is the next publication leaves nothing out', () => {
    const tracker = new Tracker(BOOK);
    tracker.begin(at(5));
    tracker.judge(frame('snapshot', 5));
    expect(tracker.judge(frame('snapshot', 6))).toBe('deliver');
  });

  test('of another epoch moves the reader there, and an update of another epoch does not', () => {
    const tracker = new Tracker(BOOK);
    tracker.begin(at(5));
    tracker.judge(frame('snapshot', 5, { epoch: 'e' }));
    expect(tracker.judge(frame('update', 1, { epoch: 'f' }))).toBe('gap');
    expect(tracker.judge(frame('snapshot', 1, { epoch: 'f' }))).toBe('replace');
    expect(tracker.position).toEqual({ epoch: 'f', sequence: 1 });
  });

  test('repeats a log that has seen it all', () => {
    const tracker = new Tracker(LOG);
    tracker.begin(at(5));
    tracker.judge(frame('update', 6));
    expect(tracker.judge(frame('snapshot', 6))).toBe('drop');
  });
});

test('without numbers everything is taken as it comes', () => {
  const tracker = new Tracker(BOOK);
  expect(tracker.judge(frame('update', null))).toBe('deliver');
  expect(tracker.position).toBeNull();
});
