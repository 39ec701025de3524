import {
  findPostgres,
  type PostgresServer,
  postForm,
  startPostgres,
  startTestGateway,
} from '@countersign/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/operations/clock.ts';

const bin = findPostgres();

describe.skipIf(bin === null)('a gateway on PostgreSQL [needs postgresql]', () => {
  let server: PostgresServer;

  beforeAll(async () => {
    server = await startPostgres(bin as string);
    server.psql('postgres', 'create database gateway');
    server.psql('postgres', 'create database clocks');
  });
  afterAll(() => server?.close());

  it('keeps sessions there, and answers 503 with a time to come back while it is away', async () => {
    await using open = await startTestGateway({ store: { url: server.url('gateway') } });
    const { sid } = await open.logIn(0);
    expect(server.psql('gateway', 'select sid from sessions')).toBe(sid);

    await server.stop('SIGKILL');
    const form = (address: string) =>
      fetch(`${open.urls.rest}/v1/user/login`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ addr: address }),
      });
    const { address } = await open.wallet(1);
    const begun = performance.now();
    const away = await form(address);
    expect(performance.now() - begun).toBeLessThan(2_400);
    expect(away.status).toBe(503);
    expect(Number(away.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await away.text()).not.toMatch(/postgres|store|database/i);

    await server.restart();
    expect((await form(address)).status).toBe(200);
    expect((await open.logIn(1)).userId).toBeGreaterThan(1_000);
  });

  it('issues nothing while its clock is not that of the database, and checks what was issued', async () => {
    let ahead = 0;
    const clock = { ...systemClock, now: () => Date.now() + ahead };
    await using open = await startTestGateway({ store: { url: server.url('clocks') } }, { clock });
    const { accessToken, refreshToken } = await open.logIn(2);
    const { address, signLogin } = await open.wallet(3);
    const asked = await postForm(open.http, '/v1/user/login', { addr: address, chainId: '1' });
    const nonceHash = String(JSON.parse(asked.body).data.nonceHash);
    const login = { addr: address, nonceHash, signature: signLogin(nonceHash, 1) };
    const ready = async () => {
      const answer = await fetch(`${open.urls.internal}/readyz?verbose`);
      return [answer.status, ((await answer.json()) as { checks: object }).checks] as const;
    };
    expect(await ready()).toMatchObject([200, { clock: { ok: true } }]);

    for (ahead of [-2_500, 2_500]) {
      const refused = [
        await postForm(open.http, '/v1/user/login', { addr: address, chainId: '1' }),
        await postForm(open.http, '/v1/user/login/verify', login),
        await postForm(open.http, '/v1/user/login/refresh', { refreshToken }),
      ];
      for (const { status, head } of refused) {
        expect(status).toBe(503);
        expect(head).toMatch(/^retry-after: \d+/im);
      }
      const info = await open.http.request(
        'GET',
        '/v1/user/info',
        `Authorization: Bearer ${accessToken}\r\n`,
      );
      expect(info.status).toBe(200);
      const rotation = await open.adminFetch('/signing-keys/rotate', {});
      expect(rotation.status).toBe(503);
      const metrics = await (await fetch(`${open.urls.internal}/metrics`)).text();
      const skew = Number(/^countersign_clock_skew_seconds (\S+)/m.exec(metrics)?.[1]);
      expect(skew * 1000).toBeGreaterThan(ahead - 300);
      expect(skew * 1000).toBeLessThan(ahead + 300);
    }
    // A round of checks counts for a quarter of a second.
    await expect.poll(ready).toMatchObject([503, { clock: { ok: false } }]);

    ahead = 0;
    // The challenge was not spent by being refused.
    expect((await postForm(open.http, '/v1/user/login/verify', login)).status).toBe(200);
    expect((await postForm(open.http, '/v1/user/login/refresh', { refreshToken })).status).toBe(200);
  });
});
