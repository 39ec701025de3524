/** R46 in small: one revocation among many sockets reaches exactly those that it concerns. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestGateway, type TestGateway } from '../../../testkit/src/index.ts';
import { type Client, closeAll, connectTo, logInOn, subscribeOn } from './socket.ts';

const SESSIONS = 4;
const SOCKETS = 200;

let gateway: TestGateway;

beforeAll(async () => {
  gateway = await startTestGateway();
});
afterAll(async () => {
  closeAll();
  await gateway.close();
});

test(`of ${SOCKETS} sockets of one user, those of the revoked session are closed and the others go on`, async () => {
  const sessions = [];
  for (let n = 0; n < SESSIONS; n += 1) sessions.push(await gateway.logIn(0));
  const clients = new Map<Client, string>();
  for (let n = 0; n < SOCKETS; n += 1) {
    const session = sessions[n % SESSIONS];
    if (session === undefined) throw new Error('no session');
    // Half of them brought their token along, half logged in.
    const headers = n % 8 < 4 ? { authorization: `Bearer ${session.accessToken}` } : {};
    const client = await connectTo(gateway.urls.websocket, { headers });
    if (n % 8 >= 4) await logInOn(client, session.accessToken);
    await subscribeOn(client, { channel: 'accountOrderUpdate', marketType: 'wholeBlock' }, 1);
    clients.set(client, session.sid);
  }
  const [revoker, victim] = sessions;
  if (revoker === undefined || victim === undefined) throw new Error('no session');
  const concerned = [...clients].filter(([, sid]) => sid === victim.sid).map(([client]) => client);
  const others = [...clients].filter(([, sid]) => sid !== victim.sid).map(([client]) => client);

  const started = performance.now();
  const answer = await gateway.http.request(
    'DELETE',
    `/v1/user/sessions/${victim.sid}`,
    `Authorization: Bearer ${revoker.accessToken}\r\n`,
  );
  expect(answer.status).toBe(200);
  const ends = await Promise.all(concerned.map(({ closed }) => closed));
  expect(ends.map(({ code }) => code)).toEqual(concerned.map(() => 4000));
  const times = ends.map(({ at }) => at - started).sort((a, b) => a - b);
  expect(times.at(-1)).toBeLessThan(2000);

  await gateway.sendEvent(revoker.userId, {
    channel: 'accountOrderUpdate',
    key: 'wholeBlock',
    data: { n: 1 },
  });
  await Promise.all(others.map((client) => client.hear(({ e }) => e === 'accountOrderUpdate')));
  expect(others.every(({ socket }) => socket.readyState === 1)).toBe(true);
  expect(concerned.flatMap(({ heard }) => heard.filter(({ e }) => e === 'accountOrderUpdate'))).toEqual([]);

  const { total } = (await gateway.adminFetch('/connections')).body.data;
  expect(total).toBe(others.length);
  const at = (share: number) =>
    times[Math.min(times.length - 1, Math.floor(times.length * share))]?.toFixed(1);
  console.info(
    `revocation to close, ${times.length} of ${SOCKETS} sockets: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`,
  );
});

test('a user that is signed out everywhere keeps no socket at all', async () => {
  const { userId } = await gateway.logIn(0);
  const before = (await gateway.adminFetch('/connections')).body.data.total;
  expect(before).toBeGreaterThan(100);
  const started = performance.now();
  await gateway.adminFetch(`/users/${userId}/logout`, {});
  const { total } = (await gateway.adminFetch('/connections')).body.data;
  expect(total).toBe(0);
  expect(performance.now() - started).toBeLessThan(2000);
});
