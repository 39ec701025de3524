/** Unsigned transactions that look like the real ones. Nothing here can be sent to a chain. */
import { seeded } from '../engine/random.ts';
import type { Json, JsonObject } from '../publication.ts';
import {
  address,
  amount,
  CHAIN_IDS,
  ChainworksError,
  chain,
  type Family,
  oneOf,
  type Parameters,
  whole,
} from './parameters.ts';
import { type Quote, quote } from './pool.ts';

/** Approvals that were asked for; a sell through V2 needs one. Bounded, oldest forgotten. */
export type Approvals = Set<string>;
const APPROVALS_MAX = 10_000;

const EVM_ROUTES = ['Public', 'Private', 'Both'] as const;
const SVM_ROUTES = ['Public', 'PublicWithNonce', 'Antimev', 'AntimevWithNonce'] as const;
/** A simulated wallet holds so much of anything: 10^27 smallest units. */
const WALLET = 10n ** 27n;
const BRIBE_MIN = 1_000_000;

export function swap(
  seed: string,
  family: Family,
  buys: boolean,
  parameters: Parameters,
  approvals: Approvals,
): Json {
  const quoted = quote(seed, family, buys, parameters);
  const wallet = simulatedWallet(family, parameters);
  const slippage = whole(parameters, 'slippageBps', 100, 0, 10_000);
  const fee = whole(parameters, 'feeBps', 0, 0, 175);
  if (fee > 0) address(family, parameters, 'feeRecipient', 'INVALID_WALLET');
  if (family === 'svm') svmFees(parameters);
  else {
    oneOf(parameters, 'sendRoute', EVM_ROUTES, 'Public');
    if (!buys) requireApproval(quoted, wallet, parameters, approvals);
  }
  if (quoted.amountIn > WALLET)
    throw new ChainworksError('INSUFFICIENT_BALANCE', 'The wallet does not hold that much');
  const minimum = (quoted.amountOut * BigInt(10_000 - slippage)) / 10_000n;
  const value = family === 'evm' && buys ? quoted.amountIn : 0n;
  return {
    ...quoted.result,
    minimumAmountOut: String(minimum),
    slippageBps: slippage,
    feeBps: fee,
    transaction: transaction(seed, quoted.chain, `${wallet}/${quoted.token}/${quoted.amountIn}`, value),
  };
}

export function approve(seed: string, parameters: Parameters, approvals: Approvals): Json {
  const on = chain('evm', parameters);
  const token = address('evm', parameters, 'token', 'INVALID_TOKEN');
  const wallet = simulatedWallet('evm', parameters);
  const spender = address('evm', parameters, 'spender', 'INVALID_WALLET');
  approvals.add(approval(on, wallet, token));
  if (approvals.size > APPROVALS_MAX) approvals.delete(approvals.values().next().value!);
  return {
    chain: on,
    token,
    spender,
    transaction: transaction(seed, on, `${wallet}/${token}/${spender}`, 0n),
  };
}

export function transfer(seed: string, what: 'native' | 'token' | 'multi', parameters: Parameters): Json {
  const on = chain('svm', parameters);
  const wallet = simulatedWallet('svm', parameters);
  const detail: JsonObject = {};
  let total = 0n;
  if (what === 'multi') {
    const { recipients } = parameters;
    if (!Array.isArray(recipients) || recipients.length === 0 || recipients.length > 20) {
      throw new ChainworksError('MISSING_PARAMETER', 'recipients must be a list of 1 to 20');
    }
    detail.recipients = (recipients as unknown[]).map((entry): Json => {
      const each = (typeof entry === 'object' && entry !== null ? entry : {}) as Parameters;
      const sum = amount(each, 'amount');
      total += sum;
      return { address: address('svm', each, 'address', 'INVALID_WALLET'), amount: String(sum) };
    });
  } else {
    detail.recipient = address('svm', parameters, 'recipient', 'INVALID_WALLET');
    total = amount(parameters, 'amount');
    detail.amount = String(total);
  }
  if (what === 'token') {
    detail.token = address('svm', parameters, 'token', 'INVALID_TOKEN');
    detail.ensureRecipientAssociatedTokenAccount = parameters.ensureRecipientAssociatedTokenAccount !== false;
  }
  svmFees(parameters);
  if (total > WALLET) throw new ChainworksError('INSUFFICIENT_BALANCE', 'The wallet does not hold that much');
  return { chain: on, ...detail, transaction: transaction(seed, on, `${wallet}/${what}/${total}`, total) };
}

/** Wallets whose endings ask for a refusal are refused with it. */
function simulatedWallet(family: Family, parameters: Parameters): string {
  const wallet = address(family, parameters, 'wallet', 'INVALID_WALLET');
  if (/dead$/i.test(wallet))
    throw new ChainworksError('TRANSACTION_SIMULATION_FAILED', 'The simulated transaction failed');
  if (/feed$/i.test(wallet)) throw new ChainworksError('NONCE_TOO_LOW', 'The nonce of the wallet is too low');
  return wallet;
}

const approval = (on: string, wallet: string, token: string): string =>
  `${on}/${wallet}/${token}`.toLowerCase();

function requireApproval(quoted: Quote, wallet: string, parameters: Parameters, approvals: Approvals): void {
  if (quoted.dex === 'UniswapV3') {
    if (parameters.permit !== undefined) return;
    throw new ChainworksError('PERMIT_REQUIRED_FOR_V3_SELL', 'A sell through V3 needs a permit');
  }
  if (approvals.has(approval(quoted.chain, wallet, quoted.token))) return;
  throw new ChainworksError('APPROVAL_REQUIRED', 'Approve the token first');
}

function svmFees(parameters: Parameters): void {
  const route = oneOf(parameters, 'sendRoute', SVM_ROUTES, 'Public');
  whole(parameters, 'prioFees', 0, 0, Number.MAX_SAFE_INTEGER);
  if (route !== 'Public') {
    if (parameters.bribeFees === undefined)
      throw new ChainworksError('MISSING_PARAMETER', 'bribeFees is required');
    whole(parameters, 'bribeFees', BRIBE_MIN, BRIBE_MIN, Number.MAX_SAFE_INTEGER);
  }
  if (route.endsWith('WithNonce')) address('svm', parameters, 'nonceAccount', 'INVALID_WALLET');
}

function transaction(seed: string, on: string, what: string, value: bigint): Json {
  const random = seeded(seed, `transaction/${on}/${what}`);
  const chainId = CHAIN_IDS[on];
  if (chainId === undefined) return Buffer.from(random.hex(240), 'hex').toString('base64');
  return {
    to: `0x${random.hex(20)}`,
    data: `0x${random.hex(132)}`,
    value: String(value),
    gas: String(150_000 + random.int(100_000)),
    chainId,
  };
}
