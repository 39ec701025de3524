/**
 * R76: at the most talkative log level, with a unique value in every place where a secret may stand, none of them
 * turns up in the log, the metrics or what operators are shown.
 */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ConfigInput, createLog } from '../../../gateway/src/index.ts';
import { postForm, startTestGateway, type TestGateway } from '../../../testkit/src/index.ts';
import { type Client, closeAll, connectTo, logInOn } from './socket.ts';

const lines: string[] = [];
/** What must be found nowhere, by where it was planted. */
const secrets = new Map<string, string>();
let gateway: TestGateway;
let planted = 0;

/** A value that stands nowhere else, in the shape of what belongs there. */
function canary(where: string, shape: 'word' | 'jwt' | 'hex' | 'prefixed' = 'word'): string {
  planted += 1;
  const word = `Canary${planted}x${Math.random().toString(36).slice(2, 12).padEnd(10, 'q')}`;
  const hex = Buffer.from(word).toString('hex');
  const value = {
    word,
    jwt: `eyJhbGciOiJFUzI1NiJ9.${Buffer.from(`{"jti":"${word}"}`).toString('base64url')}.${word}${word}`,
    hex: hex.padEnd(130, hex),
    prefixed: `gwr_${word}${word}`,
  }[shape];
  secrets.set(`${where} (${shape})`, value);
  return value;
}

/** Real ones: whole, and the parts that would be enough. */
function real(where: string, token: string): string {
  secrets.set(where, token);
  if (token.split('.').length === 3) secrets.set(`${where}: its signature`, token.split('.')[2] ?? '');
  return token;
}

const config: ConfigInput = { logLevel: 'trace', tokens: { accessTtl: 2, leeway: 0 } };

beforeAll(async () => {
  gateway = await startTestGateway(config, {
    log: createLog({ level: 'trace', destination: { write: (line) => lines.push(line) } }),
  });
});
afterAll(async () => {
  closeAll();
  await gateway.close();
});

const header = (name: string, value: string) => `${name}: ${value}\r\n`;

/** Canaries in every header that could carry a credential, and in one that nobody knows. */
function headers(where: string): string {
  return (
    header('Authorization', `Bearer ${canary(`${where} bearer`, 'jwt')}`) +
    header(
      'Cookie',
      `x_auth_refresh_token=${canary(`${where} cookie`, 'jwt')}; refreshToken=${canary(`${where} cookie`)}`,
    ) +
    header('X-Auth-Token', canary(`${where} header`, 'prefixed')) +
    header('X-Unknown', canary(`${where} unknown header`)) +
    header('Referer', `https://app.example/?token=${canary(`${where} referer`)}`)
  );
}

async function rest(): Promise<{ access: string; userId: number }> {
  const { http } = gateway;
  const session = await gateway.logIn(0);
  const access = real('access token', session.accessToken);
  real('refresh token', session.refreshToken);
  real('login signature', session.signature.replace(/^0x/, ''));
  real('login nonce', session.nonce);

  for (const path of [
    '/v1/user/login',
    '/v1/user/login/verify',
    '/v1/user/login/refresh',
    '/v1/user/logout',
  ]) {
    const fields = Object.fromEntries(
      ['addr', 'nonceHash', 'signature', 'refreshToken', 'accessToken', 'password', 'displayName'].map(
        (name) => [
          name,
          canary(`${path} ${name}`, name === 'signature' ? 'hex' : name.endsWith('Token') ? 'jwt' : 'word'),
        ],
      ),
    );
    await postForm(http, path, fields, headers(path));
    await http.request(
      'POST',
      path,
      `${headers(path)}Content-Type: application/json\r\n`,
      JSON.stringify(fields),
    );
    await http.request('POST', `${path}?${new URLSearchParams(fields)}`, headers(path));
    await http.request(
      'POST',
      path,
      `${headers(path)}Content-Type: application/json\r\n`,
      `{"refreshToken":"${canary(`${path} broken body`)}`,
    );
  }
  for (const path of [
    '/v1/user/info',
    '/v1/user/keys',
    '/v1/p/token',
    '/api/v3/brokerage/accounts',
    '/nowhere',
  ]) {
    await http.request(
      'GET',
      `${path}?token=${canary(`${path} query`, 'jwt')}&key=${canary(`${path} query`)}`,
      headers(path),
    );
  }
  // Real ones in all the places that clients put them.
  const first = await postForm(http, '/v1/user/login/refresh', { refreshToken: session.refreshToken });
  const second = real('second refresh token', JSON.parse(first.body).data.refreshToken);
  real('second access token', JSON.parse(first.body).data.accessToken.token);
  const next = await http.request('POST', `/v1/user/login/refresh?refreshToken=${second}`);
  const third = real('third refresh token', JSON.parse(next.body).data.refreshToken);
  const last = await http.request(
    'POST',
    '/v1/user/login/refresh',
    header('Cookie', `refreshToken=${third}`),
  );
  real('fourth refresh token', JSON.parse(last.body).data.refreshToken);
  await http.request('GET', '/v1/user/info', header('Authorization', `Bearer ${access}`));
  await http.request(
    'GET',
    `/v1/user/info?access_token=${access}`,
    header('Authorization', `Bearer ${access}x`),
  );
  const made = await http.request(
    'POST',
    '/v1/user/keys',
    `Content-Type: application/json\r\n${header('Authorization', `Bearer ${access}`)}`,
    JSON.stringify({ name: 'a key', scopes: ['view'] }),
  );
  const text = JSON.stringify(JSON.parse(made.body).data ?? {});
  const privateKey = /"privateKey":"([^"]+)"/.exec(text)?.[1]?.replaceAll('\\n', '');
  if (privateKey !== undefined) real('private key', privateKey.slice(40, 90));
  return { access, userId: session.userId };
}

