import { CLOSE } from '@countersign/protocol';
import { describe, expect, it } from 'vitest';
import type { Command, Joined } from '../../src/dialects/dialect.ts';
import { createEthgasDialect } from '../../src/dialects/ethgas.ts';

const dialect = createEthgasDialect();
const NOTHING = new Map();

function open(message: object) {
  const talk = dialect.open('25f9ee2c');
  const commands = talk.parse(JSON.stringify(message));
  const command = commands[0] as Command;
  const streams = (list: Joined['streams']): string[] => {
    if (command.kind !== 'subscribe') throw new Error(command.kind);
    return talk.subscribed(
      command.phrase,
      command.wants.map((want) => ({ want, streams: list })),
      NOTHING,
    );
  };
  return { talk, command, commands, streams };
}

const at = (sequence: number) => ({ epoch: 'e1', sequence });
const ARG = { channel: 'preconfMarketUpdate', marketType: 'inclusionPreconf' };

describe('the answer to subscribe', () => {
  it('repeats the arg and the id of python-ethgas unchanged, with the position', () => {
    const { streams } = open({ op: 'subscribe', args: [ARG], id: 2 });
    expect(streams([{ key: 'inclusionPreconf', position: at(4), recovered: null }])).toEqual([
      '{"event":"subscribe","arg":{"channel":"preconfMarketUpdate","marketType":"inclusionPreconf"},' +
        '"code":0,"msg":"","connId":"25f9ee2c","position":{"epoch":"e1","sequence":4},"id":2}',
    ]);
  });

  it('keeps order, unknown members and odd characters of the arg', () => {
    const arg = '{"z":[1.5,null],"channel":"blockBuilderUpdate","é\\"":"\u2028"}';
    const talk = dialect.open('c');
    const [command] = talk.parse(`{"op":"subscribe","args":[${arg}]}`);
    if (command?.kind !== 'subscribe') throw new Error('not read');
    const [text] = talk.subscribed(command.phrase, [{ want: command.wants[0]!, streams: [] }], NOTHING);
    expect(text).toBe(`{"event":"subscribe","arg":${arg},"code":0,"msg":"","connId":"c"}`);
  });

  it('is one frame per arg, each with its own', () => {
    const { talk, commands } = open({
      op: 'subscribe',
      args: [ARG, { channel: 'blockBuilderUpdate' }],
    });
    const frames = commands.flatMap((command) =>
      command.kind === 'subscribe'
        ? talk.subscribed(
            command.phrase,
            command.wants.map((want) => ({ want, streams: [] })),
            NOTHING,
          )
        : [],
    );
    expect(frames.map((frame) => JSON.parse(frame).arg)).toEqual([ARG, { channel: 'blockBuilderUpdate' }]);
  });

  it('has status in both places for cmd', () => {
    const { streams } = open({ cmd: 'subscribe', args: { channel: 'preconfMarketUpdate', marketId: 12345 } });
    expect(JSON.parse(streams([])[0] ?? '')).toEqual({
      cmd: 'subscribe',
      status: 'success',
      data: { status: 'success' },
      arg: { channel: 'preconfMarketUpdate', marketId: 12345 },
    });
  });

  it('says whether what was missed could be made up for', () => {
    const arg = { channel: 'blockBuilderUpdate', recover: { epoch: 'e0', sequence: 1 } };
    for (const recovered of [true, false]) {
      const { streams } = open({ op: 'subscribe', args: [arg] });
      expect(JSON.parse(streams([{ key: '', position: at(9), recovered }])[0] ?? '')).toMatchObject({
        position: at(9),
        recovered,
      });
    }
  });

  it('names a position for each account where each has a stream', () => {
    const { streams } = open({
      op: 'subscribe',
      args: [{ channel: 'accountOrderUpdate', marketType: 'wholeBlock' }],
    });
    const [text] = streams([
      { key: 'wholeBlock/242', position: at(4), recovered: null },
      { key: 'wholeBlock/243', position: at(5), recovered: true },
    ]);
    expect(JSON.parse(text ?? '')).toMatchObject({
      position: { 242: at(4), 243: at(5) },
      recovered: { 243: true },
    });
  });
});

