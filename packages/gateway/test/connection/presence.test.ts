import { Refusal } from '@countersign/protocol';
import { beforeEach, expect, it } from 'vitest';
import type { Proof } from '../../src/connection/services.ts';
import type { Credential } from '../../src/session/principal.ts';
import { createKit, type Kit, principalOf, START, settle } from './kit.ts';

const tokens: Record<string, { userId: number; credential: Credential; life: number | null }> = {
  ada: { userId: 1, credential: { kind: 'session', sid: 'a1' }, life: 10_000 },
  later: { userId: 1, credential: { kind: 'session', sid: 'a1' }, life: 60_000 },
  again: { userId: 1, credential: { kind: 'session', sid: 'a2' }, life: 60_000 },
  key: { userId: 1, credential: { kind: 'api-key', keyId: 'k' }, life: null },
};

let kit: Kit;
let presence: Kit['registry']['presence'];
/** `+user:1` when somebody comes, `-user:1` when the last has gone. */
let heard: string[];

beforeEach(() => {
  kit = createKit({
    authenticate: (token): Proof => {
      const known = tokens[token];
      if (known === undefined) throw new Refusal('unauthorized', 'the test says so');
      const { userId, credential, life } = known;
      const expiresAt = life === null ? null : START + life;
      return { principal: principalOf(userId, credential), expiresAt, asOf: kit.applied };
    },
    principal: async (userId, credential) => principalOf(userId, credential),
  });
  heard = [];
  ({ presence } = kit.registry);
  presence.onPresence((kind, subject, present) => heard.push(`${present ? '+' : '-'}${kind}:${subject}`));
});

async function signedIn(token: string) {
  const line = kit.open();
  kit.registry.add(line.connection);
  line.send({ op: 'login', args: [{ accessToken: token }] });
  await settle();
  return line;
}
const news = () => heard.splice(0);

it('a user and a session come with their first connection and go with their last', async () => {
  const first = await signedIn('ada');
  expect(news()).toEqual(['+user:1', '+session:a1']);
  const second = await signedIn('again');
  const third = await signedIn('key');
  expect(news()).toEqual(['+session:a2']);
  first.connection.gone();
  expect(news()).toEqual(['-session:a1']);
  second.connection.gone();
  expect(news()).toEqual(['-session:a2']);
  expect(presence.has('user', '1')).toBe(true);
  third.connection.gone();
  expect(news()).toEqual(['-user:1']);
  expect(presence.has('user', '1')).toBe(false);
});

it('a connection that nobody has signed in on is nobody', async () => {
  kit.open().send({ op: 'subscribe', args: [{ channel: 'ticker' }] });
  await settle();
  expect(news()).toEqual([]);
});

it('a subject goes when the proof expires, though the socket stays, and comes back with a new one', async () => {
  const line = await signedIn('ada');
  news();
  kit.clock.advance(9_900);
  expect(news()).toEqual([]);
  kit.clock.advance(600);
  expect(line.connection.closed).toBe(false);
  expect(news()).toEqual(['-user:1', '-session:a1']);
  line.send({ op: 'login', args: [{ accessToken: 'later' }] });
  await settle();
  expect(news()).toEqual(['+user:1', '+session:a1']);
});

it('a new login of the same user on a socket does not make the user go', async () => {
  const line = await signedIn('ada');
  news();
  line.send({ op: 'login', args: [{ accessToken: 'again' }] });
  await settle();
  expect(news()).toEqual(['+session:a2', '-session:a1']);
});

it('a subject goes when its access ends, and stays while this node cannot confirm access', async () => {
  const line = await signedIn('ada');
  news();
  kit.confirmed = false;
  kit.clock.advance(1_000);
  expect(line.connection.principal).toBeNull();
  expect(news()).toEqual([]);
  kit.confirmed = true;
  kit.clock.advance(1_000);
  await settle();
  line.connection.end();
  expect(news()).toEqual(['-user:1', '-session:a1']);
});
