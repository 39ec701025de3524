/** API keys over a real SQLite file and a clock that the test moves, and tokens signed as any client could sign them. */
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { type ErrorCode, Refusal } from '@countersign/protocol';
import { type ImportedPrivateKey, importPrivateKey, type verifyParsed } from '@countersign/tokens/node';
import { type ApiKeyScheme, createApiKeyScheme } from '../../src/session/api-key-scheme.ts';
import {
  type ApiKeys,
  type CreatedKey,
  createApiKeys,
  type KeyActor,
  type KeyWish,
} from '../../src/session/api-keys.ts';
import type { BearerContext } from '../../src/session/authenticate.ts';
import { createFailureLimiter } from '../../src/session/failure-limiter.ts';
import type { Identity } from '../../src/session/identity.ts';
import type { Authentication } from '../../src/session/principal.ts';
import { createMemoryReplayCache } from '../../src/session/replay-cache.ts';
import type { Store, User } from '../../src/store/store.ts';
import { type House, openHouse, wallet } from './support.ts';

export const HOST = '127.0.0.1:4400';
export const OPERATOR: KeyActor = { owner: null, actor: 'operator:test', source: null };

export interface KeyHouse {
  house: House;
  /** The identity services of the node under test. */
  node: Identity;
  scheme: ApiKeyScheme;
  keys: ApiKeys;
  /** Another start of the gateway on the same data: nothing is left of what was in memory. */
  restart(): Promise<{ scheme: ApiKeyScheme; keys: ApiKeys; node: Identity }>;
  user(name: string): Promise<User>;
  /** What the node says to a token, on a WebSocket unless said otherwise. @throws Refusal */
  ask(jwt: string, context?: BearerContext): Promise<Authentication>;
  /** The same, as `accepted` or the code of the refusal. */
  answer(jwt: string, context?: BearerContext): Promise<'accepted' | ErrorCode>;
  /** A key made by an operator, with its private half ready to sign. */
  make(userId: number, wish?: Partial<KeyWish>): Promise<TestKey>;
}

export interface TestKey extends CreatedKey {
  name: string;
  keyId: string;
  signer: ImportedPrivateKey;
}

export async function openKeyHouse(
  options: {
    apiKeys?: (store: Store) => Partial<Store['apiKeys']>;
    checkSignature?: typeof verifyParsed;
  } = {},
): Promise<KeyHouse> {
  const house = await openHouse();
  const { store, clock, config } = house;
  const apiKeys = { ...store.apiKeys, ...options.apiKeys?.(store) };

  async function start() {
    const node = await house.secondNode({
      schemes: ({ directory, changes }) => ({
        apiKeys: createApiKeyScheme({
          store: { apiKeys },
          changes,
          directory,
          clock,
          config: config.keys,
          replay: createMemoryReplayCache({ clock }),
          failures: createFailureLimiter({ clock }),
          hosts: () => [HOST, 'localhost:4400'],
          ...(options.checkSignature ? { checkSignature: options.checkSignature } : {}),
        }),
      }),
    });
    const scheme = node.schemes.apiKeys;
    const { registered } = scheme;
    const keys = createApiKeys({
      store,
      changes: node.changes,
      clock,
      random: randomBytes,
      issuer: 'test',
      registered,
    });
    return { node, scheme, keys };
  }

  const first = await start();
  const ask = async (jwt: string, context: BearerContext = websocket()) =>
    first.node.authenticator.bearer(jwt, context);
  return {
    house,
    ...first,
    restart: start,
    ask,
    async answer(jwt, context) {
      try {
        await ask(jwt, context);
        return 'accepted';
      } catch (error) {
        if (error instanceof Refusal) return error.code;
        throw error;
      }
    },
    user: (name) =>
      store.users.create({
        address: wallet(name).address,
        displayName: null,
        ...config.wallet.newUser,
        createdAt: clock.now(),
      }),
    async make(userId, wish = {}) {
      const whole: KeyWish = { nickname: 'test', scopes: ['view', 'trade'], ...wish };
      const created = await first.keys.create(userId, whole, OPERATOR);
      const { name, keyId } = created.key;
      return { ...created, name, keyId, signer: importPrivateKey(created.privateKey ?? '') };
    },
  };
}

export const websocket = (more: Partial<BearerContext> = {}): BearerContext => ({
  door: 'websocket',
  address: '192.0.2.1',
  source: '192.0.2.1',
  ...more,
});

export const rest = (
  method = 'GET',
  path = '/api/v3/brokerage/accounts',
  more: Partial<BearerContext> = {},
) => ({ ...websocket(), door: 'rest', method, path, host: HOST, ...more }) as BearerContext;

export interface TokenParts {
  header?: object;
  claims?: object;
  /** Members taken out of the claims. */
  without?: string[];
}

/** Header and claims of the Python SDK, with whatever a test changes in them. */
export function parts(
  name: string,
  now: number,
  { header = {}, claims = {}, without = [] }: TokenParts = {},
) {
  const at = Math.floor(now / 1000);
  const whole: Record<string, unknown> = { sub: name, iss: 'cdp', nbf: at, exp: at + 120, ...claims };
  for (const member of without) delete whole[member];
  return {
    header: { alg: 'ES256', kid: name, nonce: randomBytes(32).toString('hex'), typ: 'JWT', ...header },
    claims: whole,
  };
}

const encode = (part: unknown): string =>
  Buffer.from(Buffer.isBuffer(part) ? part : typeof part === 'string' ? part : JSON.stringify(part)).toString(
    'base64url',
  );

/** Signs any header and claims, with OpenSSL directly: nothing of ours is in the way of what a test wants to send. */
export function signParts(
  header: unknown,
  claims: unknown,
  key: KeyObject,
  alg: 'ES256' | 'EdDSA' = 'ES256',
): string {
  const input = `${encode(header)}.${encode(claims)}`;
  const signature =
    alg === 'ES256'
      ? sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' })
      : sign(null, Buffer.from(input), key);
  return `${input}.${signature.toString('base64url')}`;
}

/** A token of a key, as the Python SDK signs it. */
export function token({ name, signer, key }: TestKey, now: number, changes: TokenParts = {}): string {
  const { header, claims } = parts(name, now, { header: { alg: key.alg }, ...changes });
  return signParts(header, claims, signer.key, key.alg);
}

export const freshPair = (curve = 'P-256') => generateKeyPairSync('ec', { namedCurve: curve });

/** Order of P-256 (FIPS 186-5, SEC 2). */
const N = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

/** The other signature over the same bytes that ECDSA accepts: `(r, n - s)`. */
export function twin(jwt: string): string {
  const [header, claims, signature = ''] = jwt.split('.');
  const bytes = Buffer.from(signature, 'base64url');
  const s = N - BigInt(`0x${bytes.subarray(32).toString('hex')}`);
  const other = Buffer.concat([bytes.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, '0'), 'hex')]);
  return `${header}.${claims}.${other.toString('base64url')}`;
}

/** The same signature in other characters: the last of them has bits that decoders drop. */
export function trailingBitTwin(jwt: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const last = alphabet.indexOf(jwt.at(-1) ?? '');
  return jwt.slice(0, -1) + alphabet[last ^ 1];
}
