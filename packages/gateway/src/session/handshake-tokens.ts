/**
 * Handshake tokens as operators see them: made for a user, listed, changed, replaced, revoked. The text of a token
 * is given out once and never kept (R28, R53).
 */
import { hash } from 'node:crypto';
import { Refusal } from '@countersign/protocol';
import { problemWithBlock } from '../operations/address.ts';
import type { Clock } from '../operations/clock.ts';
import { newPrefixedToken } from '../operations/prefixed-token.ts';
import type { HandshakeToken, HandshakeTokenPatch } from '../store/handshake-tokens.ts';
import type { Change, Store } from '../store/store.ts';
import type { AccessChanges } from './access-changes.ts';
import type { HandshakeTokenUsage } from './handshake-token-usage.ts';
import { PERMISSIONS, type Permission } from './principal.ts';
import { requireClock } from './require-clock.ts';

export const HANDSHAKE_TOKEN_PREFIX = 'cst_';

/** How the store knows a token. */
export const handshakeDigest = (text: string): string => hash('sha256', text, 'hex');

/** What an operator chooses about a token. */
export interface TokenWish {
  userId: number;
  /** What it is used for; 1 to 64 characters. */
  name: string;
  /** What it may do of what its user may; none = nothing but to connect and read public streams. */
  permissions: readonly Permission[];
  tier?: string | null;
  /** Addresses or CIDR blocks; empty = anywhere. */
  allowedIps?: readonly string[];
  /** Wall-clock milliseconds; null = no end. */
  expiresAt?: number | null;
}

export type TokenChange = Partial<Omit<TokenWish, 'userId'>>;

/** Who acts, for the audit log. */
export interface TokenActor {
  actor: string;
  source: string | null;
}

export interface CreatedToken {
  token: HandshakeToken;
  /** The text of the token. Shown here and never again. */
  secret: string;
}

export interface HandshakeTokens {
  /** @throws Refusal `invalid_request` naming what is wrong, `not_found` if there is no such user */
  create(wish: TokenWish, by: TokenActor): Promise<CreatedToken>;
  /** Newest first, revoked and expired ones too, with uses up to now. */
  list(page: { limit: number; userId?: number }): Promise<HandshakeToken[]>;
  /** @throws Refusal `not_found` */
  find(tokenId: string): Promise<HandshakeToken>;
  /** Applies on every request and every open socket when it resolves (other nodes within 2 s). */
  change(tokenId: string, change: TokenChange, by: TokenActor): Promise<HandshakeToken>;
  /**
   * Makes a successor with the same rights; the old token goes on working for `overlapMs`, then its connections end.
   *
   * @throws Refusal `conflict` if the token is revoked, expired or was replaced before
   */
  rotate(tokenId: string, overlapMs: number, by: TokenActor): Promise<CreatedToken & { old: HandshakeToken }>;
  /** Ends a token for good, and every connection that stands on it. */
  revoke(tokenId: string, by: TokenActor): Promise<void>;
}

const MAX_BLOCKS = 64;
const MAX_OVERLAP = 30 * 86_400_000;

