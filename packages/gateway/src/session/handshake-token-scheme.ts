/**
 * Handshake tokens as credentials (seed 004; R28): behind `Bearer` on REST and in `auth.token` of a Socket.IO
 * handshake, nowhere else. Known by their digest alone.
 */
import { Refusal } from '@countersign/protocol';
import { createAllowList } from '../operations/address.ts';
import type { Clock } from '../operations/clock.ts';
import { isPrefixedToken } from '../operations/prefixed-token.ts';
import type { HandshakeToken } from '../store/handshake-tokens.ts';
import type { Store } from '../store/store.ts';
import type { AccessChanges } from './access-changes.ts';
import type { BearerScheme } from './authenticate.ts';
import type { Directory } from './directory.ts';
import type { FailureLimiter } from './failure-limiter.ts';
import type { HandshakeTokenUsage } from './handshake-token-usage.ts';
import { HANDSHAKE_TOKEN_PREFIX, handshakeDigest } from './handshake-tokens.ts';
import type { MaybePromise } from './maybe-promise.ts';
import type { Principal } from './principal.ts';

export interface HandshakeTokenScheme extends BearerScheme {
  /** The principal that a token stands for at an address, as things are now; null if it has no access left. */
  principal(tokenId: string, address: string): Promise<Principal | null>;
}

interface Loaded {
  record: HandshakeToken;
  allows: (address: string) => boolean;
}

/** Tokens and unknown digests remembered; the one loaded longest ago is forgotten first. */
const MAX_TOKENS = 20_000;
const MAX_UNKNOWN = 10_000;
/** Milliseconds for which a digest that does not exist is not looked up again: clients retry for ever (wire facts 6.2). */
const UNKNOWN_FOR = 2000;

export function createHandshakeTokenScheme({
  store,
  changes,
  directory,
  failures,
  usage,
  clock,
}: {
  store: Pick<Store, 'handshakeTokens'>;
  changes: Pick<AccessChanges, 'onChange' | 'position' | 'fresh'>;
  directory: Directory;
  /** Counts unknown tokens by source: each is a read of the store (R10). */
  failures: FailureLimiter;
  usage: Pick<HandshakeTokenUsage, 'count'>;
  clock: Clock;
}): HandshakeTokenScheme {
  const byDigest = new Map<string, Loaded>();
  const digestOf = new Map<string, string>();
  const unknown = new Map<string, number>();

  changes.onChange(({ kind, subject }) => {
    if (kind !== 'handshake-token-changed' && kind !== 'handshake-token-ended') return;
    const digest = digestOf.get(subject);
    if (digest === undefined) return;
    digestOf.delete(subject);
    byDigest.delete(digest);
  });

  async function load(digest: string, source: string): Promise<Loaded | null> {
    const position = changes.position();
    const record = await store.handshakeTokens.findByDigest(digest);
    if (record === null) {
      failures.fail(source);
      unknown.set(digest, clock.monotonic() + UNKNOWN_FOR);
      trim(unknown, MAX_UNKNOWN);
      return null;
    }
    const loaded = loadedFrom(record);
    // A change that arrived while the store was read may not be in what was read: do not keep it (R12).
    if (changes.position() === position) {
      byDigest.set(digest, loaded);
      digestOf.set(record.tokenId, digest);
      trim(byDigest, MAX_TOKENS);
      trim(digestOf, MAX_TOKENS);
    }
    return loaded;
  }

  function find(digest: string, source: string): MaybePromise<Loaded | null> {
    const known = byDigest.get(digest);
    if (known !== undefined) return known;
    const until = unknown.get(digest);
    if (until !== undefined && until > clock.monotonic()) return null;
    failures.check(source);
    return load(digest, source);
  }

  function problemWith({ record, allows }: Loaded, address: string): string | null {
    if (record.revokedAt !== null) return 'the token was revoked';
    if (record.expiresAt !== null && record.expiresAt <= clock.now()) return 'the token has expired';
    return allows(address) ? null : "the address is not on the token's allow list";
  }

  async function principalOf({ record }: Loaded): Promise<Principal | null> {
    const user = await directory.principal(record.userId, {
      kind: 'handshake-token',
      tokenId: record.tokenId,
    });
    if (user === null) return null;
    const permissions = new Set(
      [...user.permissions].filter((permission) => record.permissions.includes(permission)),
    );
    return { ...user, permissions, tier: record.tier ?? user.tier, endsAt: record.expiresAt };
  }

  return {
    claims: (token) => token.startsWith(HANDSHAKE_TOKEN_PREFIX),

    async authenticate(token, { door, address, source }) {
      if (door === 'websocket') throw refusal('not accepted on this door');
      if (!isPrefixedToken(token, HANDSHAKE_TOKEN_PREFIX)) throw refusal('shape or checksum');
      if (!changes.fresh()) {
        throw new Refusal('unavailable', 'revocations cannot be confirmed', { retryAfter: 1 });
      }
      try {
        const loaded = await find(handshakeDigest(token), source);
        if (loaded === null) throw refusal('no such token');
        const problem = problemWith(loaded, address);
        if (problem !== null) throw refusal(problem);
        const principal = await principalOf(loaded);
        if (principal === null) throw refusal('the user has no access');
        usage.count(loaded.record.tokenId, door === 'socketio' ? 'connect' : 'request');
        return { principal, expiresAt: null };
      } catch (error) {
        if (error instanceof Refusal) throw error;
        // R11: a look-up that fails refuses. The token may be good, so the answer is to try again.
        const name = error instanceof Error ? error.name : 'failure';
        throw new Refusal('unavailable', `the token could not be looked up: ${name}`, { retryAfter: 1 });
      }
    },

    async principal(tokenId, address) {
      const record = await store.handshakeTokens.findById(tokenId);
      if (record === null) return null;
      const loaded = loadedFrom(record);
      return problemWith(loaded, address) === null ? principalOf(loaded) : null;
    },
  };
}

const loadedFrom = (record: HandshakeToken): Loaded => ({
  record,
  allows: createAllowList(record.allowedIps),
});

/** One answer for every reason (R18); the reason is for the log. */
const refusal = (reason: string): Refusal => new Refusal('unauthorized', `handshake token: ${reason}`);

function trim<K, V>(map: Map<K, V>, most: number): void {
  if (map.size <= most) return;
  const oldest = map.keys().next();
  if (!oldest.done) map.delete(oldest.value);
}
