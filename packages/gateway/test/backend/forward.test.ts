import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { Refusal } from '@countersign/protocol';
import { afterEach, describe, expect, it } from 'vitest';
import {
  createForwarder,
  type Forwarder,
  type ForwarderOptions,
  type RestCall,
} from '../../src/backend/forward.ts';
import { systemClock } from '../../src/operations/clock.ts';
import type { Principal } from '../../src/session/principal.ts';

const ADA: Principal = {
  userId: 78,
  address: '0x01',
  displayName: null,
  roles: [],
  permissions: new Set(['trading']),
  tier: 'free',
  accounts: [],
  credential: { kind: 'session', sid: 's' },
};

const opened: (() => void)[] = [];
afterEach(() => {
  for (const close of opened.splice(0)) close();
});

type Seen = { method: string; url: string; headers: IncomingMessage['headers']; body: string };

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  opened.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function venue(
  answer: (request: Seen, response: ServerResponse) => void,
): Promise<{ url: string; seen: Seen[] }> {
  const seen: Seen[] = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const one = { method: request.method ?? '', url: request.url ?? '', headers: request.headers, body };
    seen.push(one);
    answer(one, response);
  });
  return { url: await listen(server), seen };
}

function forwarder(baseUrl: string, more: Partial<ForwarderOptions> = {}): Forwarder {
  const made = createForwarder({
    baseUrl,
    timeoutMs: 500,
    clock: systemClock,
    signIdentity: ({ userId }) => `identity-of-${userId}`,
    ...more,
  });
  opened.push(() => made.close());
  return made;
}

const call = (more: Partial<RestCall> = {}): RestCall => ({
  method: 'GET',
  path: '/v1/p/network',
  query: '',
  body: null,
  principal: null,
  requestId: 'r1',
  ...more,
});

async function refusal(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof Refusal) return error.code;
    throw error;
  }
  throw new Error('was not refused');
}

describe('a forwarded call', () => {
  it('carries path, query, body and the identity, and only headers of ours', async () => {
    const { url, seen } = await venue((_request, response) => response.end('{"a":1}'));
    const forward = forwarder(`${url}/base/`);
    const answer = await forward.rest(
      call({ method: 'POST', query: 'a=1&b=%20', body: { c: [1] }, principal: ADA }),
    );
    expect(answer).toEqual({ status: 200, body: { a: 1 }, text: '{"a":1}' });
    expect(seen).toEqual([
      {
        method: 'POST',
        url: '/base/v1/p/network?a=1&b=%20',
        headers: {
          host: url.slice('http://'.length),
          connection: 'keep-alive',
          accept: 'application/json',
          'content-type': 'application/json',
          'content-length': '9',
          'x-request-id': 'r1',
          'x-countersign-identity': 'identity-of-78',
        },
        body: '{"c":[1]}',
      },
    ]);
  });

  it('of nobody carries no identity', async () => {
    const { url, seen } = await venue((_request, response) => response.end('{}'));
    await forwarder(url).rest(call());
    expect(seen[0]!.headers['x-countersign-identity']).toBeUndefined();
  });

  it('hands back statuses and empty bodies as they are', async () => {
    const { url } = await venue((_request, response) => response.writeHead(404).end());
    expect(await forwarder(url).rest(call())).toEqual({ status: 404, body: null, text: '' });
  });

  it.each(['v1', '/../x', '/v1/%2e%2e/x', '/v1/./x', '/v1//x', '/v1/a b', '/v1/a\r\nb', '/v1/a?b', ''])(
    'is not made to the path "%s"',
    async (path) => {
      const { url, seen } = await venue((_request, response) => response.end('{}'));
      expect(await refusal(forwarder(url).rest(call({ path })))).toBe('invalid_request');
      expect(seen).toEqual([]);
    },
  );

  it('is not made with a query that would break the request line', async () => {
    const forward = forwarder('http://127.0.0.1:1');
    expect(await refusal(forward.rest(call({ query: 'a=1 HTTP/1.1\r\nX: y' })))).toBe('invalid_request');
  });
});

