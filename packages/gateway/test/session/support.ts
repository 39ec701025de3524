/** A whole identity side over a real SQLite file, with a clock that the test moves, and wallets that sign. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ErrorCode, Refusal } from '@countersign/protocol';
import {
  addressOfPrivateKey,
  hashTypedData,
  personalMessageHash,
  ready,
  signDigest,
  type TypedData,
} from '@countersign/tokens';
import { createFakeClock, type FakeClock } from '../../../testkit/src/fake-clock.ts';
import type { Broker } from '../../src/broker/broker.ts';
import { createMemoryBroker } from '../../src/broker/memory.ts';
import { type Config, type ConfigInput, parseConfig } from '../../src/operations/config.ts';
import { createSteadyClock } from '../../src/operations/steady-clock.ts';
import type { BearerScheme } from '../../src/session/authenticate.ts';
import type { FailureLimiter } from '../../src/session/failure-limiter.ts';
import { createIdentity, type Identity, type IdentityDependencies } from '../../src/session/identity.ts';
import { openKeyEncryption } from '../../src/session/key-encryption.ts';
import type { SignedIn } from '../../src/session/sessions.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import type { Store } from '../../src/store/store.ts';
import { channelTable } from '../../src/streams/channel.ts';

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;
export const SOURCE = '192.0.2.1';

export interface House extends Identity {
  clock: FakeClock;
  config: Config;
  store: Store;
  broker: Broker;
  problems: unknown[];
  /** Another node on the same store and clock, with a broker of its own: it hears no signal of the first. */
  secondNode<Schemes extends Record<string, BearerScheme> = Record<string, never>>(
    options?: Partial<IdentityDependencies<Schemes>>,
  ): Promise<Identity<Schemes>>;
  /** Lets time pass and lets the background read what happened meanwhile. */
  pass(ms: number): Promise<void>;
  audited(): Promise<
    { action: string; actor: string; target: string; source: string | null; detail: string }[]
  >;
  dispose(): Promise<void>;
}

export async function openHouse(
  settings: ConfigInput = {},
  options: { failures?: FailureLimiter; random?: (n: number) => Uint8Array } = {},
): Promise<House> {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-session-'));
  const config = parseConfig(settings);
  const clock = createFakeClock();
  const store = await openSqliteStore({ path: join(folder, 'store.db') });
  const kek = openKeyEncryption(folder);
  const problems: unknown[] = [];
  const nodes: Identity[] = [];
  const node = async <Schemes extends Record<string, BearerScheme> = Record<string, never>>(
    more: Partial<IdentityDependencies<Schemes>> = {},
  ): Promise<[Identity<Schemes>, Broker]> => {
    const broker = createMemoryBroker({ clock, channels: channelTable([]) });
    const identity = await createIdentity<Schemes>({
      store,
      broker,
      clock: createSteadyClock(clock),
      config,
      kek,
      random: randomBytes,
      onProblem: (problem) => problems.push(problem),
      ...options,
      ...more,
    });
    nodes.push(identity);
    return [identity, broker];
  };
  const [identity, broker] = await node();
  return {
    ...identity,
    clock,
    config,
    store,
    broker,
    problems,
    secondNode: async (more) => (await node(more))[0],
    async pass(ms) {
      clock.advance(ms);
      for (const each of nodes) await each.changes.catchUp();
    },
    audited: () => store.audit.list({ limit: 1000 }),
    async dispose() {
      for (const each of nodes) each.close();
      await broker.close();
      await store.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export interface Wallet {
  address: string;
  signDigest(digest: Uint8Array): string;
  /** Signs typed data given as JSON, as the seed clients do. */
  signTypedData(json: string): string;
  signText(text: string): string;
}

await ready();

export function wallet(name = 'ada'): Wallet {
  const key = createHash('sha256').update(`wallet ${name}`).digest();
  const sign = (digest: Uint8Array): string => signDigest(digest, key);
  return {
    address: addressOfPrivateKey(key),
    signDigest: sign,
    signTypedData: (json) => sign(hashTypedData(JSON.parse(json) as TypedData)),
    signText: (text) => sign(personalMessageHash(text)),
  };
}

export async function challenge(
  house: Identity,
  of: Wallet,
  more: { chainId?: string | number; source?: string; name?: string } = {},
): Promise<{ eip712Message: string; nonceHash: string }> {
  const message = await house.walletLogin.begin({ addr: of.address, source: SOURCE, ...more });
  if (!('eip712Message' in message)) throw new Error('no typed data');
  return message;
}

export async function login(
  house: Identity,
  of: Wallet = wallet(),
  more: { rotation?: 'strict' | 'adaptive'; userAgent?: string | null; source?: string } = {},
): Promise<SignedIn> {
  const { eip712Message, nonceHash } = await challenge(house, of);
  return house.walletLogin.complete({
    addr: of.address,
    nonceHash,
    signature: of.signTypedData(eip712Message),
    source: SOURCE,
    userAgent: 'test',
    ...more,
  });
}

export const context = { source: SOURCE, userAgent: 'test' };

/** The refusal that a task ends in; fails if it does not. */
export async function refusal(task: () => unknown): Promise<Refusal> {
  try {
    await task();
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
  throw new Error('was not refused');
}

export const refusedAs = async (task: () => unknown): Promise<ErrorCode> => (await refusal(task)).code;
