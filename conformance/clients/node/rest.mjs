/** The REST half of an honest client: fetch, and a wallet library that is given. */
import { env, expect } from './steps.mjs';

/** @param options `form`, `json`, `query`: where the fields go; `bearer`; `cookie` */
export async function call(method, path, { form, json, query, bearer, cookie } = {}) {
  const headers = {};
  if (bearer) headers.authorization = `Bearer ${bearer}`;
  if (cookie) headers.cookie = cookie;
  if (json) headers['content-type'] = 'application/json';
  const response = await fetch(env.rest + path + (query ? `?${new URLSearchParams(query)}` : ''), {
    method,
    headers,
    body: form ? new URLSearchParams(form) : json ? JSON.stringify(json) : undefined,
  });
  return { status: response.status, body: await response.json(), cookies: response.headers.getSetCookie() };
}

/** @param sign typed data in, signature out */
export async function logIn(sign, prefix = '/v1') {
  const { chainId } = env;
  const asked = await call('POST', `${prefix}/user/login`, { form: { addr: env.address, chainId } });
  expect(asked.status === 200, `login answered ${asked.status}`);
  const { eip712Message, nonceHash } = asked.body.data;
  const typed = JSON.parse(eip712Message);
  expect(typed.domain.chainId === chainId, `asked to sign for chain ${typed.domain.chainId}`);
  expect(typed.message.hash === nonceHash, 'the message is not about the nonce');
  const signature = await sign(typed);
  const form = { addr: env.address, nonceHash, signature };
  const verified = await call('POST', `${prefix}/user/login/verify`, { form });
  expect(verified.status === 200, `verify answered ${verified.status}`);
  const { accessToken, user } = verified.body.data;
  const cookie = /^x_auth_refresh_token=([^;"]+)/.exec(verified.cookies[0] ?? '');
  expect(cookie, 'the first cookie is not x_auth_refresh_token');
  return {
    userId: user.userId,
    access: accessToken,
    token: accessToken.token,
    expires: accessToken.data.payload.exp * 1000,
    refreshToken: cookie[1],
  };
}

export async function refresh(refreshToken, how = 'form') {
  const way =
    how === 'cookie' ? { cookie: `x_auth_refresh_token=${refreshToken}` } : { [how]: { refreshToken } };
  const answer = await call('POST', '/v1/user/login/refresh', way);
  expect(answer.status === 200, `refresh answered ${answer.status}`);
  const { token, data } = answer.body.data.accessToken;
  return { token, expires: data.payload.exp * 1000 };
}
