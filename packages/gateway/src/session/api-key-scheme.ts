/**
 * Tokens that somebody signed with their own API key (seed 003): verified by the key record and by nothing that
 * the token says about itself. The order of the checks is their cost: size, shape, name, limiter, signature (R27).
 */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { Refusal } from '@countersign/protocol';
import {
  checkApiKeyClaims,
  type ParsedJwt,
  type PublicJwk,
  parseCompact,
  readKid,
  TokenError,
} from '@countersign/tokens';
import { publicKeyObject, replayId, verifyParsed } from '@countersign/tokens/node';
import { createAllowList } from '../operations/address.ts';
import type { Clock } from '../operations/clock.ts';
import type { Config } from '../operations/config.ts';
import type { ApiKey } from '../store/api-keys.ts';
import type { Store } from '../store/store.ts';
import type { AccessChanges } from './access-changes.ts';
import type { BearerContext, BearerScheme } from './authenticate.ts';
import type { Directory } from './directory.ts';
import type { FailureLimiter } from './failure-limiter.ts';
import type { MaybePromise } from './maybe-promise.ts';
import type { Authentication, Permission, Principal } from './principal.ts';
import type { ReplayCache, Spending } from './replay-cache.ts';

/** What a scope lets a key do, of what its owner may do. */
export const SCOPES: Readonly<Record<ApiKey['scopes'][number], readonly Permission[]>> = {
  view: ['market_data', 'account_updates'],
  trade: ['trading'],
  transfer: ['transfer'],
};

export interface ApiKeyScheme extends BearerScheme {
  /** The principal that a key stands for at an address, as things are now; null if it has no access left. */
  principal(keyId: string, address: string): Promise<Principal | null>;
  /** Makes a key that was just registered known at once, even if its name was tried before. */
  registered(name: string): void;
}

interface LoadedKey {
  record: ApiKey;
  publicKey: KeyObject;
  allows: (address: string) => boolean;
  /** What the key stands for, made of its owner as they were; made again when the owner has changed. */
  derived: { owner: Principal; principal: Principal } | null;
}

/** Keys and unknown names remembered; the one loaded longest ago is forgotten first. */
const MAX_KEYS = 20_000;
const MAX_UNKNOWN = 10_000;
/** Headers of tokens that are none of ours, remembered. */
const MAX_FOREIGN = 64;
/** What the log says of a strict token that was not spent: one code for each, then words. */
const UNSPENT: Readonly<Record<Exclude<Spending, 'spent'>, string>> = {
  used: 'replay_used: the token was used before',
  early: 'replay_early: the token is not valid yet',
  forgotten: 'replay_forgotten: the token is older than the replay cache',
  over: 'replay_over: the token is too old',
  unavailable: 'replay_unavailable: the replay cache cannot be asked',
};
/** Milliseconds for which a name that does not exist is not looked up again (R10). */
const UNKNOWN_FOR = 2000;

