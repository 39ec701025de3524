import { connect } from 'node:net';
import { Writable } from 'node:stream';
import fc from 'fast-check';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GOOD_ACCESS, type OpenDoor, openDoor } from './door.ts';

let open: OpenDoor;
beforeAll(async () => {
  open = await openDoor();
});
afterAll(() => open.close());

/** Writes bytes and reads until the server closes or has answered once. */
function raw(bytes: string | Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(open.port, '127.0.0.1', () => socket.write(bytes));
    let text = '';
    socket.setTimeout(5000, () => socket.destroy(new Error('no answer')));
    socket.on('data', (chunk) => {
      text += chunk.toString();
      const head = text.indexOf('\r\n\r\n');
      const length = /content-length: (\d+)/i.exec(text)?.[1];
      if (head >= 0 && length !== undefined && text.length >= head + 4 + Number(length)) socket.end();
    });
    socket.on('error', (error) => (text === '' ? reject(error) : resolve(text)));
    socket.on('close', () => resolve(text));
  });
}

const LINE = 'GET /v1/user/info HTTP/1.1\r\nHost: a\r\n';

describe('bytes that are not a request we serve', () => {
  it.each([
    ['no HTTP at all', 'hello\r\n\r\n', 400],
    [
      'both Content-Length and Transfer-Encoding',
      `POST /v1/user/login HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      400,
    ],
    [
      'two Content-Lengths',
      `POST /v1/user/login HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc`,
      400,
    ],
    ['a header name with a space', `${LINE}Bad Name: x\r\n\r\n`, 400],
    ['a bare line feed in a value', `${LINE}X: a\nb: c\r\n\r\n`, 400],
    ['more than 16 KiB of headers', `${LINE}X: ${'x'.repeat(17_000)}\r\n\r\n`, 431],
    ['more than 100 headers', `${LINE}${'X: 1\r\n'.repeat(100)}\r\n`, 431],
    ['2,000 headers', `${LINE}${'X: 1\r\n'.repeat(2000)}\r\n`, 431],
    ['TRACE', 'TRACE /v1/user/info HTTP/1.1\r\nHost: a\r\n\r\n', 405],
    ['PROPFIND', 'PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n', 405],
    ['QUERY', 'QUERY /v1/user/info HTTP/1.1\r\nHost: a\r\n\r\n', 405],
    ['a path that is no path', 'GET /%c0%af HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['an absolute URL', 'GET http://evil.example/v1/user/info HTTP/1.1\r\nHost: a\r\n\r\n', 401],
  ])('%s: answered once, without a stack, and the server stays up', async (_title, bytes, status) => {
    const answer = await raw(bytes);
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(answer).toContain('"success":false');
    expect(answer).not.toMatch(/node_modules|\.ts|FST_/);
    expect(answer.match(/HTTP\/1\.1/g)).toHaveLength(1);
    expect((await open.ask({ method: 'GET', path: '/' })).status).toBe(200);
  });

  it('are answered on a connection that has served a request before', async () => {
    const text = await new Promise<string>((resolve, reject) => {
      let received = '';
      const socket = connect(open.port, '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n'));
      socket.on('data', (chunk) => {
        received += chunk.toString();
        if (received.endsWith('}') && !received.includes('400')) socket.write('nonsense\r\n\r\n');
      });
      socket.on('error', reject);
      socket.on('close', () => resolve(received));
    });
    expect(text.match(/HTTP\/1\.1 (\d+)/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 400']);
  });

  it('serves 100 headers and 15 KiB of them', async () => {
    expect(await raw(`${LINE}${'X: 1\r\n'.repeat(98)}Y: ${'y'.repeat(14_000)}\r\n\r\n`)).toMatch(
      /^HTTP\/1\.1 401 /,
    );
  });

  it('names the methods that an address has', async () => {
    const answer = await open.ask({ method: 'PUT', path: '/v1/user/login' });
    expect([answer.status, answer.headers.allow]).toEqual([405, 'POST, OPTIONS']);
    expect(answer.json.errorMsgKey).toBe('error.request.methodNotAllowed');
    const options = await open.ask({ method: 'OPTIONS', path: '/v1/user/sessions/x' });
    expect([options.status, options.headers.allow]).toEqual([204, 'DELETE, OPTIONS']);
    expect((await open.ask({ method: 'GET', path: '/v1/nowhere' })).json.errorMsgKey).toBe(
      'error.request.notFound',
    );
  });
});

describe('time limits', () => {
  it('are those of the requirements', () => {
    const { headersTimeout, requestTimeout, keepAliveTimeout, maxHeadersCount } = open.door.server;
    expect({ headersTimeout, requestTimeout, keepAliveTimeout, maxHeadersCount }).toEqual({
      headersTimeout: 8_000,
      requestTimeout: 15_000,
      keepAliveTimeout: 65_000,
      maxHeadersCount: 101,
    });
  });
});

describe('request ids', () => {
  it('are taken from the client when sane and made otherwise', async () => {
    const given = await open.ask({ method: 'GET', path: '/', headers: { 'x-request-id': 'abc-1.2_3' } });
    expect(given.headers['x-request-id']).toBe('abc-1.2_3');
    for (const odd of ['', 'a b', 'x'.repeat(65), '<script>', 'a"b']) {
      const answer = await open.ask({ method: 'GET', path: '/nowhere', headers: { 'x-request-id': odd } });
      expect(answer.headers['x-request-id']).toMatch(/^[0-9a-f]{12}-[0-9a-z]+$/);
    }
  });
});

describe('any request whatever', () => {
  const lines: string[] = [];
  let logged: OpenDoor;
  beforeAll(async () => {
    const sink = new Writable({
      write(chunk: Buffer, _encoding, done) {
        lines.push(chunk.toString());
        done();
      },
    });
    logged = await openDoor({ log: pino({ level: 'debug' }, sink) });
  });
  afterAll(() => logged.close());

  const word = fc.oneof(
    fc.string({ maxLength: 40 }),
    fc.string({ unit: 'binary', maxLength: 20 }),
    fc.constantFrom(
      '0x2c7536e3605d9c16a7a3d7b1898e529396a65c23',
      '-1',
      '1e400',
      '__proto__',
      'constructor',
      '../..',
      '%00',
      '\u0000',
    ),
  );
  const name = fc.constantFrom(
    'addr',
    'name',
    'chainId',
    'nonceHash',
    'signature',
    'refreshToken',
    'displayName',
    'payoutAddress',
    'collateralPerSlot',
    'enable',
    'profile',
    'rotation',
    'tokenFormat',
    'keepCurrent',
    '__proto__',
    'toString',
  );
  const path = fc.oneof(
    fc.constantFrom(
      '/user/login',
      '/user/login/verify',
      '/user/login/refresh',
      '/user/logout',
      '/user/info',
      '/user/accounts',
      '/user/account/242',
      '/user/account/242/txs',
      '/user/account/txs',
      '/user/update',
      '/user/payoutAddress',
      '/user/collateralPerSlot',
      '/user/delegate/pricer',
      '/user/delegate/builder',
      '/user/sessions',
      '/user/sessions/sid-1',
      '/user/logout/all',
      '/p/network',
      '/p/builder/1',
      '/validator/register',
    ),
    word.map((text) => `/user/account/${encodeURIComponent(Buffer.from(text).toString())}`),
  );
  const pairs = fc.array(fc.tuple(name, word), { maxLength: 6 });
  const form = (list: [string, string][]) => new URLSearchParams(list).toString();
  const body = fc.oneof(
    pairs.map(form),
    pairs.map((list) => JSON.stringify(Object.fromEntries(list))),
    fc.dictionary(name, fc.jsonValue()).map((value) => JSON.stringify(value)),
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
    fc.constantFrom('{', '[', '{}', '[]', 'null', '{"a":'.repeat(500), '&&&=', '%'),
  );
  const token = fc.constantFrom(GOOD_ACCESS, 'bad', '');

  it('is answered below 500 in the one error body, and nothing in it reaches the log', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('GET', 'POST', 'DELETE', 'PUT', 'PATCH', 'OPTIONS'),
        fc.constantFrom('/v1', '/api/v1'),
        path,
        pairs,
        body,
        token,
        fc.constantFrom(
          'application/json',
          'application/x-www-form-urlencoded',
          'multipart/form-data',
          'x',
          ';',
        ),
        async (method, prefix, route, query, content, bearer, type) => {
          const answer = await logged.ask({
            method,
            path: `${prefix}${route}?${form(query)}`,
            headers: {
              authorization: `Bearer ${bearer}`,
              'content-type': type,
              cookie: 'x_auth_refresh_token=canary-cookie; a=b',
              ...(method === 'GET' || method === 'DELETE'
                ? { 'content-length': String(Buffer.byteLength(content)) }
                : {}),
            },
            body: content,
          });
          // Without a venue its public data is unavailable, which is the only answer of that kind there is.
          const unavailable = answer.status === 503 && answer.json.errorMsgKey === 'error.server.unavailable';
          expect(answer.status < 500 || unavailable).toBe(true);
          if (answer.status >= 400) {
            expect(Object.keys(answer.json)).toEqual([
              'success',
              'errorCode',
              'errorMsgKey',
              'message',
              'data',
            ]);
            expect(answer.text).not.toMatch(/\n\s+at |\.ts|FST_|Error:/);
          }
        },
      ),
      { numRuns: 400 },
    );
    const log = lines.join('');
    expect(log).toContain('http.refused');
    expect(log).not.toContain('canary-cookie');
    expect(log).not.toContain(GOOD_ACCESS);
    expect(log).not.toContain('refreshToken=');
  });

  it('that makes a service fail is answered 500 without the reason, and the reason is logged', async () => {
    const failing = await openDoor({
      log: pino(
        { level: 'error' },
        new Writable({
          write: (chunk: Buffer, _encoding, done) => {
            lines.push(chunk.toString());
            done();
          },
        }),
      ),
      profiles: {
        find: () => Promise.reject(new TypeError('disk on fire')),
        updateProfile: () => Promise.reject(new TypeError('disk on fire')),
      },
    });
    const answer = await failing.ask({
      method: 'GET',
      path: '/v1/user/info',
      headers: { authorization: `Bearer ${GOOD_ACCESS}` },
    });
    await failing.close();
    expect(answer.status).toBe(500);
    expect(answer.json.errorMsgKey).toBe('error.server.unexpected');
    expect(answer.text).not.toContain('fire');
    expect(lines.join('')).toContain('disk on fire');
  });
});
