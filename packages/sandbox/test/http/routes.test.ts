import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { slotAt, slotTime } from '../../src/ethgas/slots.ts';
import { createSandbox, type Sandbox } from '../../src/sandbox.ts';
import { FakeClock } from '../support/fake-clock.ts';

const START = slotTime(4_417_832) + 500;
const SLOT_NOW = slotAt(START);
const NEXT = `ETH-PC-${SLOT_NOW + 1}`;
let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await createSandbox({ clock: new FakeClock(START), seed: 'routes' });
});
afterAll(() => sandbox.close());

/** An answer whose shape is what the test is about. */
// biome-ignore lint/suspicious/noExplicitAny: the tests look into answers that nothing has typed
type Loose = any;
type Reply = { status: number; body: Loose };
const claims = {
  sub: '78',
  accounts: [
    { accountId: 242, type: 1 },
    { accountId: 243, type: 2 },
  ],
};
const header = {
  'x-countersign-identity': `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.c2ln`,
};

async function get(path: string, headers: Record<string, string> = {}): Promise<Reply> {
  const response = await fetch(sandbox.url + path, { headers });
  return { status: response.status, body: await response.json() };
}
async function post(
  path: string,
  body: object | string,
  headers: Record<string, string> = {},
): Promise<Reply> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const response = await fetch(sandbox.url + path, { method: 'POST', body: text, headers });
  return { status: response.status, body: await response.json() };
}
const query = (name: string, args: object = {}, headers = {}) => post(`/queries/${name}`, { args }, headers);
const keys = (value: object): string[] => Object.keys(value).sort();
const words = (text: string): string[] => text.split(',').sort();

describe('queries', () => {
  test('preconfMarkets has the keys of the channel', async () => {
    const { body } = await query('preconfMarkets', { marketType: 'inclusionPreconf' });
    expect(body.length).toBeGreaterThanOrEqual(32);
    const needed = words('m,T,s,i,n,M,f,b,q,mQ,MQ,PS,mP,MP,C,A,r,S,e,a,c,u,tp');
    expect(keys(body[0])).toEqual(expect.arrayContaining(needed));
    expect(new Set(body.map((each: Loose) => each.T))).toEqual(new Set(['inclusionPreconf']));
  });

  test('orderBook and orderBooks give whole books, one of them by market id', async () => {
    const { body } = await query('orderBook', { marketType: 'wholeBlock' });
    expect(keys(body[0])).toEqual(words('I,a,b,m,t'));
    expect(keys(body[0].a[0])).toEqual(['p', 'q']);
    expect(Number(body[0].b[0].p)).toBeLessThan(Number(body[0].a[0].p));
    const one = await query('orderBooks', { marketId: body[3].m });
    expect(one.body).toEqual([body[3]]);
  });

  test('currentSlot says the slot and what is left of it', async () => {
    expect((await query('currentSlot')).body).toEqual({ t: START, s: SLOT_NOW, r: 11_500 });
  });

  test('candlesticks and recentTrades belong to an instrument', async () => {
    expect((await query('candlesticks', { instrumentId: NEXT, interval: 1000 })).body).toEqual([]);
    expect((await query('recentTrades', { instrumentId: NEXT, limit: 5 })).body).toEqual({ i: NEXT, l: [] });
    expect((await query('recentTrades', { instrumentId: 'ETH-PC-1' })).status).toBe(404);
    expect((await query('candlesticks', { instrumentId: NEXT, interval: 60 })).status).toBe(400);
  });

  test('inclusionPreconfTopSales and currentBlockBuilder', async () => {
    expect(keys((await query('inclusionPreconfTopSales')).body)).toEqual(words('s,g,S'));
    const { body } = await query('currentBlockBuilder', { slot: SLOT_NOW + 64 });
    expect(keys(body)).toEqual(words('s,p,f'));
    expect((await query('currentBlockBuilder', { slot: SLOT_NOW + 65 })).status).toBe(400);
  });

  test.each(['openOrders', 'accountPositions', 'currentPositions', 'preconfBundles', 'blockSpaceSale'])(
    '%s is private',
    async (name) => {
      const refused = await query(name, { slot: SLOT_NOW + 1 });
      expect(refused.status).toBe(401);
      expect(keys(refused.body)).toEqual(words('success,errorCode,errorMsgKey,message,data'));
      expect((await query(name, { slot: SLOT_NOW + 1 }, header)).status).toBe(200);
    },
  );

  test('nobody asks for an account of somebody else', async () => {
    expect((await query('openOrders', { accountId: 243 }, header)).body).toEqual([]);
    expect((await query('openOrders', { accountId: 999 }, header)).status).toBe(403);
  });

  test('an unknown query, also one named like a property of objects, is not found', async () => {
    expect((await query('nonsense')).status).toBe(404);
    expect((await query('constructor')).status).toBe(404);
  });
});

