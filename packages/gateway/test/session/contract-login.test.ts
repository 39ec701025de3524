import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { challenge, context, type House, login, openHouse, refusedAs, SOURCE, wallet } from './support.ts';

const MAGIC = `0x1626ba7e${'0'.repeat(56)}`;
const owner = wallet('owner');
const CONTRACT = { ...wallet('contract'), address: `0x${'cc'.repeat(20)}` };

let house: House;
let server: Server;
/** What the contract answers to `isValidSignature`; null cuts the connection. */
let answer: string | null;
let calls: number;

beforeEach(async () => {
  answer = MAGIC;
  calls = 0;
  server = createServer((request, reply) => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      const { method } = JSON.parse(body) as { method: string };
      if (method === 'eth_call') calls += 1;
      if (answer === null) reply.destroy();
      else reply.end(JSON.stringify({ id: 1, result: method === 'eth_chainId' ? '0x1' : answer }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  house = await openHouse({ wallet: { rpc: { 1: `http://127.0.0.1:${port}` } } });
});
afterEach(async () => {
  await house.dispose();
  server.closeAllConnections();
  server.close();
});

async function contractLogin() {
  const { eip712Message, nonceHash } = await challenge(house, CONTRACT);
  return house.walletLogin.complete({
    addr: CONTRACT.address,
    nonceHash,
    // A contract wallet's signature may have any length.
    signature: owner.signTypedData(eip712Message) + 'ab'.repeat(100),
    source: SOURCE,
    userAgent: 'test',
  });
}

describe('a session of a contract wallet', () => {
  it('is opened by what the contract says, and marked', async () => {
    const { session, user, access } = await contractLogin();
    expect(session.wallet).toBe('contract');
    expect(user.address).toBe(CONTRACT.address);
    await house.authenticator.accessToken(access.token);
  });

  it('is refused like any other login when the contract says no or cannot be asked', async () => {
    for (const no of ['0x', null]) {
      answer = no;
      expect(await refusedAs(contractLogin)).toBe('login_refused');
    }
  });

  it('is not needed by a plain account, whose login asks nobody', async () => {
    expect((await login(house, owner)).session.wallet).toBe('eoa');
    expect(calls).toBe(0);
  });

  it('asks the contract about the login again at each refresh, down the family', async () => {
    let current = await contractLogin();
    for (let i = 2; i < 5; i += 1) {
      current = await house.sessions.refresh([current.refresh.token], context);
      expect(calls).toBe(i);
    }
  });

  it('ends when the contract no longer confirms it', async () => {
    const { refresh, access } = await contractLogin();
    answer = '0xffffffff'.padEnd(66, '0');
    expect(await refusedAs(() => house.sessions.refresh([refresh.token], context))).toBe('refresh_refused');
    answer = MAGIC;
    expect(await refusedAs(() => house.sessions.refresh([refresh.token], context))).toBe('refresh_refused');
    expect(await refusedAs(() => house.authenticator.accessToken(access.token))).toBe('unauthorized');
  });

  it('outlives an endpoint that cannot be reached for a while', async () => {
    const { refresh } = await contractLogin();
    answer = null;
    expect(await refusedAs(() => house.sessions.refresh([refresh.token], context))).toBe('unavailable');
    answer = MAGIC;
    await house.sessions.refresh([refresh.token], context);
  });
});
