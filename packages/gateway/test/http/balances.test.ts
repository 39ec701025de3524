import { Refusal } from '@countersign/protocol';
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import type { RestCall } from '../../src/backend/forward.ts';
import { systemClock } from '../../src/operations/clock.ts';
import type { Permission } from '../../src/session/principal.ts';
import { answered, authentication, GOOD_ACCESS, type OpenDoor, openDoor } from './door.ts';

let open: OpenDoor | null = null;
afterEach(() => open?.close());

const eth = (accountId: number) => ({
  accountId,
  tokenId: 1,
  quantity: '100',
  lockedQuantity: '1',
  code: 'ETH',
  availableQuantity: '99',
});

type VenueAnswer = { status: number; body: unknown };

/** A door whose venue answers so, and what its log and its venue were told. */
async function door(
  answer: () => VenueAnswer | Promise<VenueAnswer>,
  permissions: Permission[] = ['account_updates'],
) {
  const calls: RestCall[] = [];
  const lines: { level: number; event: string; reason?: string }[] = [];
  open = await openDoor({
    venue: {
      rest: async (call) => {
        calls.push(call);
        return answered(await answer());
      },
      stream: () => Promise.reject(new Refusal('unavailable', 'balances are no stream')),
    },
    authenticator: {
      bearer: (token) => {
        if (token !== GOOD_ACCESS) throw new Refusal('unauthorized', 'unknown');
        return authentication({ permissions: new Set(permissions) });
      },
    },
    // The wait of a second for the venue takes a hundredth of one.
    clock: { ...systemClock, after: (ms, task) => systemClock.after(ms / 100, task) },
    log: pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line)) }),
  });
  const { ask } = open;
  const get = async (path: string) => {
    const { status, json } = await ask({
      method: 'GET',
      path,
      headers: { authorization: `Bearer ${GOOD_ACCESS}` },
    });
    return { status, data: json.data };
  };
  return {
    calls,
    warnings: () => lines.filter(({ level }) => level === 40),
    get,
    tokens: async () =>
      (await get('/v1/user/accounts')).data.accounts.map(
        ({ accountId, tokens }: { accountId: number; tokens: unknown }) => [accountId, tokens],
      ),
  };
}

describe('the accounts of a user', () => {
  it('hold what the venue says, asked in the name of the user', async () => {
    const { calls, warnings, get } = await door(() => ({
      status: 200,
      body: { success: true, data: { accounts: [{ accountId: 243, tokens: [eth(243)] }] } },
    }));
    const list = await get('/api/v1/user/accounts');
    expect(list.data.accounts).toMatchObject([
      { accountId: 242, name: 'Current', tokens: [] },
      { accountId: 243, name: 'Trading', tokens: [eth(243)] },
    ]);
    expect((await get('/v1/user/account/243')).data.account).toMatchObject({
      type: 2,
      tokens: [eth(243)],
    });
    expect(calls).toMatchObject([
      { method: 'GET', path: '/v1/user/accounts/balances', body: null, principal: { userId: 78 } },
      { path: '/v1/user/accounts/balances' },
    ]);
    expect(warnings()).toEqual([]);
  });

  it('are given the same way by a venue without the envelope', async () => {
    const { tokens } = await door(() => ({
      status: 200,
      body: { accounts: [{ accountId: 242, tokens: [eth(242)] }] },
    }));
    expect(await tokens()).toEqual([
      [242, [eth(242)]],
      [243, []],
    ]);
  });

  it('never show an account of somebody else, whatever the venue answers', async () => {
    const { tokens, get } = await door(() => ({
      status: 200,
      body: { accounts: [{ accountId: 999, tokens: [eth(999)] }] },
    }));
    expect(await tokens()).toEqual([
      [242, []],
      [243, []],
    ]);
    expect((await get('/v1/user/account/999')).status).toBe(404);
  });

  const failures: [string, () => VenueAnswer | Promise<VenueAnswer>][] = [
    ['cannot be reached', () => Promise.reject(new Refusal('unavailable', 'gone'))],
    ['fails', () => Promise.reject(new TypeError('a bug'))],
    ['does not answer in time', () => new Promise<never>(() => {})],
    ['answers 500', () => ({ status: 500, body: null })],
    ['answers 401', () => ({ status: 401, body: { accounts: [] } })],
    ['answers null', () => ({ status: 200, body: null })],
    ['answers a list', () => ({ status: 200, body: [] })],
    ['answers a refusal in an envelope', () => ({ status: 200, body: { success: false, data: {} } })],
    ['answers an account of null', () => ({ status: 200, body: { accounts: [null] } })],
    [
      'answers tokens that are no list',
      () => ({ status: 200, body: { accounts: [{ accountId: 242, tokens: {} }] } }),
    ],
  ];
  it.each(failures)(
    'are listed without tokens, and with a line in the log, when the venue %s',
    async (_title, answer) => {
      const { warnings, get } = await door(answer);
      const { status, data } = await get('/v1/user/accounts');
      expect(status).toBe(200);
      expect(data.accounts.map(({ tokens }: { tokens: unknown }) => tokens)).toEqual([[], []]);
      expect(warnings()).toMatchObject([{ event: 'balances.missing', reason: expect.any(String) }]);
    },
  );

  it('hold nothing for a key that may not see accounts, and the venue is not asked', async () => {
    const { calls, warnings, tokens } = await door(() => ({ status: 200, body: null }), ['market_data']);
    expect(await tokens()).toEqual([
      [242, []],
      [243, []],
    ]);
    expect([calls, warnings()]).toEqual([[], []]);
  });
});
