/**
 * Signatures of contract wallets: ERC-1271 for deployed ones, ERC-6492 for those that are not deployed yet.
 * Off for every chain without a configured endpoint (R35).
 *
 * What makes such a signature valid lives on the chain and can change there, so a session of a contract
 * wallet is proved again at each refresh. The store keeps no secret and no signature; instead the signature
 * travels inside the session's refresh tokens, which we sign and the client keeps, and each refresh asks the
 * wallet about it again. A wallet that has since removed its owner, or is gone, ends the session.
 */
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

/** `isValidSignature(bytes32,bytes)`, and the value that says yes (ERC-1271). */
const SELECTOR = '1626ba7e';
const YES = `0x${SELECTOR}${'0'.repeat(56)}`;
/** ERC-6492: these 32 bytes at the end mark a wrapped signature. */
const WRAPPED_SUFFIX = '6492'.repeat(16);
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
  const factories = new Set(config.wallet.factories.map((factory) => factory.slice(2).toLowerCase()));
  const chains = new Map<number, ChainRpc>();
  for (const [id, url] of Object.entries(config.wallet.rpc))
    chains.set(Number(id), createChainRpc({ url, chainId: Number(id), clock, timeoutMs }));

  const saysYes = async (rpc: ChainRpc, call: { to?: string; data: string; gas: string }): Promise<boolean> =>
    // ERC-1271 returns `bytes4`, which the ABI pads on the right: any other 32 bytes, or another length, is a no.
    (await rpc.call('eth_call', [call, 'latest']))?.toLowerCase() === YES;

  async function ask(rpc: ChainRpc, proof: ContractProof): Promise<boolean> {
    const signature = hex(proof.signature);
    // ERC-6492, verification order: the suffix decides before anything else is tried.
    if (signature.endsWith(WRAPPED_SUFFIX)) return askWrapped(rpc, proof, signature);
    return saysYes(rpc, {
      to: proof.address,
      data: `0x${question(proof.digest, signature)}`,
      gas: CHECK_GAS,
    });
  }

  async function askWrapped(rpc: ChainRpc, proof: ContractProof, signature: string): Promise<boolean> {
    if (factories.size === 0) return false;
    const wrapped = unwrap(signature);
    if (wrapped === null || !factories.has(wrapped.factory)) return false;
    const asked = question(proof.digest, wrapped.signature);
    if (await saysYes(rpc, { to: proof.address, data: `0x${asked}`, gas: CHECK_GAS })) return true;
    const data = deploylessCall({
      factory: wrapped.factory,
      factoryData: wrapped.factoryData,
      account: proof.address.slice(2),
      question: asked,
    });
    return data !== null && saysYes(rpc, { data, gas: DEPLOY_GAS });
  }

  async function verify(proof: ContractProof): Promise<ContractVerdict> {
    const rpc = chains.get(proof.chainId);
    if (rpc === undefined) return 'invalid';
    if (proof.signature.length === 0 || proof.signature.length > MAX_CONTRACT_SIGNATURE) return 'invalid';
    try {
      return (await ask(rpc, proof)) ? 'valid' : 'invalid';
    } catch (problem) {
      onProblem(problem);
      return 'unavailable';
    }
  }

  return { serves: (chainId) => chains.has(chainId), verify, stillValid: verify };
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const word = (value: number): string => value.toString(16).padStart(64, '0');
const padded = (text: string): string => text.padEnd(Math.ceil(text.length / 64) * 64, '0');

/** Call data of `isValidSignature(digest, signature)`, without `0x`. */
const question = (digest: Uint8Array, signature: string): string =>
  SELECTOR + hex(digest) + word(64) + word(signature.length / 2) + padded(signature);

/** Takes `abi.encode(address factory, bytes factoryData, bytes signature) ‖ suffix` apart; null if it is not that. */
function unwrap(signature: string): { factory: string; factoryData: string; signature: string } | null {
  const body = signature.slice(0, -WRAPPED_SUFFIX.length);
  const factoryWord = body.slice(0, 64);
  if (!/^0{24}[0-9a-f]{40}$/.test(factoryWord)) return null;
  const factoryData = bytesAt(body, 1);
  const inner = bytesAt(body, 2);
  if (factoryData === null || inner === null) return null;
  return { factory: factoryWord.slice(24), factoryData, signature: inner };
}

/** The dynamic `bytes` whose offset stands in the head's word `index`. */
function bytesAt(body: string, index: number): string | null {
  const offset = smallNumber(body.slice(index * 64, index * 64 + 64));
  if (offset === null) return null;
  const length = smallNumber(body.slice(offset * 2, offset * 2 + 64));
  if (length === null) return null;
  const start = offset * 2 + 64;
  const text = body.slice(start, start + length * 2);
  return text.length === length * 2 ? text : null;
}

function smallNumber(text: string): number | null {
  return /^0{56}[0-9a-f]{8}$/.test(text) ? Number.parseInt(text, 16) : null;
}