export function createApiKeyScheme({
  store,
  changes,
  directory,
  replay,
  failures,
  clock,
  config,
  hosts,
  checkSignature = verifyParsed,
}: {
  store: Pick<Store, 'apiKeys'>;
  changes: AccessChanges;
  directory: Directory;
  replay: ReplayCache;
  /** Counts bad signatures by key and address, so that nobody can lock a key's owner out from elsewhere. */
  failures: FailureLimiter;
  clock: Clock;
  config: Config['keys'];
  /** Hosts, with port, that this gateway answers to. */
  hosts: () => readonly string[];
  /** Default: the strict one of `tokens`. A parameter, so that what is checked can be counted. */
  checkSignature?: typeof verifyParsed;
}): ApiKeyScheme {
  const loadedKeys = new Map<string, LoadedKey>();
  const unknown = new Map<string, number>();
  const foreign = new Map<string, true>();
  /** The one seen last, with the dot behind it: nearly all tokens have it. */
  let latestForeign = '.';
  /** Taken apart to see whose it is, and next in turn to be checked: once is enough. */
  let apart: { token: string; parsed: ParsedJwt } | null = null;
  const decoys = {
    ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey,
    EdDSA: generateKeyPairSync('ed25519').publicKey,
  };

  changes.onChange((change) => {
    if (change.kind === 'api-key-changed' || change.kind === 'api-key-ended')
      loadedKeys.delete(change.subject);
  });

  async function load(name: string): Promise<LoadedKey | null> {
    const position = changes.position();
    const record = await store.apiKeys.findByName(name);
    if (record === null) {
      unknown.set(name, clock.monotonic() + UNKNOWN_FOR);
      trim(unknown, MAX_UNKNOWN);
      return null;
    }
    const loaded = loadedFrom(record);
    // A change that arrived while the store was read may not be in what was read: do not keep it (R12).
    if (changes.position() === position) {
      loadedKeys.set(record.keyId, loaded);
      trim(loadedKeys, MAX_KEYS);
    }
    return loaded;
  }

  function find(name: string, source: string): MaybePromise<LoadedKey | null> {
    const known = loadedKeys.get(name.slice(name.lastIndexOf('/') + 1));
    // The whole name counts: an id under another organisation is another key, which does not exist (R12).
    if (known?.record.name === name) return known;
    // R10, R27: names made up at random would each be a read of the store, and a verification for nothing.
    failures.check(guesser(source));
    const until = unknown.get(name);
    return until !== undefined && until > clock.monotonic() ? null : load(name);
  }

  /**
   * Verifies against a key that nobody has, so that a name which does not exist, or has a key of the other
   * algorithm, takes as long to refuse as a wrong signature: the time must not tell which names there are (R18).
   */
  function verifyDecoy(parsed: ParsedJwt): void {
    const alg = parsed.header.alg === 'ES256' ? 'ES256' : 'EdDSA';
    try {
      checkSignature(parsed, { alg, key: decoys[alg] });
    } catch (error) {
      if (!(error instanceof TokenError)) throw error;
    }
  }

  function usable({ record, allows }: LoadedKey, address: string): string | null {
    if (record.deletedAt !== null) return 'the key was deleted';
    if (!record.enabled) return 'the key is disabled';
    if (record.expiresAt !== null && record.expiresAt <= clock.now()) return 'the key has expired';
    return allows(address) ? null : "the address is not on the key's allow list";
  }

  function principalOf(loaded: LoadedKey): MaybePromise<Principal | null> {
    const { userId, keyId } = loaded.record;
    const found = directory.principal(userId, { kind: 'api-key', keyId });
    return found instanceof Promise ? found.then((owner) => derive(loaded, owner)) : derive(loaded, found);
  }

  function derive(loaded: LoadedKey, owner: Principal | null): Principal | null {
    const { record, derived } = loaded;
    if (owner === null) return null;
    if (derived?.owner === owner) return derived.principal;
    const granted = new Set(record.scopes.flatMap((scope) => SCOPES[scope]));
    const permissions = new Set([...owner.permissions].filter((permission) => granted.has(permission)));
    const tier = record.tier ?? owner.tier;
    const principal = Object.freeze({ ...owner, permissions, tier, endsAt: record.expiresAt });
    loaded.derived = { owner, principal };
    return principal;
  }

  /** @throws Refusal, at once or by the promise */
  function checkReplay(parsed: ParsedJwt, { record }: LoadedKey, context: BearerContext): MaybePromise<void> {
    const { exp, nbf, iat } = parsed.claims as { exp: number; nbf?: number; iat?: number };
    const until = (exp + config.leeway + 1) * 1000;
    const id = replayId(parsed);
    if (record.replay === 'reuse') {
      const bound = replay.bind(id, context.source, until);
      return bound instanceof Promise ? bound.then(requireBound) : requireBound(bound);
    }
    const spending = replay.spend(id, { since: (nbf ?? iat ?? 0) * 1000, until });
    return spending instanceof Promise ? spending.then(requireSpent) : requireSpent(spending);
  }

  function requireBound(bound: boolean): void {
    if (!bound) throw refusal('the token was shown from another address, or spent, before');
  }

  /** R22: what the cache cannot remember it may not let pass. */
  function requireSpent(spending: Spending): void {
    if (spending === 'unavailable') {
      // The key may be good, so the answer is to try again, with a new token: nobody knows what became of this one.
      throw new Refusal('unavailable', `api key: ${UNSPENT.unavailable}`, { retryAfter: 1 });
    }
    if (spending !== 'spent') throw refusal(UNSPENT[spending]);
  }

  function takeApart(token: string): ParsedJwt {
    const ready = apart;
    apart = null;
    return ready !== null && ready.token === token ? ready.parsed : parseCompact(token, LENIENT);
  }

  function verify(token: string, context: BearerContext): MaybePromise<Authentication> {
    const parsed = takeApart(token);
    const found = find(readKid(parsed), context.source);
    return found instanceof Promise
      ? found.then((loaded) => verifyBy(loaded, parsed, context))
      : verifyBy(found, parsed, context);
  }

  function verifyBy(
    loaded: LoadedKey | null,
    parsed: ParsedJwt,
    context: BearerContext,
  ): MaybePromise<Authentication> {
    if (loaded === null) {
      failures.fail(guesser(context.source));
      verifyDecoy(parsed);
      throw refusal('no such key');
    }
    const suspect = `${loaded.record.keyId} ${context.source}`;
    failures.check(suspect);
    try {
      checkSignature(parsed, { alg: loaded.record.alg, key: loaded.publicKey });
    } catch (error) {
      failures.fail(suspect);
      if (error instanceof TokenError && error.code === 'algorithm') verifyDecoy(parsed);
      throw error;
    }
    const rules = {
      now: clock.now() / 1000,
      leeway: config.leeway,
      maxLife: config.maxLife,
      issuers: config.issuers,
      audiences: config.audiences,
    };
    if (context.door === 'rest') {
      const { method = '', path = '', host } = context;
      const hosts = acceptedHosts(host, context.address);
      checkApiKeyClaims(parsed, { ...rules, kind: 'rest', method, path, hosts });
    } else checkApiKeyClaims(parsed, { ...rules, kind: 'websocket' });
    const problem = usable(loaded, context.address);
    if (problem !== null) throw refusal(problem);
    const replayed = checkReplay(parsed, loaded, context);
    return replayed instanceof Promise
      ? replayed.then(() => authenticationOf(loaded))
      : authenticationOf(loaded);
  }

  function authenticationOf(loaded: LoadedKey): MaybePromise<Authentication> {
    const principal = principalOf(loaded);
    return principal instanceof Promise ? principal.then(authentication) : authentication(principal);
  }

  /**
   * The `Host` header is the client's word, and a token for another service must not fit here by it. It counts
   * only on this machine, where a forwarded port changes the name that clients know the gateway by.
   */
  function acceptedHosts(host: string | undefined, address: string): string[] {
    const own = [...hosts(), ...config.hosts];
    if (host === undefined || !LOOPBACK_HOST.test(host) || !LOOPBACK_ADDRESS.test(address)) return own;
    return own.includes(host) ? own : [...own, host];
  }

  return {
    // The names of API keys have slashes; those of the keys that sign access tokens are base64url and have none.
    claims(token) {
      // All access tokens of one signing key have the same header: it is taken apart once.
      if (token.startsWith(latestForeign)) return false;
      const header = headerOf(token);
      if (header === null) return false;
      if (!foreign.has(header)) {
        try {
          const parsed = parseCompact(token, LENIENT);
          if (readKid(parsed).includes('/')) {
            apart = { token, parsed };
            return true;
          }
        } catch (error) {
          if (!(error instanceof TokenError)) throw error;
          // What nobody can read is refused by whoever its name speaks for.
          if (kidIn(header)?.includes('/') === true) return true;
        }
        foreign.set(header, true);
        trim(foreign, MAX_FOREIGN);
      }
      latestForeign = `${header}.`;
      return false;
    },

    authenticate(token, context) {
      if (!changes.fresh())
        throw new Refusal('unavailable', 'revocations cannot be confirmed', { retryAfter: 1 });
      try {
        const verified = verify(token, context);
        return verified instanceof Promise ? verified.catch(refuse) : verified;
      } catch (error) {
        return refuse(error);
      }
    },

    async principal(keyId, address) {
      const record = await store.apiKeys.findById(keyId);
      if (record === null) return null;
      const loaded = loadedFrom(record);
      return usable(loaded, address) === null ? await principalOf(loaded) : null;
    },

    registered: (name) => void unknown.delete(name),
  };
}

