import { createFakeClock } from '@countersign/testkit';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createClusterHoldings, type Held } from '../../src/access/cluster-holdings.ts';
import { openTestRedis, redisBin, type TestRedis } from './redis-kit.ts';

describe.skipIf(redisBin === null)('what users hold over all nodes', () => {
  let redis: TestRedis;
  beforeAll(async () => {
    redis = await openTestRedis();
  });
  beforeEach(() => redis.begin());
  afterAll(() => redis.close());

  const house = () => {
    const clock = createFakeClock(Date.now());
    const start = (node: string) => {
      const own = new Map<number, Held>();
      const script = redis.hold(clock.now);
      const held = (userId: number) => own.get(userId) ?? { connections: 0, subscriptions: 0 };
      const holdings = createClusterHoldings({ script, clock, node, held });
      return {
        ...holdings,
        /** Asks for room and opens something, as a connection does. */
        open(userId: number, connections: number, subscriptions: number) {
          holdings.elsewhere(userId);
          own.set(userId, { connections, subscriptions });
        },
        own,
      };
    };
    const pass = async (ms: number) => {
      for (let passed = 0; passed < ms; passed += 50) {
        clock.advance(50);
        await redis.settled();
      }
    };
    return { start, pass };
  };

  it('is known to a node a tenth of a second after a user first asks there', async () => {
    const { start, pass } = house();
    const [a, b] = [start('a'), start('b')];
    a.open(1, 3, 40);
    await pass(150);
    expect(b.elsewhere(1)).toEqual({ connections: 0, subscriptions: 0 });
    await pass(150);
    expect(b.elsewhere(1)).toEqual({ connections: 3, subscriptions: 40 });
    expect(b.elsewhere(2)).toEqual({ connections: 0, subscriptions: 0 });
  });

  it('follows what changes within five seconds, and leaves nothing of what is over', async () => {
    const { start, pass } = house();
    const [a, b] = [start('a'), start('b')];
    a.open(1, 3, 40);
    b.open(1, 1, 1);
    await pass(300);
    a.own.set(1, { connections: 1, subscriptions: 2 });
    await pass(10_000);
    expect(b.elsewhere(1)).toEqual({ connections: 1, subscriptions: 2 });
    a.own.delete(1);
    b.own.delete(1);
    await pass(15_000);
    expect(redis.server.cli('exists', 'held:1')).toBe('0');
  });

  it('lapses with a node that died, and goes at once with one that leaves', async () => {
    const { start, pass } = house();
    const [a, b, c] = [start('a'), start('b'), start('c')];
    a.open(1, 3, 40);
    c.open(1, 2, 2);
    b.open(1, 1, 1);
    await pass(300);
    expect(b.elsewhere(1)).toEqual({ connections: 5, subscriptions: 42 });
    await c.close();
    a.own.clear();
    await pass(5000);
    expect(b.elsewhere(1)).toEqual({ connections: 0, subscriptions: 0 });
  });

  it('holds for fifteen seconds after it was last heard, and not longer', async () => {
    const clock = createFakeClock(Date.now());
    const real = redis.hold(clock.now);
    const other = createClusterHoldings({
      script: real,
      clock,
      node: 'other',
      held: () => ({ connections: 2, subscriptions: 2 }),
    });
    let away = false;
    const script = {
      get healthy() {
        return !away;
      },
      hold: real.hold,
    };
    const node = createClusterHoldings({
      script,
      clock,
      node: 'own',
      held: () => ({ connections: 1, subscriptions: 0 }),
    });
    other.elsewhere(1);
    clock.advance(100);
    await redis.settled();
    node.elsewhere(1);
    clock.advance(100);
    await redis.settled();
    away = true;
    clock.advance(14_000);
    expect(node.elsewhere(1).connections).toBe(2);
    clock.advance(2000);
    expect(node.elsewhere(1).connections).toBe(0);
  });
});
