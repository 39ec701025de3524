import { describe, expect, it } from 'vitest';
import { createEthgasDialect } from '../../src/dialects/ethgas.ts';
import { authentication } from './support.ts';

const dialect = createEthgasDialect();
const TOKEN = 'eyJ0.eyJ1.c2ln';

/** The login forms of wire facts 1.11, each also with the token as the object of the REST answer. */
const forms = [
  { source: 'seed 000', text: `{"cmd":"login","data":{"accessToken":"${TOKEN}"}}`, form: 'cmd' },
  { source: 'seed 002', text: `{"cmd":"login","args":{"accessToken":"${TOKEN}"}}`, form: 'cmd' },
  { source: 'python-ethgas', text: `{"op":"login","args":[{"accessToken":"${TOKEN}"}],"id":1}`, form: 'op' },
  { source: 'the reference', text: `{"op":"login","args":[{"accessToken":"${TOKEN}"}]}`, form: 'op' },
  { source: 'a list in cmd', text: `{"cmd":"login","args":[{"accessToken":"${TOKEN}"}]}`, form: 'cmd' },
  { source: 'an object in op', text: `{"op":"login","args":{"accessToken":"${TOKEN}"}}`, form: 'op' },
];

describe('a login', () => {
  for (const { source, text, form } of forms) {
    it(`is read as ${source} writes it`, () => {
      const talk = dialect.open('25f9ee2c');
      expect(talk.parse(text)).toMatchObject([{ kind: 'login', token: TOKEN, phrase: { form } }]);
    });

    it(`is read as ${source} writes it with the token as an object`, () => {
      const talk = dialect.open('25f9ee2c');
      const asObject = text.replace(`"${TOKEN}"`, `{"token":"${TOKEN}","expiresAt":1698636825,"data":{}}`);
      expect(talk.parse(asObject)).toMatchObject([{ kind: 'login', token: TOKEN }]);
    });
  }

  it.each([
    '{"cmd":"login"}',
    '{"cmd":"login","data":{}}',
    '{"cmd":"login","data":{"accessToken":null}}',
    '{"cmd":"login","data":{"accessToken":""}}',
    '{"op":"login","args":[]}',
    '{"op":"login","args":["x"]}',
    '{"op":"login","args":[{"accessToken":{}}]}',
  ])('without a token is still a login: %s', (text) => {
    expect(dialect.open('c').parse(text)).toMatchObject([{ kind: 'login', token: null }]);
  });

  it.each([
    '{"cmd":"login","data":{"accessToken":7}}',
    '{"op":"login","args":[{"accessToken":["x"]}]}',
    `{"op":"login","args":[{"accessToken":"${'x'.repeat(8193)}"}]}`,
  ])('with something else for a token is invalid (%#)', (text) => {
    const talk = dialect.open('c');
    const [command] = talk.parse(text);
    expect(command).toMatchObject({ kind: 'invalid', code: 'invalid_request' });
    expect(JSON.stringify(command)).not.toContain('xxxx');
  });
});

describe('the answer to a login', () => {
  const answer = (text: string): string[] => {
    const talk = dialect.open('25f9ee2c');
    const [command] = talk.parse(text);
    return talk.loggedIn(command?.phrase, authentication());
  };

  it('has exactly the members of the reference for op', () => {
    expect(answer('{"op":"login","args":[{"accessToken":"t"}]}')).toEqual([
      '{"event":"login","code":0,"msg":"","connId":"25f9ee2c"}',
    ]);
  });

  it('repeats the id of python-ethgas', () => {
    expect(answer('{"op":"login","args":[{"accessToken":"t"}],"id":1}')).toEqual([
      '{"event":"login","code":0,"msg":"","connId":"25f9ee2c","id":1}',
    ]);
  });

  it('satisfies the seed and the older overview for cmd: status in both places, userId a string', () => {
    const [text] = answer('{"cmd":"login","data":{"accessToken":"t"}}');
    expect(JSON.parse(text ?? '')).toEqual({
      cmd: 'login',
      status: 'success',
      data: {
        status: 'success',
        userId: '78',
        username: 'john_doe',
        permissions: ['market_data', 'account_updates', 'trading'],
        tier: 'free',
      },
    });
  });

  it('names the address where a user has no display name', () => {
    const talk = dialect.open('c');
    const [command] = talk.parse('{"cmd":"login","data":{"accessToken":"t"}}');
    const [text] = talk.loggedIn(command?.phrase, authentication({ displayName: null }));
    expect(JSON.parse(text ?? '').data.username).toBe('0x2c75a1b2c3d4e5f60718293a4b5c6d7e8f901234');
  });
});

describe('a refused login', () => {
  const refuse = (text: string, code: 'unauthorized' | 'token_expired' | 'rate_limited'): unknown[] => {
    const talk = dialect.open('25f9ee2c');
    const [command] = talk.parse(text);
    return talk.refused(command?.phrase, code).map((frame) => JSON.parse(frame));
  };
  const EXPIRED = { cmd: 'token_expired', data: { message: 'Access token has expired' } };

  it('is told in cmd as the seed shows it, with data for the older overview and what to do', () => {
    expect(refuse('{"cmd":"login","data":{"accessToken":"t"}}', 'unauthorized')).toEqual([
      {
        cmd: 'login',
        status: 'error',
        error: {
          code: 401,
          message: 'Invalid access token',
          hint: 'Refresh the access token, then send login again.',
        },
        data: { status: 'error' },
      },
    ]);
  });

  it('is an error event in op: python-ethgas takes any login event for a success', () => {
    expect(refuse('{"op":"login","args":[{"accessToken":"t"}],"id":1}', 'unauthorized')).toEqual([
      {
        event: 'error',
        code: 1000,
        msg: 'Invalid access token',
        connId: '25f9ee2c',
        hint: 'Refresh the access token, then send login again.',
        id: 1,
      },
    ]);
  });

  it('comes with the token_expired push in cmd when the token has expired', () => {
    const frames = refuse('{"cmd":"login","data":{"accessToken":"t"}}', 'token_expired');
    expect(frames).toHaveLength(2);
    expect(frames[0]).toMatchObject({ cmd: 'login', status: 'error', error: { code: 401 } });
    expect(frames[1]).toEqual(EXPIRED);
  });

  it('comes without that push for any other reason, so that the seed client does not loop', () => {
    for (const code of ['unauthorized', 'rate_limited'] as const) {
      expect(refuse('{"cmd":"login","data":{}}', code)).toHaveLength(1);
    }
    expect(refuse('{"op":"login","args":[{"accessToken":"t"}]}', 'token_expired')).toHaveLength(1);
  });

  it('carries the status of its row as the code in cmd', () => {
    expect(refuse('{"cmd":"login","data":{"accessToken":"t"}}', 'rate_limited')).toMatchObject([
      { error: { code: 429 } },
    ]);
  });
});

describe('an expired token on a live connection', () => {
  it.each([
    ['{"cmd":"ping"}', { cmd: 'token_expired', data: { message: 'Access token has expired' } }],
    ['{"op":"ping"}', { event: 'token_expired', code: 1000, msg: 'Access token has expired', connId: 'c' }],
  ])('is told in the phrasing of %s', (text, expected) => {
    const talk = dialect.open('c');
    talk.parse(text);
    expect(JSON.parse(talk.expired() ?? '')).toMatchObject(expected);
  });

  it('is told in cmd with exactly the bytes of the seed', () => {
    const talk = dialect.open('c');
    talk.parse('{"cmd":"ping"}');
    expect(talk.expired()).toBe('{"cmd":"token_expired","data":{"message":"Access token has expired"}}');
  });
});
