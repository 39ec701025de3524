/** Peers that take their time, and requests that hide others (R75, D16). */
import { connect, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { GOOD_ACCESS, type OpenDoor, openDoor } from './door.ts';

const LIMITS = { headers: 300, request: 600, keepAlive: 400, check: 50 };
let open: OpenDoor;
const sockets: Socket[] = [];
beforeAll(async () => {
  open = await openDoor({ timeouts: LIMITS });
});
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
});
afterAll(() => open.close());

interface Line {
  socket: Socket;
  /** What the server has said so far. */
  text: string;
  /** Resolves to everything it said, and the milliseconds until it closed. */
  closed: Promise<{ text: string; after: number }>;
  /** Resolves once the server has said something that passes. */
  until(test: (text: string) => boolean): Promise<string>;
}

function line(first: string | Buffer, port = open.port): Promise<Line> {
  return new Promise((resolve, reject) => {
    const begun = performance.now();
    const waiting: (() => void)[] = [];
    const socket = connect(port, '127.0.0.1', () => {
      socket.write(first);
      resolve(opened);
    });
    sockets.push(socket);
    const opened: Line = {
      socket,
      text: '',
      closed: new Promise((done) =>
        socket.on('close', () => done({ text: opened.text, after: performance.now() - begun })),
      ),
      until: (test) =>
        new Promise((done) => {
          const look = () => (test(opened.text) ? done(opened.text) : void waiting.push(look));
          look();
        }),
    };
    socket.on('data', (chunk) => {
      opened.text += chunk.toString();
      for (const look of waiting.splice(0)) look();
    });
    socket.on('error', reject);
  });
}

const statuses = (text: string) =>
  [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => Number(status));
const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const POST = (headers: string, body: string) =>
  `POST /v1/user/login HTTP/1.1\r\nHost: a\r\n${headers}\r\n\r\n${body}`;

describe('a slow peer', () => {
  it('that says nothing at all is let go', async () => {
    const { text, after } = await (await line('')).closed;
    expect(statuses(text)).toEqual([408]);
    expect(after).toBeGreaterThan(LIMITS.headers - 50);
  });

  it('that drips headers is answered 408 when the header time is over, however lively it is', async () => {
    const dripping = await line('GET / HTTP/1.1\r\nHost: a\r\n');
    const drip = setInterval(() => dripping.socket.write('X: 1\r\n'), 20);
    dripping.socket.on('close', () => clearInterval(drip));
    const { text, after } = await dripping.closed;
    expect(statuses(text)).toEqual([408]);
    expect(text).toContain('"success":false');
    expect(after).toBeGreaterThan(LIMITS.headers - 50);
    expect(after).toBeLessThan(LIMITS.headers + 1000);
  });

  it('that drips a body is answered 408 when the request time is over', async () => {
    const dripping = await line(POST('Content-Length: 1000', 'addr='));
    const drip = setInterval(() => dripping.socket.write('0'), 20);
    dripping.socket.on('close', () => clearInterval(drip));
    const { text, after } = await dripping.closed;
    expect(statuses(text)).toEqual([408]);
    expect(after).toBeGreaterThan(LIMITS.request - 50);
    expect(after).toBeLessThan(LIMITS.request + 1000);
    expect(open.calls).toEqual([]);
  });

  it('that drips chunks without an end is answered the same way', async () => {
    const dripping = await line(POST('Transfer-Encoding: chunked', ''));
    const drip = setInterval(() => dripping.socket.write('1\r\na\r\n'), 20);
    dripping.socket.on('close', () => clearInterval(drip));
    expect(statuses((await dripping.closed).text)).toEqual([408]);
  });

  it('that has been served and stays is let go when the keep-alive time is over', async () => {
    const idle = await line(GET);
    const { text, after } = await idle.closed;
    expect(statuses(text)).toEqual([200]);
    expect(after).toBeGreaterThan(LIMITS.keepAlive - 50);
  });

  it('costs nobody else: with 500 of them hanging, a request is answered as fast as before', async () => {
    // Long enough for all of them to hang at the same time.
    const patient = await openDoor({ timeouts: { headers: 1500, request: 1500, check: 50 } });
    const ask = async () => {
      const begun = performance.now();
      const { status } = await patient.ask({
        method: 'GET',
        path: '/v1/user/info',
        headers: { authorization: `Bearer ${GOOD_ACCESS}` },
      });
      return { status, ms: performance.now() - begun };
    };
    await ask();
    const hanging: Line[] = [];
    for (let i = 0; i < 500; i += 1) {
      hanging.push(
        await line(
          i % 2 === 0 ? 'GET / HTTP/1.1\r\nHost: a\r\nX:' : POST('Content-Length: 9', 'a'),
          patient.port,
        ),
      );
    }
    const probes: { status: number; ms: number }[] = [];
    let held = true;
    expect(hanging.every(({ socket }) => !socket.destroyed)).toBe(true);
    const gone = Promise.all(hanging.map(({ closed }) => closed)).then((ends) => {
      held = false;
      return ends;
    });
    while (held && probes.length < 2000) probes.push(await ask());
    const ends = await gone;
    expect(new Set(probes.map(({ status }) => status))).toEqual(new Set([200]));
    const times = probes.map(({ ms }) => ms).sort((a, b) => a - b);
    expect(times[Math.floor(times.length / 2)]).toBeLessThan(50);
    expect(times.at(-1)).toBeLessThan(1000);
    expect(ends.every(({ text }) => statuses(text).join() === '408')).toBe(true);
    await patient.close();
  });
});

