import { findPostgres, type PostgresServer, startPostgres, startTestGateway } from '@countersign/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const bin = findPostgres();

describe.skipIf(bin === null)('a gateway on PostgreSQL [needs postgresql]', () => {
  let server: PostgresServer;

  beforeAll(async () => {
    server = await startPostgres(bin as string);
    server.psql('postgres', 'create database gateway');
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
});