describe('ETHGas REST', () => {
  test.each([
    ['/v1/p/network?chainId=1', 'network'],
    ['/v1/p/tokens', 'tokens'],
    ['/v1/p/user/fees', 'buyFeeRate'],
    ['/v1/p/inclusion-preconf/markets', 'markets'],
    ['/v1/p/wholeblock/markets', 'markets'],
    ['/v1/p/builders', 'builders'],
    [`/v1/p/builder/${SLOT_NOW}`, 'builder'],
    ['/v1/p/validators', 'validators'],
    ['/api/v1/p/tokens', 'tokens'],
  ])('%s answers {success, data.%s}', async (path, name) => {
    const { status, body } = await get(path);
    expect([status, body.success]).toEqual([200, true]);
    expect(body.data[name]).toBeTruthy();
  });

  test('a market row is complete, and the whole block of one slot is one object', async () => {
    const { body } = await get('/v1/p/inclusion-preconf/markets');
    const needed =
      'marketId,slot,instrumentId,name,quantityStep,minQuantity,maxQuantity,priceStep,minPrice,maxPrice,status,maturityTime,trxSubmitTime,blockTime,finalityTime,totalGas,updateDate';
    expect(keys(body.data.markets[0])).toEqual(expect.arrayContaining(words(needed)));
    const one = await get(`/v1/p/wholeblock/market?slot=${SLOT_NOW + 3}`);
    expect(one.body.data.markets).toMatchObject({
      slot: SLOT_NOW + 3,
      instrumentId: `ETH-WB-${SLOT_NOW + 3}`,
    });
    expect((await get('/v1/p/wholeblock/market?slot=1')).status).toBe(404);
  });

  test('balances come by account, a transfer moves them and is a transaction of both', async () => {
    expect((await get('/v1/user/accounts/balances')).status).toBe(401);
    const moved = await post(
      '/v1/user/account/transfer/token?fromAccountId=242&toAccountId=243&tokenId=1&quantity=0.5',
      '',
      header,
    );
    expect(moved.body.success).toBe(true);
    const { body } = await get('/v1/user/accounts/balances', header);
    expect(body.data.accounts).toEqual([
      {
        accountId: 242,
        tokens: [
          {
            accountId: 242,
            tokenId: 1,
            quantity: '99.5',
            lockedQuantity: '0',
            code: 'ETH',
            availableQuantity: '99.5',
          },
        ],
      },
      {
        accountId: 243,
        tokens: [
          {
            accountId: 243,
            tokenId: 1,
            quantity: '100.5',
            lockedQuantity: '0',
            code: 'ETH',
            availableQuantity: '100.5',
          },
        ],
      },
    ]);
    expect(
      (await get('/v1/user/account/txs', header)).body.data.txs.map((tx: Loose) => tx.type).sort(),
    ).toEqual([6, 7]);
    expect((await get('/v1/user/account/243/txs', header)).body.data.txs).toHaveLength(1);
    expect((await get('/v1/user/account/999/txs', header)).status).toBe(404);
    for (const bad of ['-1', '1e3', '1000', '0']) {
      const path = `/v1/user/account/transfer/token?fromAccountId=242&toAccountId=243&quantity=${bad}`;
      expect((await post(path, '', header)).status).toBe(400);
    }
  });

  test('validators are registered, verified once, and belong to one user', async () => {
    const key = `0x${'8'.repeat(96)}`;
    const other = `0x${'9'.repeat(96)}`;
    const registered = await post(`/v1/validator/register?publicKey=${key}`, '', header);
    expect(registered.body.data.message.eoaAddress).toMatch(/^0x[0-9a-f]{40}$/);
    const batch = () =>
      post(
        '/v1/validator/verify/batch',
        `publicKeys=${key},${other}&signatures=0x${'a'.repeat(192)},0x00`,
        header,
      );
    expect((await batch()).body.data).toMatchObject({ [key]: { result: 0 }, [other]: { result: 1 } });
    expect((await batch()).body.data).toMatchObject({ [key]: { result: 3 } });
    const bob = `e30.${Buffer.from('{"sub":"79"}').toString('base64url')}.c2ln`;
    const stolen = await post(`/v1/validator/register?publicKey=${key}`, '', {
      'x-countersign-identity': bob,
    });
    expect(stolen.status).toBe(409);
  });

  test('a wrong method, an unknown path, broken JSON and an unreadable identity are refused', async () => {
    expect((await post('/v1/p/tokens', {})).status).toBe(405);
    expect((await get('/v1/p/nothing')).status).toBe(404);
    expect((await post('/queries/currentSlot', '{')).status).toBe(400);
    expect((await post('/queries/currentSlot', `{"a":"${'x'.repeat(300_000)}"}`)).status).toBe(413);
    expect((await get('/v1/user/account/txs', { 'x-countersign-identity': 'a.b.c' })).status).toBe(401);
  });
});