describe('the answer to', () => {
  it('unsubscribe repeats the arg', () => {
    const { talk, command } = open({ op: 'unsubscribe', args: [ARG], id: 'u' });
    if (command.kind !== 'unsubscribe') throw new Error(command.kind);
    expect(talk.unsubscribed(command.phrase, command.wants, NOTHING).map((text) => JSON.parse(text))).toEqual(
      [{ event: 'unsubscribe', arg: ARG, code: 0, msg: '', connId: '25f9ee2c', id: 'u' }],
    );
  });

  it.each([
    [{ op: 'logout' }, { event: 'logout', code: 0, msg: '', connId: '25f9ee2c' }],
    [
      { cmd: 'logout', id: 5 },
      { cmd: 'logout', status: 'success', data: { status: 'success' }, id: 5 },
    ],
  ])('%j is in kind', (message, expected) => {
    const { talk, command } = open(message);
    expect(talk.loggedOut(command.phrase).map((text) => JSON.parse(text))).toEqual([expected]);
  });

  it('a query names it, its instrument and its id', () => {
    const { talk, command } = open({
      op: 'query',
      args: [{ queryType: 'candlesticks', instrumentId: 'ETH-PC-1', interval: 1000 }],
      id: 6,
    });
    expect(talk.answered(command.phrase, 'candlesticks', [{ o: '1' }])).toEqual([
      '{"q":"candlesticks","s":"ETH-PC-1","P":[{"o":"1"}],"id":6}',
    ]);
  });

  it('recentTrades repeats the limit', () => {
    const args = { queryType: 'recentTrades', instrumentId: 'ETH-PC-1', limit: 100 };
    const { talk, command } = open({ op: 'query', args });
    expect(talk.answered(command.phrase, 'recentTrades', {})).toEqual([
      '{"q":"recentTrades","s":"ETH-PC-1","l":100,"P":{}}',
    ]);
  });

  it('a query in cmd stands in data', () => {
    const { talk, command } = open({ cmd: 'query', args: { queryType: 'currentSlot' } });
    expect(talk.answered(command.phrase, 'currentSlot', { t: 1, s: 2, r: 3 })).toEqual([
      '{"cmd":"query","status":"success","q":"currentSlot","data":{"t":1,"s":2,"r":3}}',
    ]);
  });
});

describe('a refusal', () => {
  it('in op is an error event with the arg it is about', () => {
    const { talk, command } = open({ op: 'subscribe', args: [ARG], id: 2 });
    expect(talk.refused(command.phrase, 'forbidden').map((text) => JSON.parse(text))).toEqual([
      {
        event: 'error',
        code: 2,
        msg: 'This account may not do that. Check the permissions of the account or key.',
        connId: '25f9ee2c',
        arg: ARG,
        hint: 'Check the permissions of the account or key.',
        id: 2,
      },
    ]);
  });

  it('in cmd is the error command of the older overview with the status as its code', () => {
    const { talk, command } = open({ cmd: 'subscribe', args: ARG });
    expect(talk.refused(command.phrase, 'rate_limited').map((text) => JSON.parse(text))).toEqual([
      {
        cmd: 'error',
        status: 'error',
        error: {
          code: 429,
          message: 'Too many requests. Wait before retrying.',
          hint: 'Wait, then try again.',
        },
        data: { status: 'error' },
        request: 'subscribe',
        arg: ARG,
      },
    ]);
  });

  it('tells a better sentence where there is one', () => {
    const { talk, command } = open({ op: 'subscribe', args: [{ channel: 'x' }] });
    if (command.kind !== 'invalid') throw new Error(command.kind);
    const [text] = talk.refused(command.phrase, command.code, command.message);
    expect(JSON.parse(text ?? '')).toMatchObject({ event: 'error', code: 1001, msg: command.message });
  });
});

describe('the word before a close', () => {
  it.each([
    [{ op: 'ping' }, { event: 'closing', code: 4101, next: 'recover', connId: '25f9ee2c' }],
    [{ cmd: 'ping' }, { cmd: 'closing', data: { code: 4101, next: 'recover' } }],
  ])('is in kind to %j', (message, expected) => {
    const { talk } = open(message);
    expect(JSON.parse(talk.closing(CLOSE.slow) ?? '')).toMatchObject(expected);
  });
});
