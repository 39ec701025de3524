import { CHAINWORKS_REQUESTS, CLOSE, ERRORS, SOCKETIO_RESERVED } from '@countersign/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createChainworksDialect } from '../../src/dialects/chainworks.ts';
import { chainworksEncoder } from '../../src/dialects/chainworks-encoder.ts';
import { coinbaseChannels } from '../../src/dialects/coinbase-channels.ts';
import type { Command, Joined, Want } from '../../src/dialects/dialect.ts';
import { ethgasChannels } from '../../src/dialects/ethgas-channels.ts';
import { Decoder } from '../../src/doors/socketio/parser.ts';
import { type Channel, channelTable } from '../../src/streams/channel.ts';

const channels = channelTable([...ethgasChannels.values(), ...coinbaseChannels(30).values()]);
const dialect = createChainworksDialect({ channels });
const talk = dialect.open('c1');
const channel = (name: string) => channels.get(name) as Channel;

/** The one command of an event. */
function command(event: string, params?: unknown, ack = ''): Command {
  const list = params === undefined ? [event] : [event, params];
  const [only, ...rest] = talk.parse(`2${ack}${JSON.stringify(list)}`);
  expect(rest).toEqual([]);
  return only as Command;
}
/** What a packet says: event or acknowledgement id, and its data. */
function said(packet: string | undefined): unknown[] {
  const [, id = '', json = ''] = /^[23](\d*)(\[.*)$/.exec(packet ?? '') ?? [];
  return id === '' ? JSON.parse(json) : [Number(id), ...JSON.parse(json)];
}
const frame = (bytes: Uint8Array | null | undefined): { event: string; data: Record<string, unknown> } => {
  const buffer = Buffer.from(bytes ?? []);
  const text = buffer.toString('utf8', (buffer[1] ?? 0) < 126 ? 2 : 4);
  expect(text.startsWith('42')).toBe(true);
  const [event, data] = JSON.parse(text.slice(2));
  return { event, data };
};

describe('an event', () => {
  it('that begins with a slash is a request, whatever the venue makes of it', () => {
    for (const { event } of CHAINWORKS_REQUESTS) {
      expect(command(event, { chain: 'eth' }, '7')).toMatchObject({
        kind: 'request',
        request: event,
        args: { chain: 'eth' },
      });
    }
    expect(command('/else')).toMatchObject({ kind: 'request', request: '/else', args: {} });
    expect(command('/else', null)).toMatchObject({ args: {} });
  });

  it('of a subscription names a channel of any venue, and its stream in one of three words', () => {
    for (const word of ['key', 'product']) {
      const want = { channel: 'level2', [word]: 'ETH-USD' };
      expect(command('subscribe', want)).toMatchObject({
        kind: 'subscribe',
        wants: [{ channel: { name: 'level2' }, key: 'ETH-USD' }],
      });
    }
    expect(command('subscribe', { channel: 'tickerUpdate', marketType: 'wholeBlock' })).toMatchObject({
      wants: [{ key: 'wholeBlock' }],
    });
    expect(command('subscribe', { channel: 'user', product: 'ETH-USD' })).toMatchObject({
      wants: [{ channel: { name: 'user' }, key: null }],
    });
    expect(command('unsubscribe', { channel: 'level2' })).toMatchObject({ wants: [{ key: null }] });
  });

  it('carries where the reader was, in one stream or in one per account', () => {
    const place = { epoch: 'e', sequence: 4 };
    expect(command('subscribe', { channel: 'level2', key: 'A', recover: place })).toMatchObject({
      wants: [{ since: place }],
    });
    const { wants } = command('subscribe', {
      channel: 'accountOrderUpdate',
      key: 'wholeBlock',
      recover: { 5: place },
    }) as { wants: Want[] };
    expect(wants[0]?.accountsSince?.get('5')).toEqual(place);
  });

  it('is read the same whatever it holds: never a throw, always an answer in the words of the event', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, maxLength: 20 }), fc.json(), fc.nat(), (event, json, id) => {
        const commands = talk.parse(`2${id}[${JSON.stringify(event)},${json}]`);
        expect(commands).toHaveLength(1);
        const { phrase } = commands[0] as Command;
        for (const text of talk.refused(phrase, 'invalid_request')) expect(said(text)[0]).toBe(id);
      }),
    );
  });
});