describe('brokerage REST', () => {
  const base = '/api/v3/brokerage';

  test('products are public under /market, private elsewhere, and agree with their book', async () => {
    expect((await get(`${base}/products`)).status).toBe(401);
    const { body } = await get(`${base}/market/products?limit=3`);
    expect(body.num_products).toBe(3);
    expect(body.products.map((each: Loose) => each.product_id)).toEqual(['BTC-USD', 'ETH-USD', 'ETH-EUR']);
    expect((await get(`${base}/market/products`)).body.products.length).toBeGreaterThan(30);
    expect((await get(`${base}/products/ETH-EUR`, header)).body).toEqual(body.products[2]);
    expect((await get(`${base}/market/products/NO-SUCH`)).status).toBe(404);
    const book = await get(`${base}/market/product_book?product_id=BTC-USD&limit=2`);
    expect(keys(book.body)).toEqual(words('pricebook,last,mid_market,spread_bps,spread_absolute'));
    expect(book.body.pricebook.bids).toHaveLength(2);
    expect(book.body.mid_market).toBe(body.products[0].mid_market_price);
    const best = await get(`${base}/best_bid_ask?product_ids=BTC-USD&product_ids=ETH-USD`, header);
    expect(best.body.pricebooks[0].bids).toEqual([book.body.pricebook.bids[0]]);
    expect(best.body.pricebooks).toHaveLength(2);
  });

  test('candles and the last trades exist from the first moment', async () => {
    const { body } = await get(`${base}/market/products/BTC-USD/candles`);
    expect(body.candles.length).toBeGreaterThan(10);
    expect(keys(body.candles[0])).toEqual(words('start,high,low,open,close,volume'));
    const recent = await get(`${base}/products/BTC-USD/ticker?limit=2`, header);
    expect(recent.body.trades).toHaveLength(2);
    expect(recent.body.trades[0].price).toBe(body.candles[0].close);
  });

  test('an order holds its amount, is listed, and gives it back', async () => {
    const order = {
      client_order_id: 'mine',
      product_id: 'ETH-USD',
      side: 'BUY',
      order_configuration: { limit_limit_gtc: { base_size: '1', limit_price: '1000' } },
    };
    const placed = await post(`${base}/orders`, order, header);
    expect(placed.body.success).toBe(true);
    const dollars = async () =>
      (await get(`${base}/accounts`, header)).body.accounts.find((each: Loose) => each.currency === 'USD');
    expect(await dollars()).toMatchObject({
      available_balance: { value: '98994' },
      hold: { value: '1006', currency: 'USD' },
    });
    const listed = await get(`${base}/orders/historical/batch?order_status=OPEN`, header);
    expect(listed.body.orders).toMatchObject([
      {
        client_order_id: 'mine',
        status: 'OPEN',
        order_configuration: { limit_limit_gtc: { base_size: '1', limit_price: '1000', post_only: false } },
      },
    ]);
    const id = listed.body.orders[0].order_id;
    expect((await get(`${base}/orders/historical/${id}`, header)).body.order).toEqual(listed.body.orders[0]);
    await post(`${base}/orders/batch_cancel`, { order_ids: [id] }, header);
    expect(await dollars()).toMatchObject({ available_balance: { value: '100000' }, hold: { value: '0' } });
    expect((await get(`${base}/orders/historical/fills`, header)).body).toEqual({ fills: [], cursor: '' });
  });

  test.each([
    [{ product_id: 'NO-SUCH' }, 'INVALID_PRODUCT_ID'],
    [{ side: 'HOLD' }, 'INVALID_SIDE'],
    [{ order_configuration: { constructor: {} } }, 'UNSUPPORTED_ORDER_CONFIGURATION'],
    [
      { order_configuration: { limit_limit_gtc: { base_size: '1', limit_price: '0.001' } } },
      'UNSUPPORTED_ORDER_CONFIGURATION',
    ],
    [
      { order_configuration: { limit_limit_gtc: { base_size: '-1', limit_price: '5' } } },
      'UNSUPPORTED_ORDER_CONFIGURATION',
    ],
    [
      { order_configuration: { limit_limit_gtc: { base_size: '0.7', limit_price: '700000' } } },
      'INSUFFICIENT_FUND',
    ],
    [
      {
        order_configuration: {
          limit_limit_gtc: { base_size: '0.01', limit_price: '100000', post_only: true },
        },
      },
      'INVALID_LIMIT_PRICE_POST_ONLY',
    ],
  ])('%j is refused as %s', async (change, error) => {
    const order = {
      client_order_id: `bad-${error}`,
      product_id: 'BTC-USD',
      side: 'BUY',
      order_configuration: { market_market_ioc: { base_size: '0.1' } },
      ...change,
    };
    const { status, body } = await post(`${base}/orders`, order, header);
    expect([status, body.success, body.error_response.error]).toEqual([200, false, error]);
  });
});

