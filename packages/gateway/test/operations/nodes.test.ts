import { createFakeClock } from '@countersign/testkit';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createNodes } from '../../src/operations/nodes.ts';
import { openTestRedis, redisBin, type TestRedis } from '../access/redis-kit.ts';

describe('a node on its own', () => {
  it('knows itself', async () => {
    const clock = createFakeClock();
    const nodes = createNodes({ script: null, clock, id: 'a', address: () => 'here:1', position: () => 7 });
    expect(nodes.list()).toEqual([{ id: 'a', startedAt: clock.now(), address: 'here:1', position: 7 }]);
    await nodes.close();
  });
});

describe.skipIf(redisBin === null)('nodes on one Redis', () => {
  let redis: TestRedis;
  beforeAll(async () => {
    redis = await openTestRedis();
  });
  beforeEach(() => redis.begin());
  afterAll(() => redis.close());

  const house = () => {
    const clock = createFakeClock(Date.now());
    const start = (id: string, position = 0) => {
      const script = { ...redis.beat(clock.now), healthy: true };
      const nodes = createNodes({ script, clock, id, address: () => `${id}:1`, position: () => position });
      return Object.assign(nodes, { script, ids: () => nodes.list().map((node) => node.id) });
    };
    const pass = async (ms: number) => {
      for (let passed = 0; passed < ms; passed += 500) {
        clock.advance(500);
        await redis.settled();
      }
    };
    return { clock, start, pass };
  };

  it('find each other, say how far they are, and say goodbye', async () => {
    const { start, pass } = house();
    const a = start('a', 3);
    const b = start('b', 5);
    let changes = 0;
    a.onChange(() => {
      changes += 1;
    });
    await pass(2500);
    expect(a.ids()).toEqual(['a', 'b']);
    expect(b.list().find(({ id }) => id === 'a')).toMatchObject({ address: 'a:1', position: 3 });
    expect(changes).toBe(1);
    await b.close();
    await pass(2000);
    expect(a.ids()).toEqual(['a']);
    expect(changes).toBe(2);
    await a.close();
  });

  it('miss one that fell silent after six seconds, within two', async () => {
    const { start, pass } = house();
    const a = start('a');
    const b = start('b');
    await pass(2500);
    b.script.healthy = false;
    await pass(3000);
    expect(a.ids()).toEqual(['a', 'b']);
    await pass(6000);
    expect(a.ids()).toEqual(['a']);
    b.script.healthy = true;
    await pass(4500);
    expect(a.ids()).toEqual(['a', 'b']);
    await Promise.all([a.close(), b.close()]);
  });

  it('remember who was there while Redis is away', async () => {
    const { start, pass } = house();
    const a = start('a');
    const b = start('b');
    await pass(2500);
    a.script.healthy = false;
    await pass(60_000);
    expect(a.ids()).toEqual(['a', 'b']);
    await Promise.all([a.close(), b.close()]);
  });
});
