/** The wallet login of seed 001, spoken over plain HTTP as a foreign client would. */
import type { Answer, HttpClient } from './http-client.ts';
import type { LoadWallet } from './wallet.ts';

export interface LoggedIn {
  status: number;
  nonce: string;
  signature: string;
  accessToken: string;
  refreshToken: string;
}

const FORM = 'Content-Type: application/x-www-form-urlencoded\r\n';

/** Sends a form, as most of the seeds' clients do. */
export function postForm(
  client: HttpClient,
  path: string,
  fields: Record<string, string>,
  headers = '',
): Promise<Answer> {
  return client.request('POST', path, FORM + headers, new URLSearchParams(fields).toString());
}

/** One whole login: ask, sign, verify. @throws Error if the gateway refuses to issue a login message */
export async function logIn(client: HttpClient, wallet: LoadWallet, chainId = 1): Promise<LoggedIn> {
  const asked = await postForm(client, '/v1/user/login', { addr: wallet.address, chainId: String(chainId) });
  if (asked.status !== 200) throw new Error(`login answered ${asked.status}: ${asked.body}`);
  const nonce = (JSON.parse(asked.body) as { data: { nonceHash: string } }).data.nonceHash;
  const signature = wallet.signLogin(nonce, chainId);
  const verified = await postForm(client, '/v1/user/login/verify', {
    addr: wallet.address,
    nonceHash: nonce,
    signature,
  });
  if (verified.status !== 200)
    return { status: verified.status, nonce, signature, accessToken: '', refreshToken: '' };
  const { data } = JSON.parse(verified.body) as {
    data: { accessToken: { token: string }; refreshToken: string };
  };
  return {
    status: 200,
    nonce,
    signature,
    accessToken: data.accessToken.token,
    refreshToken: data.refreshToken,
  };
}
