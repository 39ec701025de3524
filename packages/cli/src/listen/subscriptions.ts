/** From `--channel`, `--market` and `--product` to what has to be sent, and to whether a login is needed first. */
import { COINBASE_CHANNELS, ETHGAS_CHANNELS, MARKET_TYPES } from '@countersign/protocol';
import { CliError } from '../cli-error.ts';
import { printable } from '../io.ts';

export type Subscription =
  | { dialect: 'ethgas'; channel: string; private: boolean; arg: { channel: string; marketType?: string } }
  | { dialect: 'coinbase'; channel: string; private: boolean; products: string[] };

/** @throws CliError `usage` naming what is wrong and what there is */
export function subscriptionOf(
  channel: string,
  market: string | undefined,
  products: readonly string[],
): Subscription {
  const ethgas = ETHGAS_CHANNELS.find((row) => row.name === channel);
  if (ethgas) {
    if (products.length > 0) throw new CliError('usage', `${channel} has no products; use --market`);
    if (ethgas.marketType && market === undefined) {
      throw new CliError('usage', `${channel} needs --market, one of: ${MARKET_TYPES.join(', ')}`);
    }
    if (!ethgas.marketType && market !== undefined)
      throw new CliError('usage', `${channel} takes no --market`);
    if (market !== undefined && !MARKET_TYPES.some((each) => each === market)) {
      throw new CliError(
        'usage',
        `there is no market "${printable(market, 40)}"; there are: ${MARKET_TYPES.join(', ')}`,
      );
    }
    const arg = { channel, ...(market === undefined ? {} : { marketType: market }) };
    return { dialect: 'ethgas', channel, private: ethgas.private, arg };
  }
  const coinbase = COINBASE_CHANNELS.find((row) => row.name === channel);
  if (!coinbase) {
    const known = [...ETHGAS_CHANNELS, ...COINBASE_CHANNELS].map((row) => row.name).join(', ');
    throw new CliError('usage', `there is no channel "${printable(channel, 40)}"; there are: ${known}`);
  }
  if (market !== undefined) throw new CliError('usage', `${channel} has no markets; use --product`);
  if (coinbase.products && products.length === 0) {
    throw new CliError('usage', `${channel} needs --product, for example ETH-USD`);
  }
  return { dialect: 'coinbase', channel, private: coinbase.private, products: [...products] };
}
