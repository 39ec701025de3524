/**
 * API keys as their owners see them: made, listed, changed, replaced, ended. The private half of a key that is
 * made here is given to its owner once and never kept (seed 003; requirements R24 to R26).
 */
import { createHash } from 'node:crypto';
import { Refusal } from '@countersign/protocol';
import { problemWithBlock } from '../operations/address.ts';
import type { Clock } from '../operations/clock.ts';
import type { ApiKey } from '../store/api-keys.ts';
import type { Change, Store } from '../store/store.ts';
import type { AccessChanges } from './access-changes.ts';
import { type KeyOrigin, keyMaterial } from './api-key-material.ts';

export type Scope = ApiKey['scopes'][number];

/** What an owner or operator may choose about a key. */
export interface KeyWish extends KeyOrigin {
  /** Shown in lists; 1 to 64 characters. */
  nickname: string;
  scopes: Scope[];
  /** Overrides the owner's tier. Only an operator may set it. */
  tier?: string | null;
  /** Addresses or CIDR blocks; empty = anywhere. */
  allowedIps?: string[];
  /** Wall-clock milliseconds; null = no end. */
  expiresAt?: number | null;
  /** `strict`: each signed token counts once. Default `reuse`: until it expires. */
  replay?: ApiKey['replay'];
}

export type KeyChange = Partial<
  Pick<ApiKey, 'nickname' | 'scopes' | 'tier' | 'allowedIps' | 'expiresAt' | 'replay' | 'enabled'>
>;

/** Whoever acts; `owner` null is an operator, who may act on every key. */
export interface KeyActor {
  owner: number | null;
  /** For the audit log: `user:78`, `operator:admin`. */
  actor: string;
  source: string | null;
}

export interface CreatedKey {
  key: ApiKey;
  /**
   * SEC1 PEM for P-256; base64 of seed and public key for Ed25519. Null where the owner brought the key. Shown here
   * and never again.
   */
  privateKey: string | null;
}

export interface ApiKeys {
  /** @throws Refusal `invalid_request` naming what is wrong, `conflict` for a public key that was registered before */
  create(userId: number, wish: KeyWish, by: KeyActor): Promise<CreatedKey>;
  /** Newest first, without those that were deleted. */
  list(userId: number): Promise<ApiKey[]>;
  /** @throws Refusal `not_found` if there is none, or it is somebody else's */
  find(keyId: string, by: KeyActor): Promise<ApiKey>;
  /** Applies on every request and every open socket when it resolves (other nodes within 2 s). */
  change(keyId: string, change: KeyChange, by: KeyActor): Promise<ApiKey>;
  /** Ends a key for good: its name and its public key are never accepted again. */
  remove(keyId: string, by: KeyActor): Promise<void>;
  /**
   * Makes a successor with the same rights; the old key goes on working for `overlapMs`.
   *
   * @throws Refusal `conflict` if the key is disabled, has expired or was replaced before: a successor would
   *   bring back what was taken away, or there would be two
   */
  rotate(
    keyId: string,
    overlapMs: number,
    by: KeyActor,
    own?: Pick<KeyWish, 'publicKey' | 'proof'>,
  ): Promise<CreatedKey>;
}

const SCOPE_NAMES: readonly Scope[] = ['view', 'trade', 'transfer'];
const MAX_KEYS_PER_USER = 100;
const MAX_BLOCKS = 64;
const MAX_OVERLAP = 30 * 86_400_000;