describe('an answer', () => {
  it('is an acknowledgement if one was asked for, else an event of the same name', () => {
    const { phrase } = command('/evm/buy/quote', {}, '12');
    expect(said(talk.answered(phrase, 'x', { success: true, result: 1 })[0])).toEqual([
      12,
      { success: true, result: 1 },
    ]);
    const { phrase: plain } = command('/evm/"quoted"', {});
    expect(said(talk.answered(plain, 'x', { success: true })[0])).toEqual([
      '/evm/"quoted"',
      { success: true },
    ]);
  });

  it('of refusal has the code of the error table', () => {
    const { phrase } = command('/evm/buy/quote', {});
    for (const code of Object.keys(ERRORS) as (keyof typeof ERRORS)[]) {
      expect(said(talk.refused(phrase, code)[0])).toEqual([
        '/evm/buy/quote',
        { success: false, error: { code: ERRORS[code].chainworks, message: ERRORS[code].message } },
      ]);
    }
  });

  it('to a subscription tells accounts apart', () => {
    const { phrase } = command('subscribe', { channel: 'accountOrderUpdate', key: 'wholeBlock' });
    const want: Want = { channel: channel('accountOrderUpdate'), key: 'wholeBlock', phrase };
    const stream = (account: number, recovered: boolean | null) => ({
      key: `wholeBlock/${account}`,
      position: { epoch: 'e', sequence: account },
      recovered,
    });
    const joined: Joined[] = [{ want, streams: [stream(1, true), stream(2, false), stream(3, null)] }];
    expect(said(talk.subscribed(phrase, joined, new Map())[0])).toEqual([
      'subscribe',
      {
        success: true,
        result: {
          channel: 'accountOrderUpdate',
          key: 'wholeBlock',
          positions: {
            1: { epoch: 'e', sequence: 1 },
            2: { epoch: 'e', sequence: 2 },
            3: { epoch: 'e', sequence: 3 },
          },
          recovered: { 1: true, 2: false },
        },
      },
    ]);
  });
});

describe('a notice', () => {
  it('has a name that no client library keeps for itself, for every way to close', () => {
    for (const close of Object.values(CLOSE)) {
      const [event, data] = said(talk.closing(close) ?? undefined);
      expect(SOCKETIO_RESERVED.has(String(event)) || event === 'error').toBe(false);
      expect(event).toBe(close === CLOSE.goodbye ? 'unauthorized' : 'closing');
      expect(data).toHaveProperty('message');
    }
    expect(said(talk.expired() ?? undefined)[0]).toBe('token_expired');
  });
});

describe('a push', () => {
  const at = { epoch: 'e1', time: 5 };

  it('carries its place; the epoch only where a count begins', () => {
    const one = { ...at, channel: 'user', key: '78', action: 'fill', data: { orders: ['é'] } };
    const later = frame(chainworksEncoder.publication(channel('user'), { ...one, sequence: 9 }));
    expect(later).toEqual({
      event: 'user',
      data: {
        channel: 'user',
        key: '78',
        sequence: 9,
        type: 'update',
        time: 5,
        action: 'fill',
        data: { orders: ['é'] },
      },
    });
    const first = frame(chainworksEncoder.publication(channel('user'), { ...one, sequence: 1 }));
    expect(first.data.epoch).toBe('e1');
  });

  it('of a book is told apart from the whole book', () => {
    const push = (data: object) =>
      frame(
        chainworksEncoder.publication(channel('level2'), {
          ...at,
          channel: 'level2',
          key: 'A',
          sequence: 2,
          data: data as never,
        }),
      ).data;
    expect(push({ levels: [['ask', '2', '0']] })).toMatchObject({
      type: 'update',
      data: { bids: [], asks: [['2', '0']] },
    });
    expect(push({ reset: true, levels: [] })).toMatchObject({
      type: 'snapshot',
      data: { bids: [], asks: [] },
    });
  });

  it('of a snapshot carries the position that the snapshot stands for, in each part', () => {
    const part = (item: string) => ({
      ...at,
      channel: 'tickerUpdate',
      key: 'k',
      sequence: 1,
      item,
      data: {},
    });
    const frames = chainworksEncoder.snapshot(
      {
        channel: channel('tickerUpdate'),
        key: 'k',
        position: { epoch: 'e1', sequence: 7 },
        time: 5,
        publications: [part('a'), part('b')],
        books: new Map(),
      },
      false,
    );
    expect(frames.map((one) => frame(one).data)).toEqual(
      ['a', 'b'].map((item) => expect.objectContaining({ item, sequence: 7, epoch: 'e1', type: 'snapshot' })),
    );
  });
});

describe('the decoder', () => {
  it('passes on only what it understands, whatever comes', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string({ unit: 'binary' }), fc.stringMatching(/^[0-6][\d/a-z,[\]{}"\\:-]{0,40}$/)),
        (text) => {
          const decoder = new Decoder();
          const seen: { type: number; nsp: string; data?: unknown }[] = [];
          decoder.on('decoded', (packet) => seen.push(packet));
          try {
            decoder.add(text);
          } catch (error) {
            expect(error).toBeInstanceOf(Error);
            expect(seen).toEqual([]);
            return;
          }
          expect(seen).toHaveLength(1);
          expect([0, 1, 2]).toContain(seen[0]?.type);
          if (seen[0]?.type === 2)
            expect(seen[0].data).toEqual(['packet', expect.stringMatching(/^2\d{0,15}\[/)]);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('reads what client libraries write', () => {
    const decoder = new Decoder();
    const seen: unknown[] = [];
    decoder.on('decoded', (packet) => seen.push(packet));
    for (const text of ['40{"token":"t"}', '1'.padStart(2, '4'), '42["a",{}]', '4217[ "a" ]'])
      decoder.add(text.slice(1));
    expect(seen).toEqual([
      { type: 0, nsp: '/', data: { token: 't' } },
      { type: 1, nsp: '/' },
      { type: 2, nsp: '/', data: ['packet', '2["a",{}]'] },
      { type: 2, nsp: '/', data: ['packet', '217[ "a" ]'] },
    ]);
  });
});
