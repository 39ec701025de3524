/** The products of the brokerage side. Prices are where the simulation starts, not where any real market is. */
import type { MarketSpec } from '../engine/market.ts';

interface Row {
  base: string;
  name: string;
  quote: string;
  /** Start price in price steps of 10^-priceScale. */
  price: number;
  priceScale: number;
  /** Quantity steps are 10^-quantityScale. */
  quantityScale: number;
}

const row = (id: string, name: string, price: number, priceScale: number, quantityScale: number): Row => {
  const [base, quote] = id.split('-') as [string, string];
  return { base, name, quote, price, priceScale, quantityScale };
};

const ROWS: readonly Row[] = [
  row('BTC-USD', 'Bitcoin', 7_987_910, 2, 8),
  row('ETH-USD', 'Ethereum', 313_350, 2, 8),
  row('ETH-EUR', 'Ethereum', 268_712, 2, 8),
  row('BTC-EUR', 'Bitcoin', 6_852_055, 2, 8),
  row('ETH-BTC', 'Ethereum', 3922, 5, 8),
  row('SOL-USD', 'Solana', 14_231, 2, 8),
  row('SOL-EUR', 'Solana', 12_207, 2, 8),
  row('XRP-USD', 'XRP', 20_811, 4, 6),
  row('ADA-USD', 'Cardano', 4519, 4, 8),
  row('DOGE-USD', 'Dogecoin', 15_220, 5, 1),
  row('LTC-USD', 'Litecoin', 8954, 2, 8),
  row('BCH-USD', 'Bitcoin Cash', 51_120, 2, 8),
  row('LINK-USD', 'Chainlink', 13_412, 3, 2),
  row('DOT-USD', 'Polkadot', 2840, 3, 8),
  row('AVAX-USD', 'Avalanche', 1502, 2, 8),
  row('UNI-USD', 'Uniswap', 7123, 3, 6),
  row('AAVE-USD', 'Aave', 17_244, 2, 3),
  row('ATOM-USD', 'Cosmos', 2871, 3, 2),
  row('ALGO-USD', 'Algorand', 1643, 4, 0),
  row('XLM-USD', 'Stellar', 248_120, 6, 8),
  row('ETC-USD', 'Ethereum Classic', 1465, 2, 8),
  row('FIL-USD', 'Filecoin', 1902, 3, 3),
  row('NEAR-USD', 'NEAR Protocol', 2210, 3, 3),
  row('APT-USD', 'Aptos', 307, 2, 2),
  row('ARB-USD', 'Arbitrum', 2415, 4, 2),
  row('OP-USD', 'Optimism', 401, 3, 2),
  row('SUI-USD', 'Sui', 18_233, 4, 1),
  row('INJ-USD', 'Injective', 6120, 3, 2),
  row('GRT-USD', 'The Graph', 5544, 5, 2),
  row('MKR-USD', 'Maker', 152_011, 2, 6),
  row('CRV-USD', 'Curve DAO', 4221, 4, 2),
  row('SNX-USD', 'Synthetix', 712, 3, 3),
  row('LDO-USD', 'Lido DAO', 815, 3, 2),
  row('SAND-USD', 'The Sandbox', 1822, 4, 2),
  row('SHIB-USD', 'Shiba Inu', 8510, 9, 0),
  row('PEPE-USD', 'Pepe', 47_120, 10, 0),
  row('USDT-USDC', 'Tether', 99_971, 5, 2),
  row('EURC-USDC', 'Euro Coin', 11_642, 4, 2),
];

export interface Product {
  readonly id: string;
  readonly name: string;
  readonly spec: MarketSpec;
  /** Start price in price steps, and a typical order in quantity steps. */
  readonly price: number;
  readonly size: number;
}

/** Five minutes, as the `candles` channel has them. */
export const CANDLE = 300_000;

export const PRODUCTS: readonly Product[] = ROWS.map((entry) => {
  const id = `${entry.base}-${entry.quote}`;
  // A typical order is worth about 2500 of the quote currency; for coins quoted in coins about 0.05.
  const worth = entry.quote === 'BTC' ? 0.05 : 2500;
  const price = entry.price / 10 ** entry.priceScale;
  const size = Math.max(1, Math.round((worth / price) * 10 ** entry.quantityScale));
  const spec: MarketSpec = {
    id,
    base: entry.base,
    quote: entry.quote,
    priceScale: entry.priceScale,
    quantityScale: entry.quantityScale,
    minPrice: 1,
    maxPrice: entry.price * 10,
    minQuantity: 1,
    maxQuantity: Math.min(size * 1000, 1_000_000_000_000),
    candleInterval: CANDLE,
  };
  return { id, name: entry.name, spec, price: entry.price, size };
});
