/** The part of the store's port that keeps handshake tokens: bearers that an operator hands out (R28). */
import type { Change } from './store.ts';

export interface HandshakeToken {
  /** What operators and the change log call it: no part of the token's text. */
  tokenId: string;
  /** SHA-256 of the token's text, hex (R53). */
  digest: string;
  userId: number;
  /** For operators: what it is used for. */
  name: string;
  /** Names from `PERMISSIONS`: what it may do of what its user may. */
  permissions: string[];
  /** Overrides the user's tier when set. */
  tier: string | null;
  /** Addresses or CIDR blocks; empty = anywhere. */
  allowedIps: string[];
  createdAt: number;
  /** Null for no end. */
  expiresAt: number | null;
  revokedAt: number | null;
  /** Token id of the successor, on a token that has been rotated. */
  replacedBy: string | null;
  lastUsedAt: number | null;
  /** Connections that it opened, and requests made with it on every door, up to the last time they were written. */
  connects: number;
  requests: number;
}

/** Uses since the last time they were written. */
export interface HandshakeTokenUse {
  tokenId: string;
  lastUsedAt: number;
  connects: number;
  requests: number;
}

export type HandshakeTokenPatch = Partial<
  Pick<HandshakeToken, 'name' | 'permissions' | 'tier' | 'allowedIps' | 'expiresAt' | 'revokedAt'>
>;

export interface HandshakeTokenStore {
  /**
   * @returns `duplicate` if the digest or the token id was ever used
   * @throws StoreError (rejects) `invalid` if there is no such user
   */
  create(token: HandshakeToken): Promise<'created' | 'duplicate'>;
  /** Finds revoked and expired ones too: the caller judges. */
  findByDigest(digest: string): Promise<HandshakeToken | null>;
  findById(tokenId: string): Promise<HandshakeToken | null>;
  /** Newest first, with revoked and expired ones; of one user, or of all. */
  list(page: { limit: number; userId?: number }): Promise<HandshakeToken[]>;
  /**
   * Changes a token and appends `handshake-token-changed`, or `handshake-token-ended` if it is revoked or its end
   * has come at `at`. Null if there is none, or it has been revoked: nothing revives it.
   */
  update(
    tokenId: string,
    patch: HandshakeTokenPatch,
    at: number,
  ): Promise<{ token: HandshakeToken; change: Change } | null>;
  /**
   * Makes the successor and gives the old token its end, in one transaction; appends as `update` does.
   *
   * @returns the old token as it is now. Null, and nothing is made, if there is none, or it has been revoked or
   *   replaced before
   * @throws StoreError (rejects) `invalid` if the digest or id of the successor is taken
   */
  replace(
    tokenId: string,
    successor: HandshakeToken,
    expiresAt: number,
    at: number,
  ): Promise<{ token: HandshakeToken; change: Change } | null>;
  /** Adds up uses. Ids that are not there are passed over. Appends nothing: being used changes no access. */
  addUses(uses: readonly HandshakeTokenUse[]): Promise<void>;
}
