import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ADDRESS, GOOD_REFRESH, type OpenDoor, openDoor } from './door.ts';

let open: OpenDoor;
beforeAll(async () => {
  open = await openDoor();
});
afterAll(() => open.close());

const encoded = new URLSearchParams({ addr: ADDRESS, name: 'ada l', chainId: '0x88BB0' }).toString();
const json = JSON.stringify({ addr: ADDRESS, name: 'ada l', chainId: 560048 });
const JSON_TYPE = { 'content-type': 'application/json' };

const ways = [
  ['query, empty body labelled JSON (python-ethgas)', `?${encoded}`, JSON_TYPE, ''],
  ['query, no body, no label (commit-boost)', `?${encoded}`, {}, undefined],
  ['form (S2-Python, S2-JS)', '', { 'content-type': 'application/x-www-form-urlencoded' }, encoded],
  ['form labelled JSON (python-ethgas refresh)', '', JSON_TYPE, encoded],
  ['form without a label', '', {}, encoded],
  ['JSON', '', JSON_TYPE, json],
  ['JSON with white space, labelled text', '', { 'content-type': 'text/plain' }, ` \n${json}`],
  ['JSON under a label that is no media type', '', { 'content-type': ';;' }, json],
  ['body over query', '?addr=nonsense&name=other&chainId=1', JSON_TYPE, json],
] as const;

describe.each(['/v1', '/api/v1'])('login under %s', (prefix) => {
  it.each(ways)('reads %s', async (_title, query, headers, body) => {
    open.calls.length = 0;
    const answer = await open.ask({
      path: `${prefix}/user/login${query}`,
      headers,
      ...(body === undefined ? {} : { body }),
    });
    expect(answer.status).toBe(200);
    expect(answer.json).toEqual({
      success: true,
      data: { status: 'verify', eip712Message: '{"primaryType":"data"}', nonceHash: '52a90c73' },
    });
    expect(open.calls).toEqual([
      ['begin', { addr: ADDRESS, name: 'ada l', chainId: 560048, source: '127.0.0.1' }],
    ]);
  });

  it('answers with a trailing slash too', async () => {
    expect((await open.ask({ path: `${prefix}/user/login/?${encoded}` })).status).toBe(200);
  });
});

it.each([
  ['broken JSON', '/v1/user/login', '{"addr":'],
  ['a JSON array', '/v1/user/login', '[]'],
  ['bytes that are not UTF-8', '/v1/user/login', Buffer.from([0x61, 0x3d, 0xff])],
  ['a broken escape in the form', '/v1/user/login', 'addr=%zz'],
  ['a broken escape in the query', '/v1/user/login?addr=%zz', ''],
  ['an escape that is not UTF-8', '/v1/user/login?addr=%ff', ''],
  ['a broken escape in the path', '/v1/user/%zz', ''],
  ['no address', '/v1/user/login', ''],
  ['an address that is too short', '/v1/user/login?addr=0x12', ''],
  ['an address given twice', `/v1/user/login?addr=${ADDRESS}&addr=${ADDRESS}`, ''],
  ['a nested address', '/v1/user/login', '{"addr":{"a":1}}'],
  ['a chain id that is no number', `/v1/user/login?addr=${ADDRESS}&chainId=1e3`, ''],
  ['a profile nobody knows', `/v1/user/login?addr=${ADDRESS}&profile=x`, ''],
  [
    'a nonce that is a JSON number',
    '/v1/user/login/verify',
    `{"addr":"${ADDRESS}","nonceHash":12345678,"signature":"0x"}`,
  ],
  ['more than 256 parameters', `/v1/user/login?${'a=1&'.repeat(257)}`, ''],
])('refuses %s with 400 in the one error body', async (_title, path, body) => {
  const answer = await open.ask({ path, body });
  expect(answer.status).toBe(400);
  expect(Object.keys(answer.json)).toEqual(['success', 'errorCode', 'errorMsgKey', 'message', 'data']);
  expect(answer.json).toMatchObject({
    success: false,
    errorCode: 1001,
    errorMsgKey: 'error.request.invalid',
    data: {},
  });
});

it('does not let a body reach the prototype of parameters', async () => {
  const answer = await open.ask({ path: '/v1/user/login', body: `{"__proto__":{"addr":"${ADDRESS}"}}` });
  expect(answer.status).toBe(400);
});

it('tolerates a GET with a JSON body', async () => {
  const answer = await open.ask({
    method: 'GET',
    path: '/v1/user/info',
    headers: { authorization: 'Bearer good.access.token', ...JSON_TYPE, 'content-length': '2' },
    body: '{}',
  });
  expect(answer.status).toBe(200);
});

it('refuses a body above 64 KiB with 413, announced or not', async () => {
  const body = `refreshToken=${'x'.repeat(65_536)}`;
  for (const headers of [{ 'content-length': String(body.length) }, { 'transfer-encoding': 'chunked' }]) {
    const answer = await open.ask({ path: '/v1/user/login/refresh', headers, body });
    expect(answer.status).toBe(413);
    expect(answer.json.errorMsgKey).toBe('error.request.tooLarge');
  }
  const fits = await open.ask({
    path: `/v1/user/login/refresh`,
    body: `refreshToken=${GOOD_REFRESH}&pad=${'x'.repeat(65_000)}`,
  });
  expect(fits.status).toBe(200);
});
