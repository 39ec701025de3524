import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { createFlusher } from '../../src/streams/flusher.ts';
import { createOutbox } from '../../src/streams/outbox.ts';
import { socketSink } from '../../src/streams/socket-sink.ts';

test('calls back when a backlog below the high-water mark has gone', () => {
  const taken: (() => void)[] = [];
  const slow = new Writable({ highWaterMark: 1000, write: (_, __, done) => void taken.push(done) });
  const sink = socketSink(slow);
  sink.write(Buffer.alloc(5));
  sink.write(Buffer.alloc(5));
  let calls = 0;
  sink.whenDrained(() => calls++);
  expect(sink.backlog).toBe(10);
  taken.shift()?.();
  expect(calls).toBe(0);
  return new Promise<void>((resolve) => {
    setImmediate(() => {
      taken.shift()?.();
      setImmediate(() => {
        expect([calls, sink.backlog]).toEqual([1, 0]);
        resolve();
      });
    });
  });
});

test('drops what is written after the stream was destroyed', () => {
  const stream = new Writable({ write: (_, __, done) => done() });
  const sink = socketSink(stream);
  stream.destroy();
  expect(() => sink.write(Buffer.alloc(1))).not.toThrow();
});

test('a real reader that stops and goes on gets every byte in order, and the outbox is clear again', async () => {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const reader = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [[socket]] = (await Promise.all([once(server, 'connection'), once(reader, 'connect')])) as [
    [Socket],
    unknown,
  ];
  const flusher = createFlusher();
  let overflowed = false;
  const limits = { soft: 100_000, hard: 100_000_000 };
  const outbox = createOutbox({
    sink: socketSink(socket),
    flusher,
    limits,
    onOverflow: () => (overflowed = true),
  });

  reader.pause();
  const sent: Buffer[] = [];
  for (let n = 0; !outbox.congested && n < 100_000; n++) {
    const frame = Buffer.alloc(1000, n % 251);
    sent.push(frame);
    outbox.push(frame);
    if (n % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  expect(outbox.congested).toBe(true);
  const clear = new Promise<void>((resolve) => outbox.whenClear(resolve));
  const got: Buffer[] = [];
  let bytes = 0;
  const all = new Promise<void>((resolve) => {
    reader.on('data', (chunk) => {
      got.push(chunk);
      bytes += chunk.length;
      if (bytes === sent.length * 1000) resolve();
    });
  });
  reader.resume();
  await Promise.all([clear, all]);
  expect(Buffer.concat(got).equals(Buffer.concat(sent))).toBe(true);
  expect([outbox.queuedBytes, outbox.congested, overflowed]).toEqual([0, false, false]);
  reader.destroy();
  socket.destroy();
  server.close();
});
