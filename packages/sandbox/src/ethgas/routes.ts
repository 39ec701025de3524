/** The ETHGas REST calls that are the venue's: `{success: true, data}`. */
import { randomUUID } from 'node:crypto';
import { Refusal } from '@countersign/protocol';
import { decimal, parseDecimal } from '../engine/decimal.ts';
import { MONEY_SCALE } from '../engine/desk.ts';
import { seeded } from '../engine/random.ts';
import type { Identity } from '../http/identity.ts';
import type { Request, Route } from '../http/server.ts';
import type { Json, JsonObject } from '../publication.ts';
import { ownerOf } from './accounts.ts';
import type { Ethgas } from './ethgas.ts';
import { answerQuery } from './queries.ts';
import { slotAt } from './slots.ts';
import { marketRow } from './words.ts';

const CHAINS: Readonly<Record<number, string>> = { 1: 'Ethereum', 560048: 'Hoodi' };
const ETH_TOKEN = 1;
const ETH_ROW: JsonObject = {
  tokenId: ETH_TOKEN,
  code: 'ETH',
  name: 'ETH',
  tokenAddress: '0x0000000000000000000000000000000000000000',
  decimals: 18,
  withdrawFee: '0.001',
  price: '3133.5',
};

/** Result codes of validator and builder registration. */
const RESULT = { ok: 0, notFound: 1, signatureInvalid: 2, alreadyRegistered: 3 } as const;

const TRANSFERS_MAX = 100;
const VALIDATORS_MAX = 10_000;

const ok = (data: JsonObject): Json => ({ success: true, data });

