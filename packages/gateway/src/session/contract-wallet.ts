/**
 * Signatures of contract wallets: ERC-1271 for deployed ones, ERC-6492 for those that are not deployed yet.
 * Off for every chain without a configured endpoint (R35).
 *
 * What makes such a signature valid lives on the chain and can change there, so a session of a contract
 * wallet is proved again at each refresh. The store keeps no secret and no signature; instead the signature
 * travels inside the session's refresh tokens, which we sign and the client keeps, and each refresh asks the
 * wallet about it again. A wallet that has since removed its owner, or is gone, ends the session.
 */
import {
  encodeIsValidSignature,
  isValidSignatureResult,
  TokenError,
  unwrapErc6492,
} from '@countersign/tokens';
import type { Clock } from '../operations/clock.ts';
import type { Config } from '../operations/config.ts';
import { deploylessCall } from './deployless-call.ts';
import { type ChainRpc, createChainRpc } from './json-rpc.ts';

/** What was signed and how: enough to ask the wallet again. */
export interface ContractProof {
  /** Lower-case `0x` address. */
  address: string;
  chainId: number;
  /** 32 bytes. */
  digest: Uint8Array;
  signature: Uint8Array;
}

/** `unavailable`: the endpoint gave no usable answer, so nothing is known. Never treat it as valid. */
export type ContractVerdict = 'valid' | 'invalid' | 'unavailable';

export interface ContractWallets {
  serves(chainId: number): boolean;
  /** Never throws and never takes much longer than a few endpoint timeouts. */
  verify(proof: ContractProof): Promise<ContractVerdict>;
  /** Asks again about the proof that a session began with. */
  stillValid(proof: ContractProof): Promise<ContractVerdict>;
}

/** The proof must fit into a refresh token, and that into a cookie of 4 KiB. */
export const MAX_CONTRACT_SIGNATURE = 1536;

/** Generous for a signature check, small for an endpoint. A check that needs more is refused. */
const CHECK_GAS = '0x4c4b40';
const DEPLOY_GAS = '0x989680';

export function createContractWallets({
  config,
  clock,
  timeoutMs = 2000,
  onProblem = () => {},
}: {
  config: Pick<Config, 'wallet'>;
  clock: Clock;
  timeoutMs?: number;
  onProblem?: (problem: unknown) => void;
}): ContractWallets {
  const factories = new Set(config.wallet.factories.map((factory) => factory.toLowerCase()));
  const chains = new Map<number, ChainRpc>();
  for (const [id, url] of Object.entries(config.wallet.rpc))
    chains.set(Number(id), createChainRpc({ url, chainId: Number(id), clock, timeoutMs }));

  async function saysYes(rpc: ChainRpc, call: { to?: string; data: string; gas: string }): Promise<boolean> {
    const result = await rpc.call('eth_call', [call, 'latest']);
    return result !== null && isValidSignatureResult(result);
  }

  async function ask(rpc: ChainRpc, { address, digest, signature }: ContractProof): Promise<boolean> {
    // ERC-6492, verification order: the mark of a wrapped signature decides before anything else is tried.
    const wrapped = unwrapErc6492(signature);
    if (wrapped !== undefined && !factories.has(wrapped.factory)) return false;
    const question = encodeIsValidSignature(digest, wrapped?.signature ?? signature);
    if (await saysYes(rpc, { to: address, data: question, gas: CHECK_GAS })) return true;
    if (wrapped === undefined) return false;
    const data = deploylessCall({
      factory: wrapped.factory,
      factoryData: wrapped.factoryData,
      account: address,
      question,
    });
    return saysYes(rpc, { data, gas: DEPLOY_GAS });
  }

  async function verify(proof: ContractProof): Promise<ContractVerdict> {
    const rpc = chains.get(proof.chainId);
    if (rpc === undefined) return 'invalid';
    if (proof.signature.length === 0 || proof.signature.length > MAX_CONTRACT_SIGNATURE) return 'invalid';
    try {
      return (await ask(rpc, proof)) ? 'valid' : 'invalid';
    } catch (problem) {
      if (problem instanceof TokenError) return 'invalid';
      onProblem(problem);
      return 'unavailable';
    }
  }

  return { serves: (chainId) => chains.has(chainId), verify, stillValid: verify };
}
