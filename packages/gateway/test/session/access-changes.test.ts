import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createMemoryBroker } from '../../src/broker/memory.ts';
import { createAccessChanges } from '../../src/session/access-changes.ts';
import type { Change } from '../../src/store/store.ts';
import { channelTable } from '../../src/streams/channel.ts';
import { HOUR, type House, openHouse, SECOND } from './support.ts';

let house: House;
beforeEach(async () => {
  house = await openHouse();
  await house.changes.catchUp();
});
afterEach(() => house.dispose());

const append = (subject: string, kind: Change['kind'] = 'session-ended') =>
  house.store.changes.append({ at: house.clock.now(), kind, subject, reason: 'test' });

describe('following the change log', () => {
  it('starts at its end and then reports each change once, in order, with the time it was learnt', async () => {
    await append('before');
    await house.changes.catchUp();
    const heard: [string, number][] = [];
    house.changes.onChange(({ subject, at }, learnt) => heard.push([subject, learnt.at - at]));
    for (let i = 0; i < 1200; i += 1) void append(`sid-${i}`);
    await append('last');
    house.clock.advance(250);
    await Promise.all([house.changes.catchUp(), house.changes.catchUp(), house.changes.catchUp()]);
    expect(heard).toEqual([...Array.from({ length: 1200 }, (_, i) => [`sid-${i}`, 250]), ['last', 250]]);
    expect(house.changes.position()).toBe(await house.store.changes.head());
  });

  it('does not need the signal: a change that was not announced is learnt within a second', async () => {
    await append('silent');
    expect(house.changes.isSessionEnded('silent')).toBe(false);
    await house.pass(SECOND);
    expect(house.changes.isSessionEnded('silent')).toBe(true);
  });

  it('does not wait for the poll when signalled', async () => {
    const { sequence } = await append('signalled');
    const learnt = new Promise<void>((resolve) => house.changes.onChange(() => resolve()));
    await house.broker.signal({ kind: 'access-changed', sequence });
    await learnt;
    expect(house.changes.isSessionEnded('signalled')).toBe(true);
  });

  it('has applied a change that this node announces when the announcement resolves', async () => {
    house.broker.signal = () => Promise.reject(new Error('no broker'));
    await house.changes.announce(await append('announced'));
    expect(house.changes.isSessionEnded('announced')).toBe(true);
  });

  it('reads on when more was appended while it read', async () => {
    const { since } = house.store.changes;
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    house.store.changes.since = async (...args) => {
      const page = await since(...args);
      await held;
      return page;
    };
    const first = house.changes.catchUp();
    await append('one');
    const second = house.changes.catchUp();
    release();
    await first;
    expect(house.changes.isSessionEnded('one')).toBe(false);
    await second;
    expect(house.changes.isSessionEnded('one')).toBe(true);
  });

  it('goes on when one listener throws', async () => {
    const heard: string[] = [];
    house.changes.onChange(() => {
      throw new Error('broken listener');
    });
    house.changes.onChange(({ subject }) => heard.push(subject));
    await append('one');
    await house.changes.catchUp();
    expect(heard).toEqual(['one']);
    expect(house.problems.map(String)).toEqual(['Error: broken listener']);
  });

  it('stops when closed', async () => {
    house.changes.close();
    house.changes.close();
    await append('late');
    await house.pass(5 * SECOND);
    expect(house.changes.isSessionEnded('late')).toBe(false);
  });
});