export function ethgasRoutes(venue: Ethgas, seed: string, now: () => number): Route[] {
  const transfers = new Map<string, JsonObject[]>();
  const validators = new Map<string, { userId: string; verified: boolean }>();

  const balances = ({ userId, accounts }: Identity): Json[] =>
    accounts.map(({ accountId }) => {
      const { total, held } = venue.accounts.desk.balance(ownerOf({ userId, accountId }), 'ETH');
      const token: JsonObject = {
        accountId,
        tokenId: ETH_TOKEN,
        quantity: decimal(total, MONEY_SCALE),
        lockedQuantity: decimal(held, MONEY_SCALE),
        code: 'ETH',
        availableQuantity: decimal(total - held, MONEY_SCALE),
      };
      return { accountId, tokens: [token] };
    });

  const transactions = ({ userId, accounts }: Identity, only: number | null): Json[] => {
    const list: JsonObject[] = [];
    for (const { accountId } of accounts) {
      if (only !== null && accountId !== only) continue;
      const owner = ownerOf({ userId, accountId });
      for (const fill of venue.accounts.desk.fills(owner)) {
        const buys = fill.order.order.side === 'bid';
        const { priceScale, quantityScale, id } = fill.order.market.spec;
        list.push({
          txId: fill.tradeId,
          accountId,
          type: buys ? 1 : 2,
          tokenId: ETH_TOKEN,
          instrumentId: id,
          price: decimal(fill.price, priceScale),
          quantity: decimal(fill.quantity, quantityScale),
          fee: decimal(fill.fee, MONEY_SCALE),
          createDate: fill.time,
        });
      }
      list.push(...(transfers.get(owner) ?? []));
    }
    return list.sort((a, b) => Number(b.createDate) - Number(a.createDate)).slice(0, 500);
  };

  const owned = (request: Request, id: unknown): number => {
    const accountId = Number(id);
    const mine = request.identity!.accounts.some((account) => account.accountId === accountId);
    if (!mine) throw new Refusal('not_found', 'not an account of the caller');
    return accountId;
  };

  /** Parameters come in the query or in the body; both are real. */
  const argument = (request: Request, name: string): unknown =>
    request.body[name] ?? request.query.get(name) ?? undefined;

  function transfer(request: Request): Json {
    const { userId } = request.identity!;
    const from = owned(request, argument(request, 'fromAccountId') ?? argument(request, 'accountId'));
    const to = owned(request, argument(request, 'toAccountId'));
    if (Number(argument(request, 'tokenId') ?? ETH_TOKEN) !== ETH_TOKEN)
      throw new Refusal('invalid_request', 'token');
    const quantity = argument(request, 'quantity');
    const amount = parseDecimal(quantity, MONEY_SCALE);
    if (amount === null || amount === 0n || from === to)
      throw new Refusal('invalid_request', 'quantity or accounts');
    const { desk } = venue.accounts;
    const source = desk.balance(ownerOf({ userId, accountId: from }), 'ETH');
    if (source.total - source.held < amount) {
      throw new Refusal('invalid_request', 'balance', { message: 'The available balance is not enough.' });
    }
    source.total -= amount;
    desk.balance(ownerOf({ userId, accountId: to }), 'ETH').total += amount;
    const txId = randomUUID();
    for (const [accountId, type] of [
      [from, 7],
      [to, 6],
    ] as const) {
      const owner = ownerOf({ userId, accountId });
      const list = transfers.get(owner) ?? [];
      list.push({
        txId,
        accountId,
        type,
        tokenId: ETH_TOKEN,
        quantity: decimal(amount, MONEY_SCALE),
        fee: '0',
        createDate: now(),
      });
      if (list.length > TRANSFERS_MAX) list.shift();
      transfers.delete(owner);
      transfers.set(owner, list);
      if (transfers.size > VALIDATORS_MAX) transfers.delete(transfers.keys().next().value!);
    }
    return ok({
      txId,
      fromAccountId: from,
      toAccountId: to,
      tokenId: ETH_TOKEN,
      quantity: decimal(amount, MONEY_SCALE),
    });
  }

  const key = (value: unknown): string | null =>
    typeof value === 'string' && /^0x[0-9a-fA-F]{96}$/.test(value) ? value.toLowerCase() : null;

  function register(request: Request): Json {
    const publicKey = key(argument(request, 'publicKey'));
    if (publicKey === null) throw new Refusal('invalid_request', 'publicKey');
    const before = validators.get(publicKey);
    if (before !== undefined && before.userId !== request.identity!.userId) {
      throw new Refusal('conflict', 'registered by somebody else');
    }
    if (before === undefined)
      validators.set(publicKey, { userId: request.identity!.userId, verified: false });
    if (validators.size > VALIDATORS_MAX) validators.delete(validators.keys().next().value!);
    const eoaAddress = `0x${seeded(seed, `eoa/${request.identity!.userId}`).hex(20)}`;
    return ok({
      available: true,
      verified: before?.verified ?? false,
      message: { eoaAddress },
      messageHash: '',
    });
  }

  function verify(request: Request): Json {
    const keys = String(argument(request, 'publicKeys') ?? '')
      .split(',')
      .slice(0, 100);
    const signatures = String(argument(request, 'signatures') ?? '').split(',');
    const results: JsonObject = {};
    keys.forEach((name, i) => {
      const entry = validators.get(name.toLowerCase());
      // The form of a BLS signature (96 bytes) is checked, not the signature: the venue is a simulation.
      const signed = /^(0x)?[0-9a-fA-F]{192}$/.test(signatures[i] ?? '');
      let result: number = RESULT.ok;
      if (entry === undefined || entry.userId !== request.identity!.userId) result = RESULT.notFound;
      else if (!signed) result = RESULT.signatureInvalid;
      else if (entry.verified) result = RESULT.alreadyRegistered;
      else entry.verified = true;
      results[name] = { result, description: Object.keys(RESULT)[result]! };
    });
    return ok(results);
  }

  const builderOf = (slot: number): JsonObject => {
    const { p, f } = venue.builders.of(slot);
    return { slot, builder: p!, fallbackBuilder: f! };
  };

  function wholeBlockMarket(request: Request): Json {
    const slot = Number(request.query.get('slot') ?? slotAt(now()) + 1);
    const found = venue.markets('wholeBlock').find((each) => each.slot === slot);
    if (found === undefined) throw new Refusal('not_found', 'no market for that slot');
    return ok({ markets: marketRow(found) });
  }

  return [
    {
      method: 'POST',
      path: '/queries/:queryType',
      answer({ body, identity }, { queryType }) {
        const args =
          typeof body.args === 'object' && body.args !== null
            ? (body.args as { [name: string]: unknown })
            : {};
        return answerQuery(queryType!, { venue, args, identity, now: now() });
      },
    },
    {
      method: 'GET',
      path: '/v1/p/network',
      answer({ query }) {
        const chainId = Number(query.get('chainId') ?? 560048);
        const name = CHAINS[chainId];
        if (name === undefined) throw new Refusal('unknown_chain', 'chainId');
        return ok({ network: { networkId: 1, chainId, name, enable: true, visible: true } });
      },
    },
    { method: 'GET', path: '/v1/p/tokens', answer: () => ok({ tokens: [ETH_ROW] }) },
    {
      method: 'GET',
      path: '/v1/p/user/fees',
      answer: () => ok({ buyFeeRate: '0.01', primarySellFeeRate: '0.01', secondarySellFeeRate: '0.01' }),
    },
    {
      method: 'GET',
      path: '/v1/p/inclusion-preconf/markets',
      answer: () => ok({ markets: venue.markets('inclusionPreconf').map(marketRow) }),
    },
    {
      method: 'GET',
      path: '/v1/p/wholeblock/markets',
      answer: () => ok({ markets: venue.markets('wholeBlock').map(marketRow) }),
    },
    { method: 'GET', path: '/v1/p/wholeblock/market', answer: wholeBlockMarket },
    { method: 'GET', path: '/v1/p/builders', answer: () => ok({ builders: [...venue.builders.keys] }) },
    {
      method: 'GET',
      path: '/v1/p/builder/:slot',
      answer(_request, { slot }) {
        if (!/^\d{1,12}$/.test(slot!)) throw new Refusal('invalid_request', 'slot');
        return ok(builderOf(Number(slot)));
      },
    },
    {
      method: 'GET',
      path: '/v1/p/validators',
      answer() {
        const list = [...validators]
          .slice(0, 500)
          .map(([publicKey, { verified }]): Json => ({ publicKey, status: verified ? 1 : 0 }));
        return ok({ validators: list });
      },
    },
    {
      method: 'GET',
      path: '/v1/user/accounts/balances',
      private: true,
      answer: ({ identity }) => ok({ accounts: balances(identity!) }),
    },
    {
      method: 'GET',
      path: '/v1/user/account/txs',
      private: true,
      answer: ({ identity }) => ok({ txs: transactions(identity!, null) }),
    },
    {
      method: 'GET',
      path: '/v1/user/account/:id/txs',
      private: true,
      answer: (request, { id }) => ok({ txs: transactions(request.identity!, owned(request, id)) }),
    },
    { method: 'POST', path: '/v1/user/account/transfer/token', private: true, answer: transfer },
    { method: 'POST', path: '/v1/validator/register', private: true, answer: register },
    { method: 'POST', path: '/v1/validator/verify/batch', private: true, answer: verify },
  ];
}
