/** The part of the store's port that keeps API keys: the public halves of what their owners sign with. */
import type { Change } from './store.ts';

export interface ApiKey {
  /** `organizations/{org_id}/apiKeys/{key_id}`: the `kid` and `sub` of its tokens. */
  name: string;
  /** The last part of the name: at least 128 random bits, never used again (R25). */
  keyId: string;
  userId: number;
  nickname: string;
  alg: 'ES256' | 'EdDSA';
  /** Public JWK as JSON. */
  publicJwk: string;
  /** RFC 7638 thumbprint; unique over all keys that ever were (R24). */
  thumbprint: string;
  scopes: ('view' | 'trade' | 'transfer')[];
  /** Overrides the user's tier when set. */
  tier: string | null;
  /** CIDR blocks; empty = anywhere. */
  allowedIps: string[];
  replay: 'reuse' | 'strict';
  enabled: boolean;
  createdAt: number;
  /** Wall-clock milliseconds, or null for no end. */
  expiresAt: number | null;
  deletedAt: number | null;
  /** Set on a key that has been replaced and still works until `expiresAt`. */
  replacedBy: string | null;
}

export interface ApiKeyStore {
  /**
   * @returns `duplicate` if the thumbprint, name or key id was ever registered
   * @throws StoreError (rejects) `invalid` if there is no such user
   */
  create(key: ApiKey): Promise<'created' | 'duplicate'>;
  /** Finds deleted, disabled and expired keys too: the caller judges. */
  findByName(name: string): Promise<ApiKey | null>;
  /** The same by the last part of the name. */
  findById(keyId: string): Promise<ApiKey | null>;
  /** Newest first, without deleted ones; disabled and expired ones are in it. */
  listByUser(userId: number): Promise<ApiKey[]>;
  /** Newest first, of all users, with deleted ones. */
  list(page: { limit: number }): Promise<ApiKey[]>;
  /**
   * Changes a key and appends `api-key-changed`, or `api-key-ended` if it is disabled or deleted afterwards; the
   * subject is its key id. Null if there is none, or it has been deleted: nothing revives it.
   */
  update(
    name: string,
    patch: Partial<
      Pick<
        ApiKey,
        | 'nickname'
        | 'scopes'
        | 'tier'
        | 'allowedIps'
        | 'replay'
        | 'enabled'
        | 'expiresAt'
        | 'deletedAt'
        | 'replacedBy'
      >
    >,
    at: number,
  ): Promise<{ key: ApiKey; change: Change } | null>;
}
