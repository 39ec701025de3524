import { createFakeClock } from '@countersign/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRedisReplayCache, type SpendScript } from '../../src/session/replay-cache-redis.ts';
import { openTestRedis, redisBin, type TestRedis } from '../access/redis-kit.ts';
import { replayContract } from './replay-contract.ts';

describe.skipIf(redisBin === null)('replay caches on Redis', () => {
  let redis: TestRedis;
  beforeAll(async () => {
    redis = await openTestRedis();
  });
  afterAll(() => redis.close());

  replayContract('one that all nodes share and that is emptied', {
    async make(clock, nodes) {
      await redis.begin();
      const script = redis.spend(clock.now);
      return {
        nodes: Array.from({ length: nodes }, () => createRedisReplayCache({ script, clock })),
        forget: () => redis.flush(),
      };
    },
    most: 2,
    wait: 3000,
  });

  let lives = 0;
  replayContract('one whose process is replaced by another with the same data', {
    async make(clock, nodes) {
      await redis.begin();
      let run = 'one';
      const script = redis.spend(clock.now, () => run);
      return {
        nodes: Array.from({ length: nodes }, () => createRedisReplayCache({ script, clock })),
        async forget() {
          lives += 1;
          run = `life ${lives}`;
        },
      };
    },
    most: 2,
    wait: 3000,
  });

  it('refuse what a replica did not get of a master that is gone', async () => {
    await redis.begin();
    const clock = createFakeClock(Date.now());
    const before = createRedisReplayCache({ script: redis.spend(clock.now, () => 'one'), clock });
    const token = { since: clock.now(), until: clock.now() + 120_000 };
    expect(await before.spend('a', token)).toBe('spent');
    redis.server.cli('del', 'a');
    const after = createRedisReplayCache({ script: redis.spend(clock.now, () => 'another'), clock });
    expect(await after.spend('a', token)).toBe('forgotten');
  });

  describe('without an answer', () => {
    const clock = createFakeClock(Date.now());
    const token = { since: clock.now(), until: clock.now() + 120_000 };
    const silent: SpendScript = { healthy: true, spend: () => new Promise(() => {}) };

    it('refuse strict tokens after half a second, and at once where nobody listens', async () => {
      const failures: unknown[] = [];
      const cache = createRedisReplayCache({
        script: silent,
        clock,
        failed: (error) => failures.push(error),
      });
      const spending = cache.spend('a', token);
      clock.advance(500);
      expect(await spending).toBe('unavailable');
      expect(failures).toHaveLength(1);
      const away = createRedisReplayCache({ script: { ...silent, healthy: false }, clock });
      expect(away.spend('a', token)).toBe('unavailable');
    });

    it('refuse strict tokens when Redis answers with an error', async () => {
      const script: SpendScript = { healthy: true, spend: () => Promise.reject(new Error('OOM')) };
      expect(await createRedisReplayCache({ script, clock }).spend('a', token)).toBe('unavailable');
    });

    it('bind reusable ones from memory', async () => {
      const cache = createRedisReplayCache({ script: { ...silent, healthy: false }, clock });
      expect(cache.bind('a', 'here', token.until)).toBe(true);
      expect(cache.bind('a', 'there', token.until)).toBe(false);
      const slow = createRedisReplayCache({ script: silent, clock });
      const binding = slow.bind('b', 'here', token.until);
      clock.advance(500);
      expect(await binding).toBe(true);
    });
  });

  it('ask Redis once for a reusable token that comes again and again', async () => {
    await redis.begin();
    const clock = createFakeClock(Date.now());
    const real = redis.spend(clock.now);
    let asked = 0;
    const script: SpendScript = {
      healthy: true,
      spend: (id, args) => {
        asked += 1;
        return real.spend(id, args);
      },
    };
    const cache = createRedisReplayCache({ script, clock });
    for (let n = 0; n < 10; n += 1)
      expect(await cache.bind('again', 'here', clock.now() + 60_000)).toBe(true);
    expect(asked).toBe(1);
  });
});
