/** Everything a wallet user does in the life of a bot, once. The wallet library is a parameter. */
import { call, logIn, refresh } from './rest.mjs';
import { disorder, loginOn, openSocket, PRIVATE, subscribePrivate, subscribePublic } from './socket.mjs';
import { env, expect, sleep, step, until } from './steps.mjs';

/** Longest pause between two events that the simulated venue makes for a user, with room for a busy machine. */
const EVENT_PATIENCE = 9000;

export async function run(sign) {
  let session;
  let socket;
  const leeway = env.leeway * 1000;

  await step('login', async () => {
    await logIn(sign, '/api/v1');
    session = await logIn(sign);
    return `user ${session.userId}`;
  });
  await step('private_call', async () => {
    expect((await call('GET', '/v1/user/accounts')).status === 401, 'answered without a token');
    const { status, body } = await call('GET', '/v1/user/accounts', { bearer: session.token });
    expect(status === 200, `answered ${status}`);
    expect(
      body.data.accounts.some((account) => account.type === 2),
      'no trading account',
    );
    return `${body.data.accounts.length} accounts`;
  });
  for (const how of ['form', 'json', 'query', 'cookie']) {
    await step(`refresh_${how}`, async () => {
      const fresh = await refresh(session.refreshToken, how);
      expect((await call('GET', '/v1/user/info', { bearer: fresh.token })).status === 200, 'token refused');
      Object.assign(session, fresh);
    });
  }
  await step('public_before_login', async () => {
    socket = await openSocket();
    subscribePublic(socket);
    await until('public push', 5000, () => socket.pushes > 0);
    const verdict = await subscribePrivate(socket);
    expect(verdict === 401, `private channel without login: ${verdict}`);
  });
  await step('ws_login_cmd_data', async () => {
    const { data } = await loginOn(socket, session.token);
    for (const one of ['market_data', 'account_updates', 'trading']) {
      expect(data.permissions.includes(one), `no permission ${one}`);
    }
  });
  await step('ws_login_cmd_args', () =>
    shortLived(async (one) => void (await loginOn(one, session.token, 'args'))),
  );
  await step('ws_login_object_token', () =>
    shortLived(async (one) => void (await loginOn(one, (await logIn(sign)).access))),
  );
  await step('ws_login_op', () =>
    shortLived(async (one) => {
      one.send({ op: 'login', args: [{ accessToken: session.token }], id: 7 });
      const { event, code, id } = await one.answer('login', (message) => message.id === 7);
      expect(event === 'login' && code === 0, `answer: ${event} ${code} ${id}`);
      one.send('ping');
      await one.answer('ping', (message) => message.pong);
    }),
  );
  await step('ws_login_bearer', () =>
    shortLived(async (one) => {
      expect((await subscribePrivate(one)) === 'allowed', 'not logged in by the header');
    }, session.token),
  );
  await step('ws_login_refused', () =>
    shortLived(async (one) => {
      one.send({ cmd: 'login', data: { accessToken: 'nonsense' } });
      const { error } = await one.answer('login', (message) => message.cmd === 'login');
      expect(error?.code === 401, `answer: ${JSON.stringify(error)}`);
    }),
  );
  await step('ws_logout', () =>
    shortLived(async (one) => {
      await loginOn(one, session.token);
      one.send({ cmd: 'logout' });
      await one.answer('logout', (message) => message.cmd === 'logout');
      expect((await subscribePrivate(one)) !== 'allowed', 'still logged in');
    }),
  );
  await step('private_event', async () => {
    expect((await subscribePrivate(socket)) === 'allowed', 'subscribe refused');
    const event = await until('private event', EVENT_PATIENCE, () => socket.events[0]);
    expect(event.data.C === session.userId, `an event of user ${event.data.C}`);
    return `${event.s} on ${event.key}`;
  });
  await step('token_expired', async () => {
    const at = await until('token_expired', session.expires - Date.now() + 3000, () => socket.expired);
    expect(at >= session.expires - 1000, `${session.expires - at} ms early`);
    const { status } = await call('GET', '/v1/user/info', { bearer: session.token });
    expect(status === 200, `within the leeway REST answered ${status}`);
    return `${at - session.expires} ms after exp`;
  });
  // Another program of the same user stays signed in, so that things go on happening to the account.
  let companion;
  await step('private_stops', async () => {
    companion = await openSocket();
    await loginOn(companion, (await logIn(sign)).token);
    const stop = session.expires + leeway + 1000;
    await sleep(stop - Date.now());
    const pushes = socket.pushes;
    await sleep(3000);
    const late = socket.events.filter((event) => event.at > stop);
    expect(late.length === 0, `${late.length} private events after the end of the leeway`);
    expect(socket.pushes > pushes, 'public pushes stopped too');
    expect(socket.closed === null, `closed with ${socket.closed?.code}`);
    const { status } = await call('GET', '/v1/user/info', { bearer: session.token });
    expect(status === 401, `REST answered ${status}`);
  });
  await step('relogin_in_place', async () => {
    const before = socket.events.length;
    const gap = session.expires + leeway;
    session = await logIn(sign);
    await loginOn(socket, session.token);
    await until('event after the login', EVENT_PATIENCE, () => socket.events.length > before + 1);
    const missed = socket.events
      .slice(before)
      .filter((event) => event.E > gap && event.E < gap + 4000).length;
    expect(missed > 0, 'what happened in between was not sent');
    const wrong = disorder(socket.events);
    expect(wrong === null, wrong);
    companion.close();
    return `${missed} events of the time in between, no hole`;
  });
  await step('refresh_extends_socket', async () => {
    const first = session.expires;
    const expired = socket.expired;
    while (Date.now() < first + leeway + 1500) {
      await sleep(Math.max(0, session.expires - 1200 - Date.now()));
      Object.assign(session, await refresh(session.refreshToken));
    }
    const event = await until('private event', EVENT_PATIENCE, () =>
      socket.events.find(({ at }) => at > first + leeway + 1000),
    );
    expect(socket.expired === expired, 'token_expired in spite of the refresh');
    const wrong = disorder(socket.events);
    expect(wrong === null, wrong);
    return `event ${event.at - first} ms after the exp of the token it logged in with`;
  });
  await step('logout_ends_private', async () => {
    const { token } = await refresh(session.refreshToken);
    const { status, body } = await call('POST', '/v1/user/logout', { bearer: token });
    const at = Date.now();
    expect(status === 200 && body.success, `logout answered ${status}`);
    await sleep(3000);
    const late = socket.events.filter((event) => event.at > at + 250);
    expect(late.length === 0, `${late.length} private events after logout`);
    const after = await call('GET', '/v1/user/info', { bearer: token });
    expect(after.status === 401, `REST after logout: ${after.status}`);
    const form = { refreshToken: session.refreshToken };
    const { status: refused } = await call('POST', '/v1/user/login/refresh', { form });
    expect(refused === 403, `refresh after logout: ${refused}`);
    return `${PRIVATE} ended; socket ${socket.closed ? `closed with ${socket.closed.code}` : 'open'}`;
  });
  socket?.close();
}

async function shortLived(work, bearer) {
  const socket = await openSocket({ bearer });
  try {
    return await work(socket);
  } finally {
    socket.close();
  }
}