describe('Chainworks', () => {
  const EVM = {
    chain: 'eth',
    token: `0x${'1'.repeat(40)}`,
    swapMode: 'ExactIn',
    amountIn: '1000000000000000',
    wallet: `0x${'2'.repeat(40)}`,
  };
  const SVM = {
    ...EVM,
    chain: 'sol',
    token: 'So11111111111111111111111111111111111111112',
    wallet: '4Nd1mBQtrMJVYVfKf2PJy9NZUZdTAsp7D4xWLs4gDB4T',
    amountIn: '1000000',
  };
  const ask = (event: string, params: object) => post('/events', { event, params });

  test.each([
    ['/evm/buy/quote', EVM],
    ['/evm/sell/quote', EVM],
    ['/svm/buy/quote', SVM],
    ['/svm/sell/quote', SVM],
  ])('%s quotes', async (event, params) => {
    const { body } = await ask(event, params);
    expect(body.success).toBe(true);
    expect(keys(body.result)).toEqual(
      words('chain,isBuy,token,swapMode,dex,price,priceImpact,amountIn,expectedAmountOut'),
    );
    expect(body.result.expectedAmountOut).toMatch(/^[1-9]\d*$/);
  });

  test('buying the quoted amount out costs no less than the amount in it was quoted for', async () => {
    const { body } = await ask('/evm/buy/quote', EVM);
    const amountOut = body.result.expectedAmountOut;
    const back = await ask('/evm/buy/quote', { ...EVM, swapMode: 'ExactOut', amountOut });
    const [paid, first] = [BigInt(back.body.result.amountIn), BigInt(EVM.amountIn)];
    expect(paid <= first + 1n && paid > (first * 99n) / 100n).toBe(true);
  });

  test.each([
    ['/evm/buy/transaction', EVM],
    [
      '/svm/buy/transaction',
      { ...SVM, sendRoute: 'AntimevWithNonce', bribeFees: '1000000', nonceAccount: SVM.wallet },
    ],
    ['/svm/sell/transaction', SVM],
    ['/evm/approve/transaction', { ...EVM, spender: EVM.wallet }],
    ['/svm/transfer/transaction', { ...SVM, recipient: SVM.wallet, amount: '5' }],
    ['/svm/transfer/token/transaction', { ...SVM, recipient: SVM.wallet, amount: '5' }],
    ['/svm/transfer/multi/transaction', { ...SVM, recipients: [{ address: SVM.wallet, amount: '5' }] }],
  ])('%s gives a transaction', async (event, params) => {
    const { body } = await ask(event, params);
    expect(body.success && body.result.transaction).toBeTruthy();
  });

  test('a sell needs an approval through V2 and a permit through V3', async () => {
    const seen = new Set<string>();
    for (let n = 20; n < 50; n++) {
      const params = { ...EVM, token: `0x${String(n).repeat(20)}`, permit: undefined };
      const first = await ask('/evm/sell/transaction', params);
      seen.add(first.body.error.code);
      if (first.body.error.code === 'APPROVAL_REQUIRED')
        await ask('/evm/approve/transaction', { ...params, spender: EVM.wallet });
      const again = await ask('/evm/sell/transaction', {
        ...params,
        ...(first.body.error.code.startsWith('PERMIT') ? { permit: {} } : {}),
      });
      expect(again.body.success).toBe(true);
    }
    expect([...seen].sort()).toEqual(['APPROVAL_REQUIRED', 'PERMIT_REQUIRED_FOR_V3_SELL']);
  });

  test.each([
    ['/evm/buy/quote', { ...EVM, chain: 'sol' }, 'INVALID_CHAIN'],
    ['/svm/buy/quote', { ...SVM, chain: 'eth' }, 'INVALID_CHAIN'],
    ['/evm/buy/quote', { ...EVM, token: '0x1' }, 'INVALID_TOKEN'],
    ['/evm/buy/quote', { ...EVM, wallet: 'me' }, 'INVALID_WALLET'],
    ['/evm/buy/quote', { ...EVM, amountIn: '1.5' }, 'INVALID_AMOUNT'],
    ['/evm/buy/quote', { ...EVM, amountIn: 5 }, 'INVALID_AMOUNT'],
    ['/evm/buy/quote', { ...EVM, swapMode: undefined }, 'MISSING_PARAMETER'],
    ['/evm/buy/quote', { ...EVM, swapMode: 'ExactOut', amountOut: '9'.repeat(39) }, 'INSUFFICIENT_LIQUIDITY'],
    ['/evm/buy/quote', { ...EVM, amountIn: '9'.repeat(39) }, 'INSUFFICIENT_LIQUIDITY'],
    ['/evm/buy/quote', { ...EVM, amountIn: '1001000000000000000000' }, 'PRICE_IMPACT_TOO_HIGH'],
    ['/evm/buy/quote', { ...EVM, token: `0x${'0'.repeat(36)}dead` }, 'TOKEN_NOT_TRADEABLE'],
    ['/evm/buy/quote', { ...EVM, token: `0x${'0'.repeat(36)}feed` }, 'NO_ROUTE_FOUND'],
    ['/evm/buy/transaction', { ...EVM, wallet: `0x${'0'.repeat(36)}dead` }, 'TRANSACTION_SIMULATION_FAILED'],
    ['/evm/buy/transaction', { ...EVM, wallet: `0x${'0'.repeat(36)}feed` }, 'NONCE_TOO_LOW'],
    ['/evm/buy/transaction', { ...EVM, feeBps: 176 }, 'INVALID_AMOUNT'],
    ['/svm/buy/transaction', { ...SVM, sendRoute: 'Antimev' }, 'MISSING_PARAMETER'],
    ['/svm/buy/transaction', { ...SVM, sendRoute: 'Antimev', bribeFees: '999999' }, 'INVALID_AMOUNT'],
    [
      '/svm/transfer/transaction',
      { ...SVM, recipient: SVM.wallet, amount: '9'.repeat(30) },
      'INSUFFICIENT_BALANCE',
    ],
  ])('%s refuses with the code for it (%#)', async (event, params, code) => {
    const { status, body } = await ask(event, params);
    expect([status, body.success, body.error.code]).toEqual([200, false, code]);
  });

  test('an unknown event is not found', async () => {
    expect((await ask('/evm/steal', {})).status).toBe(404);
    expect((await ask('__proto__', {})).status).toBe(404);
  });
});