describe('requests on one connection', () => {
  it('that are pipelined are answered one after the other, each in its place', async () => {
    const pipelined = await line(
      `${GET}GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n${POST('Content-Length: 7', 'addr=0x')}${GET}`,
    );
    const text = await pipelined.until((said) => statuses(said).length === 4);
    expect(statuses(text)).toEqual([200, 404, 400, 200]);
  });

  it('in a flood are answered in order, and a malformed one ends the connection behind them', async () => {
    const flood = await line(`${GET.repeat(50)}nonsense\r\n\r\n${GET}`);
    const { text } = await flood.closed;
    const answers = statuses(text);
    expect(answers.slice(0, -1)).toEqual(answers.slice(0, -1).map(() => 200));
    expect(answers.at(-1)).not.toBe(undefined);
    expect(answers.length).toBeLessThanOrEqual(51);
  });

  // Each hides a GET in what a server of the other opinion takes for a body (RFC 9112 sections 6.1, 6.3, 11.2).
  it.each([
    [
      'a length and chunks',
      POST(`Content-Length: ${GET.length + 5}\r\nTransfer-Encoding: chunked`, `0\r\n\r\n${GET}`),
    ],
    ['chunks and a length', POST('Transfer-Encoding: chunked\r\nContent-Length: 4', `0\r\n\r\n${GET}`)],
    ['two lengths', POST('Content-Length: 0\r\nContent-Length: 40', GET)],
    ['a list of lengths', POST('Content-Length: 0, 40', GET)],
    ['a length with a sign', POST('Content-Length: +0', GET)],
    ['a length in hex', POST('Content-Length: 0x0', GET)],
    ['a coding that only looks like chunks', POST('Transfer-Encoding: xchunked', `0\r\n\r\n${GET}`)],
    ['a coding behind a tab', POST('Transfer-Encoding\t: chunked', `0\r\n\r\n${GET}`)],
    ['chunks that are not the last coding', POST('Transfer-Encoding: chunked, identity', `0\r\n\r\n${GET}`)],
    ['a chunk size with a sign', POST('Transfer-Encoding: chunked', `-0\r\n\r\n${GET}`)],
    ['a chunk size in 0x', POST('Transfer-Encoding: chunked', `0x0\r\n\r\n${GET}`)],
    [
      'a chunk size too large for any number',
      POST('Transfer-Encoding: chunked', `${'f'.repeat(17)}\r\n\r\n${GET}`),
    ],
    ['chunks that end in a bare line feed', POST('Transfer-Encoding: chunked', `0\n\n${GET}`)],
    ['a folded header', POST('X: a\r\n Content-Length: 40', GET)],
  ])(
    'that are told apart in two ways are refused and nothing behind them is served: %s',
    async (_title, bytes) => {
      const { text } = await (await line(bytes)).closed;
      expect(statuses(text)).toEqual([400]);
      expect(text).toContain('"success":false');
    },
  );

  it('may have 100 headers and no more', async () => {
    const fields = (count: number) => `GET / HTTP/1.1\r\nHost: a\r\n${'X: 1\r\n'.repeat(count - 1)}\r\n`;
    expect(statuses(await (await line(fields(100))).until((said) => said.includes('}')))).toEqual([200]);
    const refused = await (await line(fields(101))).closed;
    expect(statuses(refused.text)).toEqual([431]);
  });
});