async function sockets(access: string): Promise<void> {
  const { websocket } = gateway.urls;
  await connectTo(websocket, { headers: { authorization: `Bearer ${canary('upgrade', 'jwt')}` } }).catch(
    () => {},
  );
  await connectTo(`${websocket}?token=${canary('upgrade query')}`, {
    headers: {
      authorization: `Basic ${canary('upgrade basic')}`,
      cookie: `refreshToken=${canary('upgrade cookie')}`,
    },
  });
  await connectTo(`${websocket}/${canary('upgrade path')}`).catch(() => {});
  await connectTo(websocket, {
    headers: { origin: `https://${canary('upgrade origin').toLowerCase()}.example` },
  }).catch(() => {});
  const client: Client = await connectTo(websocket, { headers: { authorization: `Bearer ${access}` } });
  for (const shape of ['jwt', 'prefixed', 'word'] as const)
    await logInOn(client, canary('login', shape), shape);
  await logInOn(client, access, 'good');
  const frames: object[] = [
    { op: 'login', args: [{ accessToken: { token: canary('object login', 'jwt') } }] },
    { op: 'login', args: [{ password: canary('login by password') }], id: canary('id') },
    { op: canary('op'), args: [{ accessToken: canary('unknown op', 'jwt') }] },
    { op: 'subscribe', args: [{ channel: canary('channel'), signature: canary('subscribe', 'hex') }] },
    { op: 'query', args: [{ queryType: 'openOrders', token: canary('query', 'jwt') }] },
  ];
  for (const frame of frames) client.send(frame);
  client.send(`{"op":"login","args":[{"accessToken":"${canary('broken frame', 'jwt')}`);
  client.send(Buffer.from(canary('binary frame')));
  const bot = await connectTo(websocket);
  bot.send({ type: 'subscribe', channel: 'user', jwt: canary('jwt', 'jwt') });
  bot.send({ type: 'subscribe', channel: 'user', signature: canary('hmac', 'hex'), key: canary('hmac key') });
  await bot.hear(() => bot.heard.length >= 2);
  // Past its end, so that the expiry is logged as well, if it is.
  await client.hear(({ event }) => event === 'token_expired', 'token_expired');
  await logInOn(client, access, 'stale');
}

async function inside(userId: number): Promise<string[]> {
  for (const area of ['admin', 'backend'] as const) {
    real(`${area} token`, readFileSync(gateway.gateway.credentials[area].tokenFile, 'utf8').trim());
  }
  const shown: string[] = [];
  for (const path of [
    `/admin/v1/users?x=${canary('admin query')}`,
    '/backend/v1/principals',
    '/metrics',
    '/health',
    '/nowhere',
  ]) {
    const answer = await fetch(gateway.urls.internal + path, {
      headers: {
        authorization: `Bearer ${canary(`${path} bearer`, 'prefixed')}`,
        cookie: `a=${canary(`${path} cookie`)}`,
      },
    });
    shown.push(await answer.text());
  }
  for (const path of [
    '/users',
    `/users/${userId}`,
    `/users/${userId}/sessions`,
    `/users/${userId}/keys`,
    '/connections',
    '/audit',
    '/changes/position',
  ]) {
    shown.push(JSON.stringify((await gateway.adminFetch(path)).body));
  }
  shown.push(JSON.stringify((await gateway.backendFetch('/principals')).body));
  await gateway.adminFetch(`/users/${userId}`, { status: 1, secret: canary('admin body') }, 'PATCH');
  return shown;
}

test('no planted value and no real secret is logged, counted or shown', async () => {
  const { access, userId } = await rest();
  await sockets(access);
  const shown = await inside(userId);
  await gateway.http.request('POST', '/v1/user/logout', header('Authorization', `Bearer ${access}`));
  await gateway.close();

  const texts: [string, string][] = [
    ['the log', lines.join('')],
    ...shown.map((text, index): [string, string] => [`answer ${index}`, text]),
  ];
  const found = [...secrets].flatMap(([where, secret]) =>
    texts.filter(([, text]) => text.includes(secret)).map(([place]) => `${where} in ${place}`),
  );
  expect(found).toEqual([]);
  // A silent log would prove nothing.
  expect(lines.length).toBeGreaterThan(25);
  expect(lines.some((line) => line.includes('connection.refused'))).toBe(true);
  expect(secrets.size).toBeGreaterThan(120);
  console.info(`${secrets.size} secrets, ${lines.length} log lines, ${shown.length} answers: 0 hits`);
});
