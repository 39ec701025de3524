/**
 * What the rules around a signature cost: API-key tokens as they come in a subscribe, each seen for the first
 * time, through the gateway's own authenticator (parse, key record, signature, claims, revocation, replay), beside
 * `node:crypto` verifying the same signatures and nothing else. In one process, in turn.
 *
 * Run: npm run bench -- verify [--rounds 5] [--seconds 3]
 */
import {
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  randomBytes,
  sign,
  verify as verifySignature,
} from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createMemoryBroker } from '../packages/gateway/src/broker/memory.ts';
import { systemClock } from '../packages/gateway/src/operations/clock.ts';
import { parseConfig } from '../packages/gateway/src/operations/config.ts';
import { createApiKeyScheme } from '../packages/gateway/src/session/api-key-scheme.ts';
import { createApiKeys, type Scope } from '../packages/gateway/src/session/api-keys.ts';
import type { Authenticator } from '../packages/gateway/src/session/authenticate.ts';
import { createFailureLimiter } from '../packages/gateway/src/session/failure-limiter.ts';
import { createIdentity } from '../packages/gateway/src/session/identity.ts';
import { openKeyEncryption } from '../packages/gateway/src/session/key-encryption.ts';
import { createMemoryReplayCache } from '../packages/gateway/src/session/replay-cache.ts';
import { openSqliteStore } from '../packages/gateway/src/store/sqlite.ts';
import { channelTable } from '../packages/gateway/src/streams/channel.ts';
import { type Figures, measure, median, percentile } from './lib/rounds.ts';

/** Keys that take turns, so that no single record stays in the processor's cache by itself. */
const KEYS = 100;
/** Tokens in a row by one side. */
const SLICE = 20;

interface Made {
  token: string;
  input: Buffer;
  signature: Buffer;
  publicKey: KeyObject;
}

interface Signer {
  name: string;
  privateKey: KeyObject;
  publicKey: KeyObject;
}

export async function verify({ rounds, seconds }: { rounds: number; seconds: number }): Promise<void> {
  const house = await openHouse();
  try {
    await measure('verify', [{ name: 'both', run: () => inTurns(house, seconds) }], rounds);
  } finally {
    await house.close();
  }
}

async function authenticated({ authenticator }: House, made: Made[]): Promise<void> {
  const context = { door: 'websocket', address: '192.0.2.1', source: '192.0.2.1' } as const;
  for (const { token } of made) await authenticator.bearer(token, context);
}

async function bare(made: Made[]): Promise<void> {
  for (const { input, signature, publicKey: key } of made) {
    if (!verifySignature('sha256', input, { key, dsaEncoding: 'ieee-p1363' }, signature))
      throw new Error('a good signature was refused');
  }
}

/**
 * A few tokens by one, a few by the other, and so on, each slice over in a millisecond or two. Other work on the
 * machine only ever adds to a slice, so the fastest quarter of each side is what is compared, and the medians stand
 * beside it; what the collector of garbage takes is in neither.
 */
async function inTurns(house: House, seconds: number): Promise<Figures> {
  const time = async (use: (made: Made[]) => Promise<void>, first: number) => {
    const made = Array.from({ length: SLICE }, (_, n) => tokenOf(house.signers[(first + n) % KEYS]!));
    const begun = performance.now();
    await use(made);
    return ((performance.now() - begun) * 1000) / SLICE;
  };
  const pairs: { ours: number; raw: number }[] = [];
  const until = performance.now() + seconds * 1000;
  for (let turn = 0; performance.now() < until; turn += 1) {
    const ours = () => time((made) => authenticated(house, made), turn * SLICE);
    const raw = () => time(bare, turn * SLICE);
    // Every other time the other way round: neither always finds the caches warm.
    const [a, b] = turn % 2 === 0 ? [await ours(), await raw()] : [await raw(), await ours()].reverse();
    pairs.push({ ours: a!, raw: b! });
    // Timers and I/O of the house have their turn.
    await new Promise((resolve) => setImmediate(resolve));
  }
  // The first tenth is spent on compiling.
  const warm = pairs.slice(Math.ceil(pairs.length / 10));
  const oursMicros = percentile(
    warm.map(({ ours }) => ours),
    0.25,
  );
  const rawMicros = percentile(
    warm.map(({ raw }) => raw),
    0.25,
  );
  return {
    shareOfRaw: rawMicros / oursMicros,
    oursMicros,
    rawMicros,
    shareOfMedians: median(warm.map(({ raw }) => raw)) / median(warm.map(({ ours }) => ours)),
  };
}

/** As the page's Python sample makes it. */
function tokenOf({ name, privateKey, publicKey }: Signer): Made {
  const now = Math.floor(Date.now() / 1000);
  const header = { alg: 'ES256', kid: name, nonce: randomBytes(32).toString('hex'), typ: 'JWT' };
  const claims = { sub: name, iss: 'cdp', nbf: now, exp: now + 120 };
  const text = [header, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.');
  const input = Buffer.from(text);
  const signature = sign('sha256', input, { key: privateKey, dsaEncoding: 'ieee-p1363' });
  // As it comes out of the JSON of a message: one flat text. Pieces put together are slower to read, whoever reads them.
  const token = JSON.parse(JSON.stringify(`${text}.${signature.toString('base64url')}`)) as string;
  return { token, input, signature, publicKey };
}

interface House {
  signers: Signer[];
  authenticator: Authenticator;
  close(): Promise<void>;
}

/** Everything that `gateway.ts` puts around an authenticator, without doors. */
async function openHouse(): Promise<House> {
  const dataDir = mkdtempSync(join(tmpdir(), 'countersign-bench-'));
  const config = parseConfig({ dataDir });
  const clock = systemClock;
  const store = await openSqliteStore({ path: join(dataDir, 'countersign.db'), clock });
  const broker = createMemoryBroker({ clock, channels: channelTable([]) });
  const identity = await createIdentity({
    store,
    broker,
    clock,
    config,
    kek: openKeyEncryption(dataDir),
    random: randomBytes,
    schemes: ({ directory, changes }) => ({
      apiKeys: createApiKeyScheme({
        store,
        changes,
        directory,
        clock,
        config: config.keys,
        replay: createMemoryReplayCache({ clock }),
        failures: createFailureLimiter({ clock }),
        hosts: () => [],
      }),
    }),
  });
  const user = await store.users.create({
    ...config.wallet.newUser,
    address: `0x${'ab'.repeat(20)}`,
    displayName: null,
    createdAt: clock.now(),
  });
  const keys = createApiKeys({
    store,
    changes: identity.changes,
    clock,
    random: randomBytes,
    issuer: config.issuer,
    registered: () => {},
  });
  const operator = { owner: null, actor: 'bench', source: null };
  const signers: Signer[] = [];
  for (let n = 0; n < KEYS; n += 1) {
    const wish = { nickname: `bench ${n}`, scopes: ['view', 'trade'] satisfies Scope[] };
    const { key, privateKey } = await keys.create(user.userId, wish, operator);
    signers.push({
      name: key.name,
      privateKey: createPrivateKey(privateKey!),
      publicKey: createPublicKey(privateKey!),
    });
  }
  return {
    signers,
    authenticator: identity.authenticator,
    async close() {
      identity.close();
      await broker.close();
      await store.close();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}
