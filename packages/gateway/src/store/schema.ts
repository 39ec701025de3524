/**
 * The tables as the query builder sees them, the same on every database. Times are wall-clock milliseconds,
 * flags are 0 or 1, lists are JSON text: the types that all of them have in common.
 */
import type { Generated } from 'kysely';
import type { LeaseHolderRow, LeaseRow, NodeRow } from './lease-rows.ts';
import type { Change } from './store.ts';

export interface Tables {
  challenges: ChallengeRow;
  users: Omit<UserRow, 'user_id'> & { user_id: Generated<number> };
  accounts: Omit<AccountRow, 'account_id'> & { account_id: Generated<number> };
  sessions: SessionRow;
  refresh_tokens: RefreshTokenRow;
  changes: Omit<ChangeRow, 'sequence'> & { sequence: Generated<number> };
  signing_keys: SigningKeyRow;
  signing_key_set: { id: number; revision: number };
  api_keys: ApiKeyRow;
  handshake_tokens: HandshakeTokenRow;
  audit: AuditRow;
  nodes: NodeRow;
  leases: LeaseRow;
  lease_holders: LeaseHolderRow;
  lease_sequence: { id: number; value: number };
  probe: { id: number; writes: number };
}

export interface ChallengeRow {
  address: string;
  nonce: string;
  chain_id: number;
  profile: 'eip712' | 'eip4361';
  context: string | null;
  source: string;
  issued_at: number;
  expires_at: number;
  spent: number;
}

export interface UserRow {
  user_id: number;
  address: string | null;
  display_name: string | null;
  status: number;
  user_type: number;
  user_class: number;
  roles: string;
  permissions: string;
  tier: string;
  payout_address: string | null;
  created_at: number;
}

export interface AccountRow {
  account_id: number;
  user_id: number;
  type: number;
  name: string;
  status: number;
  update_date: number;
}

export interface SessionRow {
  sid: string;
  user_id: number;
  chain_id: number;
  wallet: 'eoa' | 'contract';
  rotation: 'adaptive' | 'strict';
  created_at: number;
  expires_at: number;
  revoked_at: number | null;
  revoke_reason: string | null;
  last_refresh_at: number | null;
  source: string;
  user_agent: string | null;
}

export interface RefreshTokenRow {
  digest: string;
  sid: string;
  generation: number;
  issued_at: number;
  /** Digest of the token that this one succeeds; null for the first of a session. */
  parent: string | null;
  /** Digest of the one successor, once there is one. */
  successor: string | null;
  /** The successor's text, sealed; null again once it cannot be asked for any more. */
  successor_sealed: Uint8Array | null;
  retired_at: number | null;
}

export interface ChangeRow {
  sequence: number;
  at: number;
  kind: Change['kind'];
  subject: string;
  reason: string;
}

export interface SigningKeyRow {
  kid: string;
  /** Order in the set, as it was given. */
  position: number;
  alg: 'ES256';
  public_jwk: string;
  wrapped: Uint8Array;
  state: 'next' | 'active' | 'retired' | 'revoked';
  created_at: number;
  activated_at: number | null;
  retired_at: number | null;
}

export interface ApiKeyRow {
  name: string;
  key_id: string;
  user_id: number;
  nickname: string;
  alg: 'ES256' | 'EdDSA';
  public_jwk: string;
  thumbprint: string;
  scopes: string;
  tier: string | null;
  allowed_ips: string;
  replay: 'reuse' | 'strict';
  enabled: number;
  created_at: number;
  expires_at: number | null;
  deleted_at: number | null;
  replaced_by: string | null;
}

export interface HandshakeTokenRow {
  token_id: string;
  digest: string;
  user_id: number;
  name: string;
  permissions: string;
  tier: string | null;
  allowed_ips: string;
  created_at: number;
  expires_at: number | null;
  revoked_at: number | null;
  replaced_by: string | null;
  last_used_at: number | null;
  connects: number;
  requests: number;
}

export interface AuditRow {
  n: number;
  at: number;
  actor: string;
  action: string;
  target: string;
  source: string | null;
  detail: string;
  hash: string;
}
