import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { textFrame } from '../../src/streams/text-frame.ts';

const texts = [
  ...[0, 1, 124, 125, 126, 127, 65_535, 65_536, 200_000].map((length) => 'x'.repeat(length)),
  'é'.repeat(62),
  'é'.repeat(63),
  '中'.repeat(21_845),
  `${'a'.repeat(65_533)}中`,
  '😀 "quoted" \u0000',
];

test('a real client reads every length of frame, alone and joined to others', async () => {
  const server = createServer();
  server.on('upgrade', (request, socket) => {
    const accept = createHash('sha1')
      .update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
      .digest('base64');
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    );
    for (const text of texts) socket.write(textFrame(text));
    socket.write(Buffer.concat(texts.map(textFrame)));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`, {
    perMessageDeflate: false,
  });
  const got: string[] = [];
  await new Promise<void>((resolve, reject) => {
    client.on('error', reject);
    client.on('message', (data, isBinary) => {
      expect(isBinary).toBe(false);
      got.push(String(data));
      if (got.length === texts.length * 2) resolve();
    });
  });
  client.terminate();
  server.close();
  expect(got).toEqual([...texts, ...texts]);
});

test('a lone surrogate becomes the replacement character, never invalid UTF-8', () => {
  expect([...textFrame('\ud800')]).toEqual([0x81, 3, 0xef, 0xbf, 0xbd]);
});
