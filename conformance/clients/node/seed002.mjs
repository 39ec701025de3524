/**
 * The JavaScript program of the connection page, unmodified, with axios, qs and ethers v5. The page leaves out
 * three things, which are supplied as its readers have to: the configuration, `delay` and `extractRefreshToken`.
 */
import axios from 'axios';
import { ethers } from 'ethers5';
import qs from 'qs';
import WebSocket from 'ws';
import { readSeed, runProgram } from './seed-program.mjs';
import { PRIVATE } from './socket.mjs';
import { env, expect, sleep, step, until } from './steps.mjs';

const problems = [];
const globals = {
  axios,
  ethers,
  qs,
  config: { exchange: { endpoint: `${env.rest}/api`, chainId: env.chainId } },
  console: { ...console, error: (...words) => problems.push(words.join(' ')) },
  // The program waits a minute after each failure. A failure is one here.
  delay: () => Promise.reject(new Error(problems.at(-1))),
  extractRefreshToken: (response) =>
    /x_auth_refresh_token=([^;]+)/.exec(response.headers['set-cookie']?.join('\n') ?? '')?.[1],
};
let evaluate;
let client;
let first;

const privateCall = () =>
  client.client.get('/v1/user/accounts', { headers: { Authorization: `Bearer ${client.AccessToken}` } });

await step('login', async () => {
  const page = readSeed('002');
  const start = page.indexOf('const ApiClient = {');
  const end = page.indexOf('Repository: ethgas-js');
  expect(start > 0 && end > start, 'the page has no JavaScript program');
  evaluate = runProgram(page.slice(start, end), globals);
  client = evaluate('ApiClient');
  const { accessToken, refreshToken } = await evaluate('login')(env.privateKey);
  expect(accessToken && refreshToken, 'no tokens');
  first = { accessToken, refreshToken };
});
await step('private_call', async () => {
  const { data } = await privateCall();
  expect(data.data.accounts.length > 0, 'no accounts');
});
for (const round of [1, 2, 3]) {
  await step(`refresh_${round}`, async () => {
    const before = client.AccessToken;
    await evaluate('refreshAccessToken')();
    expect(client.AccessToken !== before, 'the same access token again');
    expect(client.RefreshToken === first.refreshToken, 'another refresh token');
    expect((await privateCall()).data.success, 'the new token is refused');
  });
}
await step('private_event', async () => {
  const ws = new WebSocket(env.websocket);
  const messages = [];
  ws.on('message', (data) => messages.push(JSON.parse(data)));
  await new Promise((resolve, reject) => ws.once('open', resolve).once('error', reject));
  ws.send(JSON.stringify({ cmd: 'login', args: { accessToken: client.AccessToken } }));
  for (const marketType of ['inclusionPreconf', 'wholeBlock']) {
    ws.send(JSON.stringify({ cmd: 'subscribe', args: { channel: PRIVATE, marketType } }));
  }
  await until('private event', 9000, () => messages.find((message) => message.cmd === PRIVATE));
  ws.close();
});
await step('expiry', async () => {
  const { exp } = JSON.parse(Buffer.from(client.AccessToken.split('.')[1], 'base64url'));
  await sleep((exp + env.leeway) * 1000 + 1500 - Date.now());
  const refused = await privateCall().catch((error) => error.response);
  expect(refused.status === 401, `an expired token had ${refused.status}`);
  await evaluate('refreshAccessToken')();
  expect((await privateCall()).data.success, 'the new token is refused');
  expect(problems.length === 0, problems[0]);
});
