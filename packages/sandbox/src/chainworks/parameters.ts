/** Reads the parameters of Chainworks requests, and names what is wrong with them in that API's codes. */

export type ChainworksCode =
  | 'INVALID_CHAIN'
  | 'INVALID_TOKEN'
  | 'INVALID_WALLET'
  | 'INVALID_AMOUNT'
  | 'MISSING_PARAMETER'
  | 'INSUFFICIENT_LIQUIDITY'
  | 'PRICE_IMPACT_TOO_HIGH'
  | 'TOKEN_NOT_TRADEABLE'
  | 'NO_ROUTE_FOUND'
  | 'INSUFFICIENT_BALANCE'
  | 'APPROVAL_REQUIRED'
  | 'PERMIT_REQUIRED_FOR_V3_SELL'
  | 'TRANSACTION_SIMULATION_FAILED'
  | 'NONCE_TOO_LOW';

/** A failure that the requester is told in the reply. */
export class ChainworksError extends Error {
  override readonly name = 'ChainworksError';
  readonly code: ChainworksCode;
  constructor(code: ChainworksCode, message: string) {
    super(message);
    this.code = code;
  }
}

export type Parameters = { readonly [name: string]: unknown };
export type Family = 'evm' | 'svm';

export const CHAIN_IDS: Readonly<Record<string, number>> = { eth: 1, base: 8453, bsc: 56 };

const ADDRESS: Readonly<Record<Family, RegExp>> = {
  evm: /^0x[0-9a-fA-F]{40}$/,
  // Base58 of 32 bytes.
  svm: /^[1-9A-HJ-NP-Za-km-z]{32,44}$/,
};

const missing = (name: string): ChainworksError =>
  new ChainworksError('MISSING_PARAMETER', `${name} is required`);

export function chain(family: Family, { chain: value }: Parameters): string {
  if (value === undefined) throw missing('chain');
  const known =
    family === 'svm' ? value === 'sol' : typeof value === 'string' && Object.hasOwn(CHAIN_IDS, value);
  if (known) return value as string;
  throw new ChainworksError(
    'INVALID_CHAIN',
    family === 'svm' ? 'chain must be sol' : 'chain must be eth, base or bsc',
  );
}

/** An address parameter; `code` says which kind of thing it names. */
export function address(
  family: Family,
  parameters: Parameters,
  name: string,
  code: 'INVALID_TOKEN' | 'INVALID_WALLET',
): string {
  const value = parameters[name];
  if (value === undefined) throw missing(name);
  if (typeof value === 'string' && ADDRESS[family].test(value)) return value;
  throw new ChainworksError(code, `${name} is not an address of this chain`);
}

/** A positive integer string of the smallest units. */
export function amount(parameters: Parameters, name: string): bigint {
  const value = parameters[name];
  if (value === undefined) throw missing(name);
  if (typeof value === 'string' && /^[1-9]\d{0,39}$/.test(value)) return BigInt(value);
  throw new ChainworksError('INVALID_AMOUNT', `${name} must be a positive whole number as a string`);
}

/** A whole number in a range, or `fallback` where it is left out. */
export function whole(
  parameters: Parameters,
  name: string,
  fallback: number,
  low: number,
  high: number,
): number {
  const value = parameters[name];
  if (value === undefined) return fallback;
  const number = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value;
  if (typeof number === 'number' && Number.isSafeInteger(number) && number >= low && number <= high)
    return number;
  throw new ChainworksError('INVALID_AMOUNT', `${name} must be between ${low} and ${high}`);
}

export function oneOf<T extends string>(
  parameters: Parameters,
  name: string,
  words: readonly T[],
  fallback?: T,
): T {
  const value = parameters[name] ?? fallback;
  if (value === undefined) throw missing(name);
  if (words.includes(value as T)) return value as T;
  throw new ChainworksError('MISSING_PARAMETER', `${name} must be ${words.join(', ')}`);
}
