import { describe, expect, test } from 'vitest';
import { createLog, scrub } from '../../src/operations/log.ts';

const jwt = `eyJhbGciOiJFUzI1NiJ9.${'eyJzdWIiOiI3OCJ9'}.${'A'.repeat(86)}`;
const hex = 'ab'.repeat(65);

/** Lines that a log writes while `act` uses it, parsed. */
function lines(act: (log: ReturnType<typeof createLog>) => void, level: 'debug' | 'info' = 'debug') {
  const written: string[] = [];
  act(createLog({ level, destination: { write: (line) => written.push(line) } }));
  return written.map((line) => {
    expect(line.endsWith('\n')).toBe(true);
    expect(line.trimEnd()).not.toContain('\n');
    return JSON.parse(line) as Record<string, unknown>;
  });
}

describe('a line', () => {
  test('is one JSON object with level, UTC time, fields and message', () => {
    const [line] = lines((log) =>
      log.info({ event: 'session.opened', userId: 78, source: '127.0.0.1' }, 'opened'),
    );
    expect(line).toEqual({
      level: 'info',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      event: 'session.opened',
      userId: 78,
      source: '127.0.0.1',
      msg: 'opened',
    });
  });

  test('carries only fields of the list, and names the others', () => {
    const [line] = lines((log) =>
      log.info({ event: 'x', authorization: 'secret-1', headers: { cookie: 'secret-2' } }, 'm'),
    );
    expect(JSON.stringify(line)).not.toContain('secret');
    expect(line?.unlisted).toEqual(['authorization', 'headers']);
  });

  test('never carries an object, whatever its field is called', () => {
    const [line] = lines((log) => log.info({ subject: { token: 'secret' } }, 'm'));
    expect(JSON.stringify(line)).not.toContain('secret');
  });

  test('escapes what could forge another line', () => {
    const [line, second] = lines((log) => log.info({ event: 'a\n{"event":"forged"}\u001b[31m' }, 'b\r\nc'));
    expect(second).toBeUndefined();
    expect(line?.event).toBe('a\n{"event":"forged"}\u001b[31m');
  });

  test('is cut when a field is very long', () => {
    const [line] = lines((log) => log.info({ reason: 'x y '.repeat(1000) }, 'm'));
    expect(String(line?.reason).length).toBeLessThan(520);
  });
});

describe('an error', () => {
  test('shows type, code, message and stack, and none of its other properties', () => {
    const error = Object.assign(new Error(`bad token ${jwt}`), {
      code: 'E_X',
      request: { token: 'secret' },
      parameters: ['secret'],
    });
    const [line] = lines((log) => log.error({ err: error }, 'fault'));
    expect(line?.err).toMatchObject({ type: 'Error', code: 'E_X', message: 'bad token [redacted]' });
    expect(JSON.stringify(line)).not.toContain('secret');
    expect(JSON.stringify(line)).not.toContain(jwt.slice(20, 60));
  });

  test('given alone gets the same shape', () => {
    const [line] = lines((log) => log.error(Object.assign(new Error('boom'), { request: 'secret' })));
    expect(line?.err).toMatchObject({ type: 'Error', message: 'boom' });
    expect(JSON.stringify(line)).not.toContain('secret');
  });
});

describe('a credential in a place where none should be', () => {
  test.each([
    [
      'a field',
      (log: ReturnType<typeof createLog>, secret: string) => log.info({ reason: `x ${secret} y` }, 'm'),
    ],
    [
      'the message',
      (log: ReturnType<typeof createLog>, secret: string) => log.info({ event: 'x' }, `saw ${secret}`),
    ],
    ['a format argument', (log: ReturnType<typeof createLog>, secret: string) => log.info('saw %s', secret)],
    [
      'a field of a child',
      (log: ReturnType<typeof createLog>, secret: string) => log.child({ actor: secret }).info('m'),
    ],
    [
      'a child of a child',
      (log: ReturnType<typeof createLog>, secret: string) =>
        log.child({}).child({ cookie: secret }).info('m'),
    ],
    [
      'the name of a field',
      (log: ReturnType<typeof createLog>, secret: string) => log.info({ [secret]: 1 }, 'm'),
    ],
  ])('is taken out of %s', (_, act) => {
    for (const secret of [jwt, hex, `0x${hex}`, `csr_${'a1B2'.repeat(8)}`]) {
      expect(JSON.stringify(lines((log) => act(log, secret)))).not.toContain(secret.slice(4, 40));
    }
  });

  test('is taken out of addresses', () => {
    expect(scrub('GET /v1/user/login?addr=0x1&signature=0x2 HTTP/1.1')).toBe('GET /v1/user/login HTTP/1.1');
    expect(scrub('postgres://user:pass@db/x')).toBe('postgres://db/x');
    expect(scrub('Authorization: Bearer abc.def')).toBe('Authorization: [redacted]');
  });
});

test('lines below the level are not written', () => {
  expect(lines((log) => log.debug({ event: 'x' }, 'm'), 'info')).toEqual([]);
});
