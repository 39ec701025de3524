import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { Refusal } from '@countersign/protocol';
import { expect, it } from 'vitest';
import { createFakeClock } from '../../../testkit/src/fake-clock.ts';
import type { Peer, Proof } from '../../src/connection/services.ts';
import { createHandshakeCheck, hasTokenInQuery } from '../../src/doors/socketio/handshake.ts';
import { createFailureLimiter } from '../../src/session/failure-limiter.ts';

const asked = (url: string) => ({ url }) as IncomingMessage;
const peer = (source: string): Peer => ({ id: 'c', door: 'socketio', address: source, source, since: 0 });
const proof = {} as Proof;

it('an address that fails with ever new tokens is told to wait, and good tokens from it are let in all the same', async () => {
  const clock = createFakeClock();
  let verified = 0;
  const check = createHandshakeCheck({
    verify(token) {
      verified += 1;
      if (token === 'good') return proof;
      throw new Refusal('unauthorized', 'test');
    },
    failures: createFailureLimiter({ clock, capacity: 3, refillPerSecond: 1 }),
    repeats: createFailureLimiter({ clock, capacity: 2, refillPerSecond: 0.1 }),
  });
  const show = (token: string, source = 'a') =>
    check(asked('/socket.io/'), { token }, peer(source)).then(
      () => 'in',
      ({ code }: Refusal) => code,
    );
  const codes: string[] = [];
  for (let i = 0; i < 5; i += 1) codes.push(await show(randomBytes(9).toString('hex')));
  expect(codes).toEqual([...Array(3).fill('unauthorized'), 'rate_limited', 'rate_limited']);
  expect(await show('good')).toBe('in');
  expect(await show('bad', 'b')).toBe('unauthorized');
  clock.advance(60_000);
  for (let i = 0; i < 2; i += 1) await show('same');
  const before = verified;
  expect(await show('same')).toBe('rate_limited');
  expect(verified).toBe(before);
  clock.advance(10_000);
  expect(await show('same')).toBe('unauthorized');
});

it('a failure of ours is not counted against anybody', async () => {
  const clock = createFakeClock();
  const check = createHandshakeCheck({
    verify() {
      throw new Refusal('unavailable', 'test');
    },
    failures: createFailureLimiter({ clock, capacity: 1 }),
    repeats: createFailureLimiter({ clock, capacity: 1 }),
  });
  for (let i = 0; i < 3; i += 1) {
    await expect(check(asked('/'), { token: 't' }, peer('a'))).rejects.toMatchObject({ code: 'unavailable' });
  }
});

it.each([
  ['', false],
  ['?EIO=4&transport=websocket&t=abc&sid=eaf', false],
  ['?EIO=4&limits=true&version=1', false],
  ['?token=x', true],
  ['?accessToken=x', true],
  ['?Authorization=x', true],
  ['?a=cst_abc', true],
  ['?a=eyJhbGciOiJFUzI1NiJ9.e30.x', true],
  ['?a=Bearer%20x', true],
  ['?%74oken=x', true],
])('the address /socket.io/%s has a credential: %s', (query, has) => {
  expect(hasTokenInQuery(asked(`/socket.io/${query}`))).toBe(has);
});
