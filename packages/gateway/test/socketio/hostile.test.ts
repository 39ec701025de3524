import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask, type House, openHouse, until } from './kit.ts';
import { openRaw, type Raw } from './raw.ts';

let house: House;
let secret: string;
beforeAll(async () => {
  house = await openHouse();
  ({ secret } = await house.token());
});
afterAll(() => house.close());

async function connected(): Promise<Raw> {
  const raw = await openRaw(house.urls.socketio);
  raw.send(`40${JSON.stringify({ token: secret })}`);
  await raw.until('40{"sid"');
  return raw;
}

async function alive(): Promise<void> {
  const client = await house.connected(secret);
  expect(await ask(client, '/evm/buy/quote')).toMatchObject({ success: true });
  client.disconnect();
}

describe('a packet that breaks the protocol', () => {
  it.each([
    ['a name that is an object (CVE-2023-32695)', '42[{"toString":"foo"}]'],
    ['a name that is a number', '42[5,{}]'],
    ['no name', '42[]'],
    ['no list', '42{"a":1}'],
    ['no payload', '42'],
    ['a reserved name', '42["disconnect",{}]'],
    ['a reserved name in escapes', '42["conn\\u0065ct",{}]'],
    ['a name without an end', `42["${'a'.repeat(5000)}`],
    ['a very long name', `42["${'a'.repeat(500)}",{}]`],
    ['an acknowledgement id that is no number', '42abc["/evm/buy/quote",{}]'],
    ['an acknowledgement id beyond all numbers', `42${'9'.repeat(5000)}["/evm/buy/quote",{}]`],
    [
      'a binary event with a placeholder (CVE-2022-2421)',
      '451-["/evm/buy/quote",{"_placeholder":true,"num":"splice"}]',
    ],
    ['a binary event with very many attachments (CVE-2026-33151)', '4599999999-["x"]'],
    ['a binary event without attachments', '450-["x"]'],
    ['a binary acknowledgement', '461-1["x"]'],
    ['an acknowledgement of nothing', '431[]'],
    ['a connect error', '44{"message":"x"}'],
    ['a type that does not exist', '49'],
    ['a second connect', '40{"token":"x"}'],
    ['a disconnect with a payload', '41{"a":1}'],
    ['an event in a namespace that was not joined', '42/admin,["x"]'],
    ['a namespace that is no name', '40/admin?token=x,{}'],
    ['a ping, which is the server’s to send', '2'],
    ['an Engine.IO type that does not exist', '9'],
    ['an open of Engine.IO', '0{"sid":"x"}'],
  ])('(%s) ends its own connection and nothing else', async (_, packet) => {
    const raw = await connected();
    raw.send(packet);
    // Some types of Engine.IO are passed over in silence: those must not be answered either.
    const harmless = /^0/.test(packet);
    if (!harmless) await raw.closing;
    raw.drop();
    await alive();
  });

  it('as a connect with a payload that is no object ends it too', async () => {
    for (const packet of [
      '40[]',
      '40"x"',
      '40{',
      `40{"a":${'['.repeat(50)}${']'.repeat(50)}}`,
      '40{"__proto__":{}}',
    ]) {
      const raw = await openRaw(house.urls.socketio);
      raw.send(packet);
      await raw.closing;
      expect(raw.texts).toHaveLength(1);
    }
    await alive();
  });

  it('as binary data ends it, before and after the handshake', async () => {
    const early = await openRaw(house.urls.socketio);
    early.send(Buffer.from('42["x"]'));
    await early.closing;
    const late = await connected();
    late.send(Buffer.from('42["/evm/buy/quote",{}]'));
    await late.closing;
    await alive();
  });

  it('with a placeholder in an ordinary event is an ordinary parameter', async () => {
    const raw = await connected();
    raw.send('420["/evm/buy/quote",{"_placeholder":true,"num":0}]');
    expect(await raw.until('430[')).toContain('"_placeholder":true');
    raw.drop();
  });

  it('that is JSON no more is answered as an error, on the same connection', async () => {
    const raw = await connected();
    raw.send('427["/evm/buy/quote",{"a":]');
    expect(await raw.until('437[')).toContain('"success":false');
    raw.send('428["/evm/buy/quote",{}]');
    expect(await raw.until('438[')).toContain('"success":true');
    raw.drop();
  });

  it('larger than the limit ends it with 1009', async () => {
    const raw = await connected();
    raw.send(`42["/evm/buy/quote",{"a":"${'x'.repeat(70_000)}"}]`);
    await raw.closing;
    await alive();
  });
});

