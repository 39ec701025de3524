/** A session and its sockets, over real ones: expiry, refresh, logout, revocation, and what an operator does. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { postForm, startTestGateway, type TestGateway } from '../../../testkit/src/index.ts';
import { type Client, closeAll, connectTo, logInOn, subscribeOn, until } from './socket.ts';

const TTL = 2;
const LEEWAY = 1;
const PRIVATE = { channel: 'accountOrderUpdate', marketType: 'inclusionPreconf' };
const PUBLIC = { channel: 'recentTradeUpdate', marketType: 'inclusionPreconf' };

let gateway: TestGateway;
let patient: TestGateway;

beforeAll(async () => {
  gateway = await startTestGateway({ tokens: { accessTtl: TTL, leeway: LEEWAY } });
  patient = await startTestGateway();
});
afterAll(async () => {
  closeAll();
  await gateway.close();
  await patient.close();
});

const order = (of: TestGateway, userId: number, n: number) =>
  of.sendEvent(userId, {
    channel: 'accountOrderUpdate',
    key: 'inclusionPreconf',
    accountId: undefined,
    data: { n },
  });
const trade = (of: TestGateway, n: number) =>
  of.publish({ channel: 'recentTradeUpdate', key: 'inclusionPreconf', data: { n } });
/** What came over a channel, once per account: the numbers that were published. */
const numbers = (client: Client, channel: string): number[] => [
  ...new Set(client.heard.filter(({ e }) => e === channel).map(({ P }) => P.n as number)),
];

async function signedIn(of: TestGateway, wallet: number) {
  const session = await of.logIn(wallet);
  const client = await connectTo(of.urls.websocket);
  await logInOn(client, session.accessToken);
  await subscribeOn(client, PRIVATE, 'private');
  await subscribeOn(client, PUBLIC, 'public');
  return { ...session, client };
}

const bearer = (token: string) => `Authorization: Bearer ${token}\r\n`;

async function accountsOf(of: TestGateway, token: string): Promise<number[]> {
  const answer = await of.http.request('GET', '/v1/user/info', bearer(token));
  return JSON.parse(answer.body).data.user.accounts.map(({ accountId }: { accountId: number }) => accountId);
}

describe('a token that expires', () => {
  test('is told of, stops what is private in time, leaves what is public, and a login makes up for it', async () => {
    const { client, userId, accessToken } = await signedIn(gateway, 0);
    const { exp } = JSON.parse(Buffer.from(accessToken.split('.')[1] ?? '', 'base64url').toString());
    await order(gateway, userId, 1);
    const told = await client.hear(({ event }) => event === 'token_expired', 'token_expired');
    expect(told.hint).toContain('login');
    expect(Date.now()).toBeGreaterThanOrEqual(exp * 1000);
    expect(Date.now()).toBeLessThan(exp * 1000 + 1000);
    // In the leeway it still flows; one second after it (R49) it does not.
    await order(gateway, userId, 2);
    await client.hear(({ P }) => P?.n === 2);
    await until(() => Date.now() > (exp + LEEWAY + 1) * 1000, 'the end of the leeway');
    await order(gateway, userId, 3);
    await trade(gateway, 100);
    await client.hear(({ P }) => P?.n === 100, 'the public trade');
    expect(numbers(client, 'accountOrderUpdate')).toEqual([1, 2]);
    client.send({ op: 'subscribe', args: [{ ...PRIVATE, marketType: 'wholeBlock' }], id: 'too late' });
    expect(await client.hear(({ id }) => id === 'too late')).toMatchObject({ event: 'error', code: 1000 });
    client.send({ op: 'login', args: [{ accessToken }], id: 'stale' });
    expect(await client.hear(({ id }) => id === 'stale')).toMatchObject({ event: 'error' });

    const again = await gateway.logIn(0);
    await logInOn(client, again.accessToken, 'again');
    await order(gateway, userId, 4);
    await client.hear(({ P }) => P?.n === 4);
    expect(numbers(client, 'accountOrderUpdate')).toEqual([1, 2, 3, 4]);
    const [account] = await accountsOf(gateway, again.accessToken);
    const sequences = client.heard
      .filter(({ e, key }) => e === 'accountOrderUpdate' && key.endsWith(`/${account}`))
      .map(({ sequence }) => sequence);
    expect(sequences).toEqual([1, 2, 3, 4]);
    client.close();
  });

  test('is outlived by a socket whose session is refreshed over REST, without a word', async () => {
    const { client, userId, refreshToken } = await signedIn(gateway, 1);
    const started = Date.now();
    let token = refreshToken;
    for (let n = 1; Date.now() < started + (TTL + LEEWAY + 2) * 1000; n += 1) {
      const answer = await postForm(gateway.http, '/v1/user/login/refresh', { refreshToken: token });
      token = JSON.parse(answer.body).data.refreshToken;
      await order(gateway, userId, n);
      await client.hear(({ P }) => P?.n === n);
      const refreshed = Date.now();
      await until(() => Date.now() > refreshed + (TTL * 1000) / 2, 'the middle of the life of the token');
    }
    expect(client.heard.filter(({ event }) => event === 'token_expired')).toEqual([]);
    client.close();
  });
});