describe('how often the log is looked at', () => {
  async function node(pollMs: number) {
    const { store, clock } = house;
    const broker = createMemoryBroker({ clock, channels: channelTable([]) });
    let looks = 0;
    const counting = {
      ...store,
      changes: {
        ...store.changes,
        since: (...args: Parameters<typeof store.changes.since>) => {
          looks += 1;
          return store.changes.since(...args);
        },
      },
    };
    const changes = await createAccessChanges({ store: counting, broker, clock, pollMs });
    return {
      changes,
      broker,
      /** Looks in so many milliseconds, each of which has ended before the next tick. */
      async looksIn(ms: number) {
        looks = 0;
        for (let at = 0; at < ms; at += 50) await house.pass(50);
        return looks;
      },
    };
  }

  it('follows the interval, and no look begins before the one before has ended', async () => {
    const { changes, looksIn } = await node(250);
    expect(await looksIn(5000)).toBe(20);
    changes.close();
  });

  it('is more often while changes come that no signal told of, and then as before', async () => {
    const { changes, looksIn } = await node(250);
    await append('unsignalled');
    await looksIn(250);
    expect(changes.isSessionEnded('unsignalled')).toBe(true);
    expect(await looksIn(5000)).toBe(50);
    await looksIn(56_000);
    expect(await looksIn(5000)).toBe(20);
    changes.close();
  });

  it('stays as it is while signals come', async () => {
    const { changes, broker, looksIn } = await node(250);
    const { sequence } = await append('signalled');
    await broker.signal({ kind: 'access-changed', sequence });
    await changes.catchUp();
    expect(changes.isSessionEnded('signalled')).toBe(true);
    expect(await looksIn(5000)).toBe(20);
    changes.close();
  });
});

describe('the memory of ended sessions', () => {
  it('lasts as long as access tokens of the session can', async () => {
    await append('sid-1');
    await house.changes.catchUp();
    await house.pass(HOUR + 59 * SECOND);
    expect(house.changes.isSessionEnded('sid-1')).toBe(true);
    await house.pass(2 * SECOND);
    expect(house.changes.isSessionEnded('sid-1')).toBe(false);
  });

  it('is bounded: the oldest are forgotten first', async () => {
    const { store, clock } = house;
    const broker = createMemoryBroker({ clock, channels: channelTable([]) });
    const changes = await createAccessChanges({ store, broker, clock, maxEnded: 10 });
    for (let i = 0; i < 15; i += 1) await append(`sid-${i}`);
    await changes.catchUp();
    const known = Array.from({ length: 15 }, (_, i) => changes.isSessionEnded(`sid-${i}`));
    expect(known).toEqual([...Array(5).fill(false), ...Array(10).fill(true)]);
    changes.close();
  });
});

describe('a node that cannot read the log', () => {
  it('says after 30 s that it is not fresh, and is fresh again with the next read', async () => {
    const { since } = house.store.changes;
    house.store.changes.since = () => Promise.reject(new Error('no store'));
    const heard: [boolean, number][] = [];
    const begun = house.changes.confirmedAt();
    house.changes.onFreshness((fresh) => heard.push([fresh, house.clock.monotonic() - begun]));
    house.clock.advance(30 * SECOND);
    expect(house.changes.fresh()).toBe(true);
    house.clock.advance(1);
    expect(house.changes.fresh()).toBe(false);
    house.clock.advance(SECOND);
    expect(heard).toEqual([[false, 30 * SECOND + 50]]);
    await expect(house.changes.catchUp()).rejects.toThrow('no store');
    expect(house.changes.fresh()).toBe(false);
    house.store.changes.since = since;
    await house.changes.catchUp();
    expect(house.changes.fresh()).toBe(true);
    expect(heard.map(([fresh]) => fresh)).toEqual([false, true]);
    expect(house.changes.confirmedAt()).toBe(house.clock.monotonic());
    expect(house.problems.length).toBeGreaterThan(0);
  });

  it('is not made fresh by a read that began long ago', async () => {
    const { since } = house.store.changes;
    let release = () => {};
    house.store.changes.since = async (...args) => {
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      return since(...args);
    };
    const reading = house.changes.catchUp();
    house.clock.advance(40 * SECOND);
    release();
    await reading;
    expect(house.changes.fresh()).toBe(false);
    house.store.changes.since = since;
  });
});
