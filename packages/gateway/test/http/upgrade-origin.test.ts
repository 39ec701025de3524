/** One rule for pages on every door: what the HTTP door allows (origin.test.ts), an upgrade may have too. */
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createOrigins } from '../../src/doors/origin.ts';
import { createSources } from '../../src/doors/source.ts';

const LISTED = 'https://app.example';
const plain = createOrigins([LISTED, 'null', '*', 'HTTP://Localhost:5173'], createSources([]));
const proxied = createOrigins([], createSources(['127.0.0.1']));
const server = createServer();
let port = 0;
beforeAll(async () => {
  server.on('upgrade', (incoming, socket) => {
    const { mayConnect } = incoming.url === '/proxied' ? proxied : plain;
    socket.end(`HTTP/1.1 ${mayConnect(incoming) ? 200 : 403} x\r\ncontent-length: 0\r\n\r\n`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  port = (server.address() as AddressInfo).port;
});
afterAll(() => server.close());

const upgrade = (headers: Record<string, string | string[]>, path = '/') =>
  new Promise<number>((resolve, reject) => {
    request({
      host: '127.0.0.1',
      port,
      path,
      headers: { connection: 'upgrade', upgrade: 'websocket', ...headers },
    })
      .on('response', (answer) => resolve(answer.statusCode ?? 0))
      .on('error', reject)
      .end();
  });

describe('an upgrade', () => {
  it('is allowed without an origin, from a listed one, and from the own one however the host is written', async () => {
    expect(await upgrade({})).toBe(200);
    for (const origin of [LISTED, 'http://localhost:5173', `http://127.0.0.1:${port}`]) {
      expect(await upgrade({ origin })).toBe(200);
    }
    expect(await upgrade({ host: 'MyHost:81', origin: 'http://MyHost:81' })).toBe(200);
    expect(await upgrade({ host: 'MyHost:81', origin: 'http://myhost:81' })).toBe(200);
  });

  it.each([
    ['null'],
    ['*'],
    [''],
    ['http://app.example'],
    ['https://app.example:444'],
    ['https://evil-app.example'],
    ['https://app.example.evil.example'],
    [['https://app.example', 'https://evil.example']],
    [['https://app.example', 'https://app.example']],
  ])('is refused from %j', async (origin) => {
    expect(await upgrade({ origin })).toBe(403);
  });

  it('must have the scheme that the client really used, which only a trusted proxy may say', async () => {
    const host = 'gate.example';
    const https = { host, origin: 'https://gate.example' };
    const http = { host, origin: 'http://gate.example' };
    const said = { 'x-forwarded-proto': 'https' };
    expect(await upgrade({ ...https })).toBe(403);
    expect(await upgrade({ ...https, ...said })).toBe(403);
    expect(await upgrade({ ...https, ...said }, '/proxied')).toBe(200);
    expect(await upgrade({ ...http, ...said }, '/proxied')).toBe(403);
    expect(await upgrade({ ...http }, '/proxied')).toBe(200);
  });
});