export function createApiKeys({
  store,
  changes,
  clock,
  random,
  issuer,
  registered,
}: {
  store: Pick<Store, 'apiKeys' | 'audit'>;
  changes: Pick<AccessChanges, 'announce'>;
  clock: Clock;
  random: (bytes: number) => Uint8Array;
  /** Part of the organisation ids, so that two deployments never name alike. */
  issuer: string;
  /** Told of each new name, so that an earlier miss is forgotten. */
  registered: (name: string) => void;
}): ApiKeys {
  const audit = (action: string, key: ApiKey, by: KeyActor, detail: object = {}) =>
    store.audit.append({
      at: clock.now(),
      actor: by.actor,
      action,
      target: `api-key:${key.keyId}`,
      source: by.source,
      detail: JSON.stringify({ userId: key.userId, nickname: key.nickname, ...detail }),
    });

  async function owned(keyId: string, by: KeyActor): Promise<ApiKey> {
    const key = /^[0-9a-f-]{36}$/.test(keyId) ? await store.apiKeys.findById(keyId) : null;
    if (key === null || key.deletedAt !== null || (by.owner !== null && by.owner !== key.userId)) {
      throw new Refusal('not_found', 'no such key of this owner');
    }
    return key;
  }

  async function apply(key: ApiKey, patch: Parameters<Store['apiKeys']['update']>[1]): Promise<ApiKey> {
    const updated: { key: ApiKey; change: Change } | null = await store.apiKeys.update(
      key.name,
      patch,
      clock.now(),
    );
    if (updated === null) throw new Refusal('not_found', 'the key is gone');
    await changes.announce(updated.change);
    return updated.key;
  }

  async function create(userId: number, wish: KeyWish, by: KeyActor): Promise<CreatedKey> {
    const checked = checkWish(wish);
    checkEnd(checked.expiresAt, clock.now());
    if (by.owner !== null) {
      if (wish.tier != null) throw invalid('tier can only be set by an operator');
      const live = await store.apiKeys.listByUser(userId);
      if (live.length >= MAX_KEYS_PER_USER) throw invalid(`a user may have ${MAX_KEYS_PER_USER} keys`);
    }
    const { alg, jwk, print, privateKey } = keyMaterial(wish, userId, by.owner !== null, clock.now() / 1000);
    const keyId = uuid(random(16));
    const key: ApiKey = {
      name: `organizations/${organisation(issuer, userId)}/apiKeys/${keyId}`,
      keyId,
      userId,
      alg,
      publicJwk: JSON.stringify(jwk),
      thumbprint: print,
      ...checked,
      tier: wish.tier ?? null,
      enabled: true,
      createdAt: clock.now(),
      deletedAt: null,
      replacedBy: null,
    };
    if ((await store.apiKeys.create(key)) === 'duplicate') {
      throw new Refusal('conflict', 'the public key was registered before', {
        message: 'This public key was registered before. Make a new key pair.',
      });
    }
    registered(key.name);
    await audit('api-key.create', key, by, { scopes: key.scopes, alg });
    return { key, privateKey };
  }

  return {
    create,
    list: (userId) => store.apiKeys.listByUser(userId),
    find: owned,

    async change(keyId, change, by) {
      const key = await owned(keyId, by);
      if (by.owner !== null && change.tier !== undefined)
        throw invalid('tier can only be set by an operator');
      const whole = { ...key, ...change, ...checkWish({ ...key, ...change }) };
      if (change.expiresAt !== undefined) checkEnd(change.expiresAt, clock.now());
      // Only what was asked for is written: a new name must not undo a disabling that came at the same time.
      const named = CHANGEABLE.filter((member) => change[member] !== undefined);
      if (named.length === 0) throw invalid('there is nothing to change');
      const of = (from: ApiKey) => Object.fromEntries(named.map((member) => [member, from[member]]));
      const updated = await apply(key, of(whole));
      await audit('api-key.change', updated, by, { before: of(key), after: of(updated) });
      return updated;
    },

    async remove(keyId, by) {
      const key = await apply(await owned(keyId, by), { deletedAt: clock.now() });
      await audit('api-key.delete', key, by);
    },

    async rotate(keyId, overlapMs, by, own) {
      if (!Number.isInteger(overlapMs) || overlapMs < 0 || overlapMs > MAX_OVERLAP) {
        throw invalid('overlap must be 0 to 2,592,000 seconds');
      }
      const old = await owned(keyId, by);
      const over = old.expiresAt !== null && old.expiresAt <= clock.now();
      if (!old.enabled || over || old.replacedBy !== null) {
        throw new Refusal('conflict', 'the key is disabled, expired or replaced', {
          message: 'The key is disabled, has expired, or was replaced before.',
        });
      }
      const { nickname, alg, scopes, allowedIps, expiresAt, replay, tier } = old;
      const wish = { nickname, alg, scopes, allowedIps, expiresAt, replay, ...own };
      const made = await create(old.userId, by.owner === null ? { ...wish, tier } : wish, by);
      // A tier that an operator gave survives the owner's rotation.
      const key = by.owner !== null && tier !== null ? await apply(made.key, { tier }) : made.key;
      const end = clock.now() + overlapMs;
      const patch = overlapMs === 0 ? { enabled: false } : { expiresAt: Math.min(end, expiresAt ?? end) };
      await apply(old, { ...patch, replacedBy: key.name });
      await audit('api-key.rotate', old, by, { replacedBy: key.keyId, overlapMs });
      return { ...made, key };
    },
  };
}

const invalid = (message: string): Refusal => new Refusal('invalid_request', message, { message });

const CHANGEABLE = ['nickname', 'scopes', 'tier', 'allowedIps', 'expiresAt', 'replay', 'enabled'] as const;

type Checked = Pick<ApiKey, 'nickname' | 'scopes' | 'allowedIps' | 'expiresAt' | 'replay'>;

function checkEnd(expiresAt: number | null, now: number): void {
  if (expiresAt === null || (Number.isSafeInteger(expiresAt) && expiresAt > now)) return;
  throw invalid('expiresAt must be a time in the future, in milliseconds since 1970');
}

function checkWish(wish: KeyWish): Checked {
  const { nickname, scopes, allowedIps = [], expiresAt = null, replay = 'reuse' } = wish;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
  if (typeof nickname !== 'string' || !/^[^\u0000-\u001f\u007f]{1,64}$/u.test(nickname)) {
    throw invalid('nickname must be 1 to 64 characters without control characters');
  }
  if (!Array.isArray(scopes) || scopes.length === 0 || scopes.some((scope) => !SCOPE_NAMES.includes(scope))) {
    throw invalid('scopes must name one or more of view, trade, transfer');
  }
  if (!Array.isArray(allowedIps) || allowedIps.length > MAX_BLOCKS) {
    throw invalid(`allowedIps must be a list of at most ${MAX_BLOCKS}`);
  }
  for (const entry of allowedIps) {
    const problem = problemWithBlock(String(entry));
    if (problem !== null) throw invalid(`allowedIps: ${problem}`);
  }
  if (replay !== 'reuse' && replay !== 'strict') throw invalid('replay must be reuse or strict');
  return { nickname, scopes: [...new Set(scopes)], allowedIps: allowedIps.map(String), expiresAt, replay };
}

/** RFC 9562 section 5.4: version 4, from 122 random bits. */
function uuid(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes);
  hex[6] = (hex[6]! & 0x0f) | 0x40;
  hex[8] = (hex[8]! & 0x3f) | 0x80;
  const text = hex.toString('hex');
  return `${text.slice(0, 8)}-${text.slice(8, 12)}-${text.slice(12, 16)}-${text.slice(16, 20)}-${text.slice(20)}`;
}

/** A name for a user that does not tell the user's number. Stable, so that all keys of a user share it. */
function organisation(issuer: string, userId: number): string {
  return uuid(createHash('sha256').update(`${issuer}/organization/${userId}`).digest().subarray(0, 16));
}
