/** Things to put into a store. Times are small numbers: no implementation may look at a clock of its own. */

import type { ApiKey } from '../../src/store/api-keys.ts';
import type { HandshakeToken } from '../../src/store/handshake-tokens.ts';
import type { AuditEntry, Challenge, NewUser, SigningKeyRecord, Store, User } from '../../src/store/store.ts';

export const ALICE = `0x${'a1'.repeat(20)}`;
export const BOB = `0x${'b0'.repeat(20)}`;
/** Far longer than any test's times. */
export const LIFE = 1_000_000;

export const digest = (name: string): string => Buffer.from(name).toString('hex').padEnd(64, '0');
export const sealed = (name: string): Uint8Array => new Uint8Array(Buffer.from(`sealed ${name}`));

export const challenge = (over: Partial<Challenge> = {}): Challenge => ({
  address: ALICE,
  nonce: '52a90c73',
  chainId: 1,
  profile: 'eip712',
  context: null,
  source: '192.0.2.0/24',
  issuedAt: 1_000,
  expiresAt: 301_000,
  ...over,
});

export const wide = { perAddressAndSource: 1_000, perSource: 10_000 };

export const newUser = (over: Partial<NewUser> = {}): NewUser => ({
  address: ALICE,
  displayName: null,
  roles: ['user'],
  permissions: ['market_data', 'trading'],
  tier: 'standard',
  createdAt: 1_000,
  ...over,
});

export const openSession = async (
  store: Store,
  sid: string,
  over: {
    address?: string;
    rotation?: 'adaptive' | 'strict';
    createdAt?: number;
    first?: string;
    most?: number;
    accepted?: (user: User) => AuditEntry;
  } = {},
) => {
  const createdAt = over.createdAt ?? 1_000;
  const opened = await store.sessions.open({
    user: { ...newUser({ createdAt }), address: over.address ?? ALICE },
    session: {
      sid,
      chainId: 1,
      wallet: 'eoa',
      rotation: over.rotation ?? 'adaptive',
      createdAt,
      expiresAt: createdAt + LIFE,
      source: '192.0.2.0/24',
      userAgent: 'test',
    },
    refreshDigest: digest(over.first ?? `${sid}-R0`),
    most: over.most ?? 1_000,
    ...(over.accepted === undefined ? {} : { accepted: over.accepted }),
  });
  if (opened === null) throw new Error('the user is suspended');
  return opened;
};

export const apiKey = (userId: number, id: string, over: Partial<ApiKey> = {}): ApiKey => ({
  name: `organizations/o/apiKeys/${id}`,
  keyId: id,
  userId,
  nickname: 'bot',
  alg: 'ES256',
  publicJwk: '{}',
  thumbprint: `thumb-${id}`,
  scopes: ['view', 'trade'],
  tier: null,
  allowedIps: ['192.0.2.0/24'],
  replay: 'reuse',
  enabled: true,
  createdAt: 1_000,
  expiresAt: null,
  deletedAt: null,
  replacedBy: null,
  ...over,
});

export const handshakeToken = (
  userId: number,
  tokenId: string,
  over: Partial<HandshakeToken> = {},
): HandshakeToken => ({
  tokenId,
  digest: digest(tokenId),
  userId,
  name: 'desk',
  permissions: ['market_data', 'trading'],
  tier: null,
  allowedIps: [],
  createdAt: 1_000,
  expiresAt: null,
  revokedAt: null,
  replacedBy: null,
  lastUsedAt: null,
  connects: 0,
  requests: 0,
  ...over,
});

export const signingKey = (kid: string, over: Partial<SigningKeyRecord> = {}): SigningKeyRecord => ({
  kid,
  alg: 'ES256',
  publicJwk: '{}',
  wrapped: new Uint8Array([1, 2, 3, 255]),
  state: 'next',
  createdAt: 1_000,
  activatedAt: null,
  retiredAt: null,
  ...over,
});