export function createHandshakeTokens({
  store,
  changes,
  clock,
  random,
  usage,
  clockAgrees = () => true,
}: {
  store: Pick<Store, 'handshakeTokens' | 'users' | 'audit'>;
  changes: Pick<AccessChanges, 'announce'>;
  clock: Clock;
  random: (bytes: number) => Uint8Array;
  usage: Pick<HandshakeTokenUsage, 'pending'>;
  /** False while this node's clock is surely wrong: what it would write as an end is none. Default: it is right. */
  clockAgrees?: () => boolean;
}): HandshakeTokens {
  const audit = (action: string, { tokenId, userId, name }: HandshakeToken, by: TokenActor, detail = {}) =>
    store.audit.append({
      at: clock.now(),
      ...by,
      action,
      target: `handshake-token:${tokenId}`,
      detail: JSON.stringify({ userId, name, ...detail }),
    });

  /** With the uses that have not been written yet. */
  function current(token: HandshakeToken): HandshakeToken {
    const more = usage.pending(token.tokenId);
    if (more === null) return token;
    const { lastUsedAt, connects, requests } = more;
    return {
      ...token,
      lastUsedAt: Math.max(lastUsedAt, token.lastUsedAt ?? 0),
      connects: token.connects + connects,
      requests: token.requests + requests,
    };
  }

  async function find(tokenId: string): Promise<HandshakeToken> {
    const token = /^[0-9a-f]{32}$/.test(tokenId) ? await store.handshakeTokens.findById(tokenId) : null;
    if (token === null) throw new Refusal('not_found', 'no such handshake token');
    return token;
  }

  async function apply(result: { token: HandshakeToken; change: Change } | null): Promise<HandshakeToken> {
    if (result === null) {
      throw new Refusal('conflict', 'the token is over', {
        message: 'The token has been revoked or replaced.',
      });
    }
    await changes.announce(result.change);
    return result.token;
  }

  function make(wish: Omit<TokenWish, 'userId'>, userId: number): CreatedToken {
    const secret = newPrefixedToken(HANDSHAKE_TOKEN_PREFIX, random);
    const token: HandshakeToken = {
      tokenId: Buffer.from(random(16)).toString('hex'),
      digest: handshakeDigest(secret),
      userId,
      name: checkedName(wish.name),
      permissions: checkedPermissions(wish.permissions),
      tier: wish.tier ?? null,
      allowedIps: checkedBlocks(wish.allowedIps ?? []),
      createdAt: clock.now(),
      expiresAt: wish.expiresAt ?? null,
      revokedAt: null,
      replacedBy: null,
      lastUsedAt: null,
      connects: 0,
      requests: 0,
    };
    return { token, secret };
  }

  return {
    async create(wish, by) {
      requireClock(clockAgrees);
      checkEnd(wish.expiresAt ?? null, clock.now());
      const made = make(wish, wish.userId);
      if ((await store.users.find(wish.userId)) === null)
        throw new Refusal('not_found', 'there is no such user');
      if ((await store.handshakeTokens.create(made.token)) === 'duplicate') {
        throw new Error('178 random bits came twice: the source of randomness is broken');
      }
      const { permissions, tier, expiresAt } = made.token;
      await audit('handshake-token.create', made.token, by, { permissions, tier, expiresAt });
      return made;
    },

    list: async (page) => (await store.handshakeTokens.list(page)).map(current),
    find: async (tokenId) => current(await find(tokenId)),

    async change(tokenId, change, by) {
      const before = await find(tokenId);
      const patch: HandshakeTokenPatch = {};
      if (change.name !== undefined) patch.name = checkedName(change.name);
      if (change.permissions !== undefined) patch.permissions = checkedPermissions(change.permissions);
      if (change.tier !== undefined) patch.tier = change.tier;
      if (change.allowedIps !== undefined) patch.allowedIps = checkedBlocks(change.allowedIps);
      if (change.expiresAt !== undefined) {
        checkEnd(change.expiresAt, clock.now());
        patch.expiresAt = change.expiresAt;
      }
      const named = Object.keys(patch) as (keyof HandshakeTokenPatch)[];
      if (named.length === 0) throw invalid('there is nothing to change');
      const after = await apply(await store.handshakeTokens.update(tokenId, patch, clock.now()));
      const of = (token: HandshakeToken) =>
        Object.fromEntries(named.map((member) => [member, token[member]]));
      await audit('handshake-token.change', after, by, { before: of(before), after: of(after) });
      return current(after);
    },

    async rotate(tokenId, overlapMs, by) {
      requireClock(clockAgrees);
      if (!Number.isInteger(overlapMs) || overlapMs < 0 || overlapMs > MAX_OVERLAP) {
        throw invalid('overlapSeconds must be 0 to 2592000');
      }
      const now = clock.now();
      const before = await find(tokenId);
      if (before.expiresAt !== null && before.expiresAt <= now) await apply(null);
      const { userId, permissions, ...rest } = before;
      const made = make({ ...rest, permissions: permissions as Permission[] }, userId);
      const end = Math.min(now + overlapMs, before.expiresAt ?? Number.MAX_SAFE_INTEGER);
      const old = await apply(await store.handshakeTokens.replace(tokenId, made.token, end, now));
      await audit('handshake-token.rotate', old, by, { replacedBy: made.token.tokenId, overlapMs });
      return { ...made, old: current(old) };
    },

    async revoke(tokenId, by) {
      await find(tokenId);
      const now = clock.now();
      const token = await apply(await store.handshakeTokens.update(tokenId, { revokedAt: now }, now));
      await audit('handshake-token.revoke', token, by);
    },
  };
}

const invalid = (message: string): Refusal => new Refusal('invalid_request', message, { message });

function checkedName(name: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
  if (/^[^\u0000-\u001f\u007f]{1,64}$/u.test(name)) return name;
  throw invalid('name must be 1 to 64 characters without control characters');
}

function checkedPermissions(permissions: readonly string[]): string[] {
  const unknown = permissions.find((name) => !(PERMISSIONS as readonly string[]).includes(name));
  if (unknown === undefined) return [...new Set(permissions)];
  throw invalid(`permissions must be among ${PERMISSIONS.join(', ')}`);
}

function checkedBlocks(entries: readonly string[]): string[] {
  if (entries.length > MAX_BLOCKS) throw invalid(`allowedIps must be a list of at most ${MAX_BLOCKS}`);
  for (const entry of entries) {
    const problem = problemWithBlock(entry);
    if (problem !== null) throw invalid(`allowedIps: ${problem}`);
  }
  return [...entries];
}

function checkEnd(expiresAt: number | null, now: number): void {
  if (expiresAt === null || (Number.isSafeInteger(expiresAt) && expiresAt > now)) return;
  throw invalid('expiresAt must be a time in the future, in milliseconds since 1970');
}
