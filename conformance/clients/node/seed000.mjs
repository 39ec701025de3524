/** The JavaScript class of the WebSocket authentication page, unmodified; `ws` gives it its WebSocket. */

import { Wallet } from 'ethers';
import WebSocket from 'ws';
import { call, logIn } from './rest.mjs';
import { readSeed, runProgram, substitute } from './seed-program.mjs';
import { disorder, PRIVATE, PUBLIC } from './socket.mjs';
import { env, expect, sleep, step, until } from './steps.mjs';

const wallet = new Wallet(env.privateKey);
const sign = ({ domain, types: { EIP712Domain: _domain, ...types }, message }) =>
  wallet.signTypedData(domain, types, message);

/** What the program prints is all that it lets its user see. */
const received = [];
const printed = [];
const console = {
  log: (word, data) =>
    word === 'Received:' ? received.push({ ...data, at: Date.now() }) : printed.push(word),
  error: (word) => printed.push(word),
};
const events = () => received.filter((message) => message.e === PRIVATE);
const logins = () => received.filter((message) => message.cmd === 'login');
const expiries = () => received.filter((message) => message.cmd === 'token_expired');

let session;
let client;
/** The program gives no way to follow its token: this reads the one it holds. */
const expiryOf = (token) => {
  const text = typeof token === 'string' ? token : token.token;
  return JSON.parse(Buffer.from(text.split('.')[1], 'base64url')).exp * 1000;
};
const patience = () => expiryOf(client.accessToken) - Date.now() + 3000;

await step('login', async () => {
  session = await logIn(sign);
});
await step('ws_login_cmd_data', async () => {
  const fence = /```javascript\n(class ETHGasWebSocket[\s\S]*?)```/.exec(readSeed('000'));
  expect(fence, 'the page has no class ETHGasWebSocket');
  const program = substitute(fence[1], {
    'wss://ws.ethgas.com': new URL(env.websocket).origin,
    'https://api.ethgas.com': env.rest,
    your_refresh_token: session.refreshToken,
    your_access_token: session.token,
  });
  const evaluate = runProgram(program, { WebSocket, fetch, console, setTimeout, JSON });
  client = evaluate('client');
  const answer = await until('login answer', 5000, () => logins()[0]);
  expect(answer.status === 'success', JSON.stringify(answer));
  expect(answer.data.permissions.includes('account_updates'), 'no permission account_updates');
});
await step('private_event', async () => {
  const subscribe = (channel, marketType) =>
    client.ws.send(JSON.stringify({ cmd: 'subscribe', args: { channel, marketType } }));
  subscribe(PUBLIC, 'inclusionPreconf');
  subscribe(PRIVATE, 'inclusionPreconf');
  subscribe(PRIVATE, 'wholeBlock');
  const event = await until('private event', 9000, () => events()[0]);
  expect(event.data.C === session.userId, `an event of user ${event.data.C}`);
  return `${event.s} on ${event.key}`;
});
for (const round of [1, 2, 3]) {
  await step(`relogin_in_place_${round}`, async () => {
    const before = logins().length;
    await until('token_expired', patience(), () => expiries().length >= round);
    const answer = await until('login answer', 5000, () => logins()[before]);
    expect(answer.status === 'success', JSON.stringify(answer));
    expect(typeof client.accessToken === 'object', 'the client holds the token as the refresh answered it');
    return 'refreshed with the same refresh token';
  });
}
await step('no_hole', async () => {
  const count = events().length;
  await until('private event', 9000, () => events().length > count);
  const wrong = disorder(events());
  expect(wrong === null, wrong);
  expect(!printed.some((line) => String(line).startsWith('Reconnecting')), 'the socket was cut');
  return `${events().length} events over ${expiries().length} expiries`;
});
await step('logout_ends_private', async () => {
  // Its reconnection would never stop: as its user would, tell it that this end is meant.
  client.maxReconnectAttempts = 0;
  const { status } = await call('POST', '/v1/user/logout', { bearer: client.accessToken.token });
  const at = Date.now();
  expect(status === 200, `logout answered ${status}`);
  await sleep(2500);
  const late = events().filter((event) => event.at > at + 250);
  expect(late.length === 0, `${late.length} private events after logout`);
});
process.exit(0);