describe('access that is ended', () => {
  test('by a logout over REST closes the sockets of that session with 4000 at once, and no others', async () => {
    const one = await signedIn(patient, 2);
    const other = await signedIn(patient, 2);
    const started = performance.now();
    await patient.http.request('POST', '/v1/user/logout', bearer(one.accessToken));
    const end = await one.client.closed;
    expect(end.code).toBe(4000);
    expect(end.at - started).toBeLessThan(2000);
    await order(patient, one.userId, 1);
    await other.client.hear(({ P }) => P?.n === 1);
    expect(numbers(one.client, 'accountOrderUpdate')).toEqual([]);
    other.client.close();
  });

  test('by a logout on the socket stops what is private and keeps the socket', async () => {
    const { client, userId } = await signedIn(patient, 3);
    client.send({ op: 'logout', id: 'bye' });
    await client.hear(({ id }) => id === 'bye');
    await order(patient, userId, 1);
    await trade(patient, 7);
    await client.hear(({ P }) => P?.n === 7);
    expect(numbers(client, 'accountOrderUpdate')).toEqual([]);
    client.close();
  });

  test('by suspending the user closes every socket of theirs, and nothing of theirs is accepted', async () => {
    const one = await signedIn(patient, 4);
    const two = await signedIn(patient, 4);
    const bystander = await signedIn(patient, 5);
    const patched = await patient.adminFetch(`/users/${one.userId}`, { status: 2 }, 'PATCH');
    expect(patched.status).toBe(200);
    expect((await Promise.all([one.client.closed, two.client.closed])).map(({ code }) => code)).toEqual([
      4000, 4000,
    ]);
    const client = await connectTo(patient.urls.websocket);
    expect(await logInOn(client, two.accessToken)).toMatchObject({ event: 'error', code: 1000 });
    await order(patient, bystander.userId, 1);
    await bystander.client.hear(({ P }) => P?.n === 1);
    client.close();
    bystander.client.close();
  });

  test('by taking away the permission stops the streams with a word within 2 s; the socket and the rest go on', async () => {
    const { client, userId } = await signedIn(patient, 6);
    await order(patient, userId, 1);
    await client.hear(({ P }) => P?.n === 1);
    const started = performance.now();
    await patient.adminFetch(`/users/${userId}`, { permissions: ['market_data'] }, 'PATCH');
    const told = await client.hear(({ event }) => event === 'error');
    expect(performance.now() - started).toBeLessThan(2000);
    expect(told).toMatchObject({ code: 2, arg: PRIVATE });
    await order(patient, userId, 2);
    await trade(patient, 8);
    await client.hear(({ P }) => P?.n === 8);
    expect(numbers(client, 'accountOrderUpdate')).toEqual([1]);
    expect(await subscribeOn(client, PRIVATE, 'again')).toMatchObject({ event: 'error', code: 2 });
    client.close();
  });

  test('is not gone around by another login: the socket belongs to its first user', async () => {
    const { client, userId } = await signedIn(patient, 7);
    const other = await patient.logIn(8);
    expect(await logInOn(client, other.accessToken, 'other')).toMatchObject({ event: 'error', code: 2 });
    await order(patient, other.userId, 1);
    await order(patient, userId, 2);
    await client.hear(({ P }) => P?.n === 2);
    expect(numbers(client, 'accountOrderUpdate')).toEqual([2]);
    client.close();
  });
});
