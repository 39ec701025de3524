/** Configured routes on a whole gateway, in front of a venue that does what a test tells it. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { startTestGateway } from '../../../testkit/src/in-process-gateway.ts';
import type { ConfigInput } from '../../src/operations/config.ts';

const opened: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

type Handler = (request: IncomingMessage, response: ServerResponse, body: string) => void;

async function venue(handler: Handler) {
  const seen: { method: string; url: string; body: string; headers: IncomingMessage['headers'] }[] = [];
  const server = createServer(async (request, response) => {
    let body = '';
    try {
      for await (const chunk of request) body += chunk;
    } catch {
      // The gateway gave up on a body that is too large.
      return;
    }
    seen.push({ method: request.method ?? '', url: request.url ?? '', body, headers: request.headers });
    handler(request, response, body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  opened.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { seen, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

const json = (response: ServerResponse, body: object, status = 200) =>
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));

async function gateway(config: ConfigInput) {
  const made = await startTestGateway(config);
  opened.push(() => made.close());
  return made;
}

describe('a configured route', () => {
  it('carries parameters and query to its own service under the identity of the gateway, and nothing of the client’s', async () => {
    const main = await venue((_request, response) => json(response, { where: 'main' }));
    const other = await venue((_request, response) => json(response, { where: 'other' }));
    const to = await gateway({
      venue: { url: main.url },
      routes: [
        {
          match: { rest: 'PUT /v1/desks/:desk/orders/:order' },
          to: { method: 'POST', path: '/internal/:order/of/:desk', url: other.url },
          permission: 'trading',
        },
      ],
    });
    const { accessToken } = await to.logIn(0);
    for (const prefix of ['', '/api']) {
      const answer = await fetch(`${to.urls.rest}${prefix}/v1/desks/d1/orders/o2?dry=1`, {
        method: 'PUT',
        body: '{"size":"1"}',
        headers: {
          authorization: `Bearer ${accessToken}`,
          'x-countersign-identity': 'forged',
          cookie: 'a=b',
        },
      });
      expect([answer.status, await answer.json()]).toEqual([
        200,
        { success: true, data: { where: 'other' } },
      ]);
    }
    expect(main.seen).toEqual([]);
    const [call] = other.seen;
    expect(call).toMatchObject({
      method: 'POST',
      url: '/internal/o2/of/d1?dry=1',
      body: '{"size":"1"}',
    });
    expect(call?.headers['x-countersign-identity']).toMatch(/^eyJ/);
    expect(call?.headers).not.toHaveProperty('cookie');
    expect(call?.headers).not.toHaveProperty('authorization');
  });

  it('asks for what it needs: nobody, somebody, or a permission', async () => {
    const { url } = await venue((_request, response) => json(response, {}));
    const to = await gateway({
      venue: { url },
      routes: [
        { match: { rest: 'GET /v1/open' }, to: { path: '/x' }, public: true },
        { match: { rest: 'GET /v1/mine' }, to: { path: '/x' } },
        { match: { rest: 'GET /v1/move' }, to: { path: '/x' }, permission: 'transfer' },
      ],
    });
    const { accessToken } = await to.logIn(0);
    const statuses = async (headers: Record<string, string>) =>
      Promise.all(
        ['open', 'mine', 'move'].map(
          async (one) => (await fetch(`${to.urls.rest}/v1/${one}`, { headers })).status,
        ),
      );
    expect(await statuses({})).toEqual([200, 401, 401]);
    expect(await statuses({ authorization: `Bearer ${accessToken}` })).toEqual([200, 200, 403]);
  });

  it('costs its weight', async () => {
    const { url } = await venue((_request, response) => json(response, {}));
    const to = await gateway({
      venue: { url },
      routes: [
        { match: { rest: 'GET /v1/dear', query: 'accounts' }, to: { method: 'GET', path: '/x' }, weight: 40 },
      ],
    });
    const { accessToken } = await to.logIn(0);
    const headers = { authorization: `Bearer ${accessToken}` };
    const { headers: told } = await fetch(`${to.urls.rest}/v1/dear`, { headers });
    expect(told.get('ratelimit-remaining')).toBe(String(12_000 - 40));
  });

  it('is not waited for longer than it may take, and says so in the words of each door', async () => {
    const { url } = await venue(() => {});
    const to = await gateway({
      venue: { url },
      routes: [
        {
          match: { rest: 'GET /v1/slow', query: 'recentTrades' },
          to: { path: '/slow' },
          public: true,
          timeoutMs: 60,
        },
        { match: { rest: 'GET /api/v3/brokerage/slow' }, to: { path: '/slow' }, public: true, timeoutMs: 60 },
      ],
    });
    const envelope = await fetch(`${to.urls.rest}/v1/slow`);
    expect([envelope.status, ((await envelope.json()) as { errorMsgKey: string }).errorMsgKey]).toEqual([
      504,
      'error.server.upstreamTimeout',
    ]);
    const brokerage = await fetch(`${to.urls.rest}/api/v3/brokerage/slow`);
    expect([brokerage.status, await brokerage.json()]).toMatchObject([504, { error: 'unknown' }]);
    const socket = new WebSocket(to.urls.websocket);
    opened.push(() => socket.terminate());
    await once(socket, 'open');
    socket.send('{"op":"query","args":[{"queryType":"recentTrades","instrumentId":"ETH-PC-1"}]}');
    const [text] = await once(socket, 'message');
    expect(JSON.parse(String(text))).toMatchObject({ event: 'error', code: 1004 });
  });

  it('is asked again only where that does no harm', async () => {
    let cut = 2;
    const { url, seen } = await venue((request, response) => {
      if (cut-- > 0) request.socket.destroy();
      else json(response, {});
    });
    const route = (rest: string, more: object) => ({
      match: { rest },
      to: { path: '/x' },
      public: true,
      ...more,
    });
    const to = await gateway({
      venue: { url },
      routes: [
        route('GET /v1/twice', { retries: 2 }),
        route('POST /v1/once', { retries: 2 }),
        route('POST /v1/again', { retries: 2, idempotent: true }),
      ],
    });
    const status = async (method: string, path: string) => {
      cut = 2;
      seen.length = 0;
      const { status: answered } = await fetch(`${to.urls.rest}/v1/${path}`, { method });
      return [answered, seen.length];
    };
    expect(await status('GET', 'twice')).toEqual([200, 3]);
    expect(await status('POST', 'once')).toEqual([503, 1]);
    expect(await status('POST', 'again')).toEqual([200, 3]);
  });

  it('is left alone after failing again and again, while other services go on', async () => {
    let broken = true;
    const bad = await venue((_request, response) => json(response, {}, broken ? 503 : 200));
    const good = await venue((_request, response) => json(response, {}));
    const to = await gateway({
      venue: { url: good.url, breaker: { failures: 3, pauseMs: 100 } },
      routes: [{ match: { rest: 'GET /v1/bad' }, to: { path: '/x', url: bad.url }, public: true }],
    });
    const status = async (path: string) => (await fetch(`${to.urls.rest}/v1/${path}`)).status;
    for (let i = 0; i < 8; i += 1) expect(await status('bad')).toBe(503);
    expect(bad.seen.length).toBe(3);
    expect(await status('p/network')).toBe(200);
    const metrics = await (await fetch(`${to.urls.internal}/metrics`)).text();
    expect(metrics).toMatch(/countersign_venue_circuit_state\{service="127\.0\.0\.1:\d+"\} 2/);
    broken = false;
    await expect.poll(() => status('bad'), { interval: 20, timeout: 3000 }).toBe(200);
  });

  it('with "stream" passes bytes both ways, unread, up to its limit', async () => {
    const { url, seen } = await venue((request, response, body) =>
      response
        .writeHead(201, { 'content-type': request.headers['content-type'] ?? '' })
        .end(body.toUpperCase()),
    );
    const to = await gateway({
      venue: { url },
      routes: [
        {
          match: { rest: 'POST /v1/upload' },
          to: { path: '/in' },
          public: true,
          stream: true,
          bodyLimit: 300_000,
        },
      ],
    });
    const upload = (size: number) =>
      fetch(`${to.urls.rest}/v1/upload`, {
        method: 'POST',
        body: 'x'.repeat(size),
        headers: { 'content-type': 'text/csv' },
      });
    const answer = await upload(200_000);
    expect([answer.status, answer.headers.get('content-type')]).toEqual([201, 'text/csv']);
    expect(await answer.text()).toBe('X'.repeat(200_000));
    expect(seen).toHaveLength(1);
    expect((await upload(400_000)).status).toBe(413);
  });

  it('replaces a shipped one, and cannot be what it must not be', async () => {
    const { url, seen } = await venue((_request, response) => json(response, {}));
    const to = await gateway({
      venue: { url },
      routes: [{ match: { rest: 'GET /v1/p/network' }, to: { path: '/elsewhere' }, public: true }],
    });
    await fetch(`${to.urls.rest}/v1/p/network`);
    expect(seen[0]?.url).toBe('/elsewhere');
    await expect(
      startTestGateway({
        routes: [{ match: { rest: 'GET /v1/x' }, to: { path: '/x' }, public: true, permission: 'trading' }],
      }),
    ).rejects.toThrow('a public route cannot need a permission');
  });
});