describe('a venue in trouble', () => {
  it('that does not answer in time is upstream_timeout, also when it has begun to answer', async () => {
    const silent = await venue(() => {});
    expect(await refusal(forwarder(silent.url, { timeoutMs: 50 }).rest(call()))).toBe('upstream_timeout');
    expect(silent.seen).toHaveLength(1);
    const slow = await venue((_request, response) => void response.write('{'));
    expect(await refusal(forwarder(slow.url, { timeoutMs: 50 }).rest(call()))).toBe('upstream_timeout');
    expect(slow.seen).toHaveLength(1);
  });

  it('that cannot be reached is unavailable', async () => {
    expect(await refusal(forwarder('http://127.0.0.1:1').rest(call()))).toBe('unavailable');
  });

  it.each([
    ['no JSON', 'hello'],
    ['more than 4 MiB', `"${'x'.repeat(4 * 1024 * 1024)}"`],
  ])('that answers %s is unavailable', async (_title, body) => {
    const { url } = await venue((_request, response) => response.end(body));
    expect(await refusal(forwarder(url, { timeoutMs: 5000 }).rest(call()))).toBe('unavailable');
  });

  it.each([
    ['GET', 2, 'answered'],
    ['POST', 1, 'unavailable'],
  ])('that resets the connection is asked again once only by %s', async (method, times, outcome) => {
    let connections = 0;
    const server = createTcpServer((socket: Socket) => {
      connections += 1;
      socket.on('error', () => {});
      socket.once('data', () => {
        if (connections === 1) socket.resetAndDestroy();
        else socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}');
      });
    });
    const url = await listen(server as unknown as Server).catch(() => '');
    opened.pop();
    opened.push(() => void server.close());
    const asked = forwarder(url).rest(call({ method, body: method === 'POST' ? {} : null }));
    expect(outcome === 'answered' ? (await asked).status : await refusal(asked)).toBe(
      outcome === 'answered' ? 200 : 'unavailable',
    );
    expect(connections).toBe(times);
  });

  it('is not asked by more than 512 calls at once', async () => {
    const { url } = await venue(() => {});
    const forward = forwarder(url, { timeoutMs: 5000 });
    const outcomes = Array.from({ length: 520 }, () => refusal(forward.rest(call())));
    expect(await Promise.race(outcomes.slice(512))).toBe('unavailable');
    forward.close();
    expect(new Set(await Promise.all(outcomes))).toEqual(new Set(['unavailable']));
    expect(await refusal(forward.rest(call()))).toBe('unavailable');
  });
});

describe('a query', () => {
  it('is a POST with its arguments, and answers the object', async () => {
    const { url, seen } = await venue((_request, response) => response.end('{"t":1}'));
    const observed: unknown[] = [];
    const forward = forwarder(url, { observe: ({ kind, outcome }) => observed.push([kind, outcome]) });
    expect(await forward.query('currentSlot', { a: 1 }, ADA)).toEqual({ t: 1 });
    expect(seen[0]).toMatchObject({ method: 'POST', url: '/queries/currentSlot', body: '{"a":1}' });
    expect(seen[0]!.headers['x-countersign-identity']).toBe('identity-of-78');
    expect(observed).toEqual([['query', '2xx']]);
  });

  it.each([
    [404, '{}', 'not_found'],
    [400, '{}', 'invalid_request'],
    [401, '{}', 'unavailable'],
    [403, '{}', 'forbidden'],
    [429, '{}', 'rate_limited'],
    [500, '{}', 'unavailable'],
    [302, '{}', 'unavailable'],
    [200, '[]', 'unavailable'],
    [200, '', 'unavailable'],
  ])('answered %s %s is %s', async (status, body, code) => {
    const { url } = await venue((_request, response) => response.writeHead(status).end(body));
    expect(await refusal(forwarder(url).query('x', {}, null))).toBe(code);
  });

  it.each(['', '../x', 'a/b', 'a b', '1a', 'x'.repeat(65)])('named "%s" is not sent', async (name) => {
    const { url, seen } = await venue((_request, response) => response.end('{}'));
    expect(await refusal(forwarder(url).query(name, {}, null))).toBe('not_found');
    expect(seen).toEqual([]);
  });
});