describe('a peer that', () => {
  it('joins namespaces without end is ended', async () => {
    const raw = await connected();
    for (let i = 0; i < 10; i += 1) raw.send(`40/n${i},{}`);
    await raw.closing;
  });

  it('sends pings, pongs or events without end is ended', async () => {
    const small = await openHouse({
      websocket: { messagesPerSecond: 10, messageBurst: 20 },
      // Without a rate of its own, so that the one of connections counts.
      tiers: { free: { requests: null, connections: 100, subscriptions: 100 } },
    });
    const token = await small.token();
    for (const act of [
      (raw: Raw) => raw.send('3'),
      (raw: Raw) => raw.ping(),
      (raw: Raw) => raw.send('42["nonsense"]'),
    ]) {
      const raw = await openRaw(small.urls.socketio);
      raw.send(`40${JSON.stringify({ token: token.secret })}`);
      await raw.until('40{"sid"');
      for (let i = 0; i < 300; i += 1) act(raw);
      await raw.closing;
    }
    await small.close();
  });

  it('leaves its namespace is hung up on', async () => {
    const raw = await connected();
    raw.send('41');
    await raw.closing;
    await until(async () => (await house.adminFetch('/connections')).body.data.total === 0);
  });

  it('goes away while its token is being checked leaves nothing behind', async () => {
    for (let i = 0; i < 20; i += 1) {
      const raw = await openRaw(house.urls.socketio);
      raw.send(`40${JSON.stringify({ token: secret })}`);
      raw.drop();
    }
    await until(async () => (await house.adminFetch('/connections')).body.data.total === 0);
    await alive();
  });

  it('holds as many connections as its address may gets no more', async () => {
    const small = await openHouse({ websocket: { connectionsPerSource: 2 } });
    const raws = [await openRaw(small.urls.socketio), await openRaw(small.urls.socketio)];
    await expect(openRaw(small.urls.socketio)).rejects.toThrow(/429/);
    raws[0]?.drop();
    await until(async () => {
      const again = await openRaw(small.urls.socketio).catch(() => null);
      again?.drop();
      return again !== null;
    });
    raws[1]?.drop();
    await small.close();
  });
});

describe('a handshake request that', () => {
  const status = (path: string, headers: Record<string, string> = {}) =>
    new Promise<number>((resolve) => {
      const { hostname, port } = new URL(house.urls.socketio);
      const asked = request({
        hostname,
        port,
        path,
        headers: {
          connection: 'Upgrade',
          upgrade: 'websocket',
          'sec-websocket-version': '13',
          'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
          ...headers,
        },
      });
      asked.on('response', (answer) => {
        answer.resume();
        resolve(answer.statusCode ?? 0);
      });
      asked.on('upgrade', (_answer, socket) => {
        socket.destroy();
        resolve(101);
      });
      asked.on('error', () => resolve(0));
      asked.end();
    });

  it.each<[string, string, Record<string, string>, number[]]>([
    ['is in order', '/socket.io/?EIO=4&transport=websocket', {}, [101]],
    ['names an unknown transport', '/socket.io/?EIO=4&transport=carrier', {}, [400]],
    ['names a transport twice', '/socket.io/?EIO=4&transport=polling&transport=websocket', {}, [101]],
    ['names long-polling', '/socket.io/?EIO=4&transport=polling', {}, [400]],
    ['names another’s transport id', '/socket.io/?EIO=4&transport=websocket&sid=abc', {}, [400]],
    ['names an inherited member as id', '/socket.io/?EIO=4&transport=websocket&sid=__proto__', {}, [400]],
    ['has a broken query', '/socket.io/?%%%&EIO=4&transport=websocket', {}, [101, 400]],
    ['has an odd path', '/socket.io//../?EIO=4&transport=websocket', {}, [101, 400]],
    ['has a wrong key', '/socket.io/?EIO=4&transport=websocket', { 'sec-websocket-key': 'x' }, [400]],
    [
      'has a wrong version',
      '/socket.io/?EIO=4&transport=websocket',
      { 'sec-websocket-version': '7' },
      [400, 426],
    ],
    [
      'has an odd subprotocol (CVE-2021-32640)',
      '/socket.io/?EIO=4&transport=websocket',
      { 'sec-websocket-protocol': `${' '.repeat(5000)}x` },
      [101, 400],
    ],
    [
      'comes from a page elsewhere',
      '/socket.io/?EIO=4&transport=websocket',
      { origin: 'https://evil.example' },
      [403],
    ],
  ])('%s is answered at once', async (_, path, headers, expected) => {
    expect(expected).toContain(await status(path, headers));
    await alive();
  });
});