/** The C++ sample's nonce is raw bytes: its header is not UTF-8 and must be read all the same. */
const LENIENT = { lenientHeaderText: true };

function authentication(principal: Principal | null): Authentication {
  if (principal === null) throw refusal('the owner has no access');
  // The proof counts for the message it came in; what it opened lasts until the key itself ends (C5).
  return { principal, expiresAt: null };
}

function refuse(error: unknown): never {
  if (error instanceof Refusal) throw error;
  if (error instanceof TokenError) throw refusal(`${error.code}: ${error.message}`);
  // R11: a look-up that fails refuses. The key may be good, so the answer is to try again.
  const name = error instanceof Error ? error.name : 'failure';
  throw new Refusal('unavailable', `the key could not be looked up: ${name}`, { retryAfter: 1 });
}

const loadedFrom = (record: ApiKey): LoadedKey => ({
  record,
  publicKey: publicKeyObject(JSON.parse(record.publicJwk) as PublicJwk),
  allows: createAllowList(record.allowedIps),
  derived: null,
});

/** Who tries names that do not exist, as the limiter counts them. */
const guesser = (source: string): string => `unknown ${source}`;

/** One answer for every reason (R18); the reason is for the log. */
const refusal = (reason: string): Refusal => new Refusal('unauthorized', `api key: ${reason}`);

const LOOPBACK_HOST = /^(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?$/;
const LOOPBACK_ADDRESS = /^(?:127(?:\.\d{1,3}){3}|::1)$/;

/** The first part of a compact token, as it is written. */
function headerOf(token: string): string | null {
  const end = token.indexOf('.');
  return end <= 0 || end > 2048 ? null : token.slice(0, end);
}

/** Looks at the unverified header only to tell whose rules apply. */
function kidIn(header: string): string | null {
  const text = Buffer.from(header, 'base64url').toString('latin1');
  return /"kid"\s*:\s*"((?:[^"\\]|\\\/){1,200})"/.exec(text)?.[1]?.replaceAll('\\/', '/') ?? null;
}

function trim<K, V>(map: Map<K, V>, most: number): void {
  if (map.size <= most) return;
  const oldest = map.keys().next();
  if (!oldest.done) map.delete(oldest.value);
}
