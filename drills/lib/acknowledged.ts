/**
 * What was acknowledged about sessions, written down outside of the gateway (a file that is synced before the next request
 * of a lane), and held against the gateway after a fault.
 */
import { closeSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { type HttpClient, type LoadWallet, postForm } from '@countersign/testkit';

const AT_ONCE = 20;

export type Acknowledged =
  | { kind: 'login'; wallet: number; nonce: string; signature: string; refreshToken: string }
  | { kind: 'refresh'; refreshToken: string }
  /** Written before the request: without an answer, nobody may say whether the session still lives. */
  | { kind: 'logout-begun'; refreshToken: string }
  | { kind: 'logout'; refreshToken: string };

export interface Oracle {
  /** Appends one line and syncs it before anything else may happen. */
  acknowledge(entry: Acknowledged): void;
  close(): void;
}

export function createOracle(path: string): Oracle {
  const file = openSync(path, 'a');
  return {
    acknowledge(entry: Acknowledged) {
      writeSync(file, `${JSON.stringify(entry)}\n`);
      fsyncSync(file);
    },
    close: () => closeSync(file),
  };
}

/** @param skip entries that were read before */
export const acknowledgedIn = (path: string, skip = 0): Acknowledged[] =>
  readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .slice(skip)
    .map((line) => JSON.parse(line) as Acknowledged);

export interface Tally {
  logins: number;
  refreshes: number;
  logouts: number;
  lost: number;
  resurrected: number;
  nonceAcceptedTwice: number;
}

export const noTally = (): Tally => ({
  logins: 0,
  refreshes: 0,
  logouts: 0,
  lost: 0,
  resurrected: 0,
  nonceAcceptedTwice: 0,
});

/** Holds what the oracle knows against the gateway: what was promised to be lost, back, or accepted twice. */
export async function check(
  client: HttpClient,
  wallets: LoadWallet[],
  entries: Acknowledged[],
): Promise<Tally> {
  const tally = noTally();
  const named = (kind: Acknowledged['kind']) =>
    new Set(entries.filter((entry) => entry.kind === kind).map((entry) => entry.refreshToken));
  const ended = named('logout');
  const ending = named('logout-begun');
  await eachBounded(entries, AT_ONCE, async (entry) => {
    if (entry.kind === 'refresh') tally.refreshes += 1;
    if (entry.kind === 'logout') tally.logouts += 1;
    if (entry.kind !== 'login') return;
    tally.logins += 1;
    const refreshed = await postForm(client, '/v1/user/login/refresh', { refreshToken: entry.refreshToken });
    if (ended.has(entry.refreshToken)) tally.resurrected += refreshed.status === 403 ? 0 : 1;
    else if (!ending.has(entry.refreshToken)) tally.lost += refreshed.status === 200 ? 0 : 1;
    const { address } = wallets[entry.wallet]!;
    const again = await postForm(client, '/v1/user/login/verify', {
      addr: address,
      nonceHash: entry.nonce,
      signature: entry.signature,
    });
    tally.nonceAcceptedTwice += again.status === 200 ? 1 : 0;
  });
  return tally;
}

async function eachBounded<T>(
  items: readonly T[],
  width: number,
  task: (item: T) => Promise<void>,
): Promise<void> {
  const queue = [...items];
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (let item = queue.shift(); item !== undefined; item = queue.shift()) await task(item);
    }),
  );
}
