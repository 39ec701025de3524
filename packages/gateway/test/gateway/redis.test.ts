import { findRedis, type RedisServer, startRedis, startTestGateway } from '@countersign/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const bin = findRedis();

describe.skipIf(bin === null)('a gateway on Redis [needs redis-server]', () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await startRedis(bin as string);
  });
  afterAll(() => server?.close());

  it('is ready over Redis, not ready while Redis is held, and ready again by itself', async () => {
    await using node = await startTestGateway({ broker: { url: server.url(), commandTimeoutMs: 300 } });
    const readiness = async () => {
      const answer = await fetch(`${node.urls.internal}/health?verbose`);
      return [answer.status, (await answer.json()) as { checks: Record<string, { ok: boolean }> }] as const;
    };
    const until = async (status: number) => {
      const end = Date.now() + 10_000;
      for (;;) {
        const [now, body] = await readiness();
        if (now === status) return body;
        if (Date.now() > end) throw new Error(`still ${now}: ${JSON.stringify(body)}`);
      }
    };
    expect((await until(200)).checks).toMatchObject({ broker: { ok: true }, streams: { ok: true } });
    server.pause();
    try {
      expect((await until(503)).checks).toMatchObject({ broker: { ok: false }, streams: { ok: false } });
    } finally {
      server.resume();
    }
    await until(200);
  });

  it('refuses to start, in one line, when there is no Redis', async () => {
    const starting = startTestGateway({ broker: { url: 'redis://user:hunter2@127.0.0.1:1' } });
    await expect(starting).rejects.toThrow(/^redis at 127\.0\.0\.1:1: ECONNREFUSED$/);
  });
});
