/** Rows as the database keeps them, made into what the port speaks of. */
import type { Account } from '../session/principal.ts';
import type { ApiKey } from './api-keys.ts';
import type { HandshakeToken } from './handshake-tokens.ts';
import type {
  AccountRow,
  ApiKeyRow,
  ChallengeRow,
  HandshakeTokenRow,
  RefreshTokenRow,
  SessionRow,
  SigningKeyRow,
  UserRow,
} from './schema.ts';
import type { Challenge, RefreshTokenRecord, Session, SigningKeyRecord, User } from './store.ts';

export const toChallenge = (row: Omit<ChallengeRow, 'spent'>): Challenge => ({
  address: row.address,
  nonce: row.nonce,
  chainId: row.chain_id,
  profile: row.profile,
  context: row.context,
  source: row.source,
  issuedAt: row.issued_at,
  expiresAt: row.expires_at,
});

export const toAccount = (row: AccountRow): Account => ({
  accountId: row.account_id,
  userId: row.user_id,
  type: row.type,
  name: row.name,
  status: row.status,
  updateDate: row.update_date,
});

export const toUser = (row: UserRow, accounts: AccountRow[]): User => ({
  userId: row.user_id,
  address: row.address,
  displayName: row.display_name,
  status: row.status,
  userType: row.user_type,
  userClass: row.user_class,
  roles: JSON.parse(row.roles) as string[],
  permissions: JSON.parse(row.permissions) as string[],
  tier: row.tier,
  payoutAddress: row.payout_address,
  createdAt: row.created_at,
  accounts: accounts.map(toAccount),
});

export const toSession = (row: SessionRow): Session => ({
  sid: row.sid,
  userId: row.user_id,
  chainId: row.chain_id,
  wallet: row.wallet,
  rotation: row.rotation,
  createdAt: row.created_at,
  expiresAt: row.expires_at,
  revokedAt: row.revoked_at,
  revokeReason: row.revoke_reason,
  lastRefreshAt: row.last_refresh_at,
  source: row.source,
  userAgent: row.user_agent,
});

export const toRefreshToken = (row: RefreshTokenRow): RefreshTokenRecord => ({
  digest: row.digest,
  sid: row.sid,
  generation: row.generation,
  issuedAt: row.issued_at,
});

export const toSigningKey = (row: Omit<SigningKeyRow, 'position'>): SigningKeyRecord => ({
  kid: row.kid,
  alg: row.alg,
  publicJwk: row.public_jwk,
  wrapped: new Uint8Array(row.wrapped),
  state: row.state,
  createdAt: row.created_at,
  activatedAt: row.activated_at,
  retiredAt: row.retired_at,
});

export const toApiKey = (row: ApiKeyRow): ApiKey => ({
  name: row.name,
  keyId: row.key_id,
  userId: row.user_id,
  nickname: row.nickname,
  alg: row.alg,
  publicJwk: row.public_jwk,
  thumbprint: row.thumbprint,
  scopes: JSON.parse(row.scopes) as ApiKey['scopes'],
  tier: row.tier,
  allowedIps: JSON.parse(row.allowed_ips) as string[],
  replay: row.replay,
  enabled: row.enabled === 1,
  createdAt: row.created_at,
  expiresAt: row.expires_at,
  deletedAt: row.deleted_at,
  replacedBy: row.replaced_by,
});

export const fromApiKey = (key: ApiKey): ApiKeyRow => ({
  name: key.name,
  key_id: key.keyId,
  user_id: key.userId,
  nickname: key.nickname,
  alg: key.alg,
  public_jwk: key.publicJwk,
  thumbprint: key.thumbprint,
  scopes: JSON.stringify(key.scopes),
  tier: key.tier,
  allowed_ips: JSON.stringify(key.allowedIps),
  replay: key.replay,
  enabled: key.enabled ? 1 : 0,
  created_at: key.createdAt,
  expires_at: key.expiresAt,
  deleted_at: key.deletedAt,
  replaced_by: key.replacedBy,
});

export const toHandshakeToken = (row: HandshakeTokenRow): HandshakeToken => ({
  tokenId: row.token_id,
  digest: row.digest,
  userId: row.user_id,
  name: row.name,
  permissions: JSON.parse(row.permissions) as string[],
  tier: row.tier,
  allowedIps: JSON.parse(row.allowed_ips) as string[],
  createdAt: row.created_at,
  expiresAt: row.expires_at,
  revokedAt: row.revoked_at,
  replacedBy: row.replaced_by,
  lastUsedAt: row.last_used_at,
  connects: row.connects,
  requests: row.requests,
});

export const fromHandshakeToken = (token: HandshakeToken): HandshakeTokenRow => ({
  token_id: token.tokenId,
  digest: token.digest,
  user_id: token.userId,
  name: token.name,
  permissions: JSON.stringify(token.permissions),
  tier: token.tier,
  allowed_ips: JSON.stringify(token.allowedIps),
  created_at: token.createdAt,
  expires_at: token.expiresAt,
  revoked_at: token.revokedAt,
  replaced_by: token.replacedBy,
  last_used_at: token.lastUsedAt,
  connects: token.connects,
  requests: token.requests,
});
