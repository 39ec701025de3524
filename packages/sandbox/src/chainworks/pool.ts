/** Made-up liquidity pools with real arithmetic: constant product, 0.3 % fee. */
import { ratio } from '../engine/decimal.ts';
import { seeded } from '../engine/random.ts';
import type { JsonObject } from '../publication.ts';
import {
  address,
  amount,
  ChainworksError,
  chain,
  type Family,
  oneOf,
  type Parameters,
} from './parameters.ts';

export interface Quote {
  chain: string;
  token: string;
  buys: boolean;
  swapMode: 'ExactIn' | 'ExactOut';
  dex: string;
  amountIn: bigint;
  amountOut: bigint;
  /** What is sent with the reply. */
  result: JsonObject;
}

const DEXES: Readonly<Record<Family, readonly string[]>> = {
  evm: ['UniswapV2', 'UniswapV3'],
  svm: ['RaydiumAmm', 'PumpSwap'],
};

const FEE = { kept: 997n, of: 1000n };

/** @throws ChainworksError */
export function quote(seed: string, family: Family, buys: boolean, parameters: Parameters): Quote {
  const on = chain(family, parameters);
  const token = address(family, parameters, 'token', 'INVALID_TOKEN');
  const swapMode = oneOf(parameters, 'swapMode', ['ExactIn', 'ExactOut']);
  const exact = amount(parameters, swapMode === 'ExactIn' ? 'amountIn' : 'amountOut');
  address(family, parameters, 'wallet', 'INVALID_WALLET');
  // Endings that a test can write on any chain ask for the refusals that a simulation has no reason for.
  if (/dead$/i.test(token)) throw new ChainworksError('TOKEN_NOT_TRADEABLE', 'The token cannot be traded');
  if (/feed$/i.test(token))
    throw new ChainworksError('NO_ROUTE_FOUND', 'No route to trade this token was found');

  const name = family === 'evm' ? token.toLowerCase() : token;
  const random = seeded(seed, `pool/${on}/${name}`);
  const dex = random.pick(DEXES[family]);
  const unit = 10n ** (family === 'evm' ? 18n : 9n);
  const native = BigInt(50 + random.int(950)) * unit;
  const tokens = BigInt(1_000_000 + random.int(900_000_000)) * 10n ** (family === 'evm' ? 18n : 6n);
  const [reserveIn, reserveOut] = buys ? [native, tokens] : [tokens, native];

  let amountIn: bigint;
  let amountOut: bigint;
  if (swapMode === 'ExactIn') {
    amountIn = exact;
    const kept = amountIn * FEE.kept;
    amountOut = (reserveOut * kept) / (reserveIn * FEE.of + kept);
  } else {
    amountOut = exact;
    if (amountOut >= reserveOut)
      throw new ChainworksError('INSUFFICIENT_LIQUIDITY', 'The pool does not hold that much');
    // Rounded up: the pool never gives more than it was paid for.
    amountIn = (reserveIn * amountOut * FEE.of) / ((reserveOut - amountOut) * FEE.kept) + 1n;
  }
  if (amountOut === 0n) throw new ChainworksError('INVALID_AMOUNT', 'The amount is too small to trade');
  if (amountIn > reserveIn * 10n)
    throw new ChainworksError('INSUFFICIENT_LIQUIDITY', 'The pool does not hold that much');
  if (amountIn > reserveIn)
    throw new ChainworksError('PRICE_IMPACT_TOO_HIGH', 'The trade would move the price too far');

  const decimals = family === 'evm' ? 0n : 3n;
  const result: JsonObject = {
    chain: on,
    isBuy: buys,
    token,
    swapMode,
    dex,
    price: ratio(native, tokens * 10n ** decimals, 18),
    priceImpact: ratio(amountIn * 100n, reserveIn + amountIn, 4),
    amountIn: String(amountIn),
    expectedAmountOut: String(amountOut),
  };
  return { chain: on, token, buys, swapMode, dex, amountIn, amountOut, result };
}
