/**
 * Login with a wallet: hand out a message, check that its signature is the address's, open a session. The
 * client proves nothing but that it signed what this server made and stored; nothing that it sends later
 * enters the hashed bytes (R29).
 */
import { Refusal } from '@countersign/protocol';
import { fromHex, ready, verifyWalletSignature } from '@countersign/tokens';
import type { Clock } from '../operations/clock.ts';
import type { Config } from '../operations/config.ts';
import type { AuditEntry, Challenge, Change, Session, Store, User } from '../store/store.ts';
import type { AccessChanges } from './access-changes.ts';
import type { AccessTokens } from './access-tokens.ts';
import { challengeContext, challengeDigest, challengeText } from './challenge.ts';
import type { ContractWallets } from './contract-wallet.ts';
import type { FailureLimiter } from './failure-limiter.ts';
import {
  addressOf,
  chainOf,
  nameOf,
  nonceOf,
  profileOf,
  signatureOf,
  userAgentOf,
} from './login-parameters.ts';
import { requireClock } from './require-clock.ts';
import { newRefreshSecret, refreshDigest, type SignedIn } from './sessions.ts';

export interface LoginRequest {
  addr: string;
  /** Display name for a user that is new; at most 64 characters. */
  name?: string;
  /** Decimal or `0x` hex; absent: the first configured chain. */
  chainId?: string | number;
  profile?: 'eip712' | 'eip4361';
  /** Address prefix of the client. */
  source: string;
}

/** `eip712Message` is the typed data as JSON text (wire facts 0.2); an EIP-4361 login has `message` instead. */
export type LoginMessage =
  | { status: 'verify'; eip712Message: string; nonceHash: string }
  | { status: 'verify'; message: string; nonceHash: string };

export interface VerifyRequest {
  addr: string;
  nonceHash: string;
  /** Hex with or without `0x`. */
  signature: string;
  /** Default `adaptive`. */
  rotation?: 'strict' | 'adaptive';
  source: string;
  userAgent: string | null;
}

export interface WalletLogin {
  /**
   * @throws Refusal `invalid_request` (says which parameter), `unknown_chain`, `rate_limited`, `unavailable`
   */
  begin(request: LoginRequest): Promise<LoginMessage>;
  /**
   * @throws Refusal `login_refused`, one and the same for every failure of nonce, signature or user;
   *   `invalid_request` for parameters that are not even well-formed; `rate_limited` after many failures
   */
  complete(request: VerifyRequest): Promise<SignedIn>;
}

/** Draws of a nonce before giving up: at four bytes an address would need millions of logins for two misses. */
const MAX_DRAWS = 8;
const BUSY_RETRY_SECONDS = 30;

export function createWalletLogin({
  store,
  clock,
  config,
  random,
  accessTokens,
  contractWallets,
  failures,
  changes,
  clockAgrees,
}: {
  store: Store;
  clock: Clock;
  config: Pick<Config, 'tokens' | 'wallet'>;
  random: (n: number) => Uint8Array;
  accessTokens: AccessTokens;
  contractWallets: ContractWallets;
  failures: FailureLimiter;
  changes: Pick<AccessChanges, 'announce'>;
  clockAgrees: () => boolean;
}): WalletLogin {
  const { nonceBytes, nonceTtl, refreshTtl, sessionsPerUser } = config.tokens;
  const { chainIds, newUser, challengesPerAddress, challengesPerSource } = config.wallet;

  const lineOf = (
    action: string,
    actor: string,
    address: string,
    source: string,
    detail: object,
  ): AuditEntry => ({
    at: clock.now(),
    actor,
    action,
    target: `address:${address}`,
    source,
    detail: JSON.stringify(detail),
  });

  async function refuse(address: string, request: VerifyRequest, reason: string): Promise<never> {
    failures.fail(`${request.source} ${address}`);
    const detail = { reason, userAgent: userAgentOf(request.userAgent) };
    await store.audit.append(lineOf('login.refused', 'anonymous', address, request.source, detail));
    throw new Refusal('login_refused', reason);
  }

  async function judge(challenge: Challenge, signatureText: string): Promise<Proof | null> {
    const digest = challengeDigest(challenge);
    await ready();
    // Most addresses are plain accounts: trying that first spares the chain endpoint all but contract wallets.
    if (verifyWalletSignature({ digest, signature: signatureText, address: challenge.address }))
      return { wallet: 'eoa', digest, signature: null };
    if (!contractWallets.serves(challenge.chainId)) return null;
    const signature = fromHex(signatureText);
    if (signature === undefined) return null;
    const { address, chainId } = challenge;
    const verdict = await contractWallets.verify({ address, chainId, digest, signature });
    return verdict === 'valid' ? { wallet: 'contract', digest, signature } : null;
  }

  async function open(
    challenge: Challenge,
    proof: Proof,
    request: VerifyRequest,
  ): Promise<{ user: User; session: Session; jti: string } | null> {
    const at = clock.now();
    const jti = newRefreshSecret(random);
    // Made here at every login; nothing a client sends can choose it (R52).
    const sid = Buffer.from(random(16)).toString('base64url');
    const { address, chainId } = challenge;
    const { wallet } = proof;
    const userAgent = userAgentOf(request.userAgent);
    const opened = await store.sessions.open({
      user: {
        address,
        displayName: challengeContext(challenge).name,
        roles: [...newUser.roles],
        permissions: [...newUser.permissions],
        tier: newUser.tier,
        createdAt: at,
      },
      session: {
        sid,
        chainId,
        wallet,
        rotation: request.rotation === 'strict' ? 'strict' : 'adaptive',
        createdAt: at,
        expiresAt: at + refreshTtl * 1000,
        source: request.source,
        userAgent,
      },
      refreshDigest: refreshDigest(jti),
      most: sessionsPerUser,
      accepted: ({ userId }) =>
        lineOf('login.accepted', `user:${userId}`, address, request.source, {
          sid,
          wallet,
          chainId,
          userAgent,
        }),
    });
    if (opened === null) return null;
    await endedByLimit(opened.user, opened.ended);
    return { ...opened, jti };
  }

  /** Sessions that had to end for a new one: their sockets close, and there is a line for whoever wonders (R50). */
  async function endedByLimit({ userId }: User, ended: readonly Change[]): Promise<void> {
    const last = ended.at(-1);
    if (last === undefined) return;
    await changes.announce(last);
    const lines = ended.map(({ subject, reason }) => ({
      at: clock.now(),
      actor: 'system',
      action: 'session.end',
      target: `session:${subject}`,
      source: null,
      detail: JSON.stringify({ reason, userId }),
    }));
    await Promise.all(lines.map(store.audit.append));
  }

  return {
    async begin(request) {
      requireClock(clockAgrees);
      const address = addressOf(request.addr);
      const chainId = chainOf(request.chainId, chainIds);
      const profile = profileOf(request.profile);
      const name = nameOf(request.name);
      for (let draw = 0; draw < MAX_DRAWS; draw += 1) {
        const issuedAt = clock.now();
        const challenge: Challenge = {
          address,
          nonce: Buffer.from(random(nonceBytes)).toString('hex'),
          chainId,
          profile,
          context: JSON.stringify({ domain: config.wallet.domain, uri: config.wallet.uri, name }),
          source: request.source,
          issuedAt,
          expiresAt: issuedAt + nonceTtl * 1000,
        };
        const limits = { perAddressAndSource: challengesPerAddress, perSource: challengesPerSource };
        const outcome = await store.challenges.issue(challenge, limits);
        if (outcome === 'nonce-used') continue;
        if (outcome === 'too-many')
          throw new Refusal('rate_limited', 'too many live challenges', {
            retryAfter: Math.min(BUSY_RETRY_SECONDS, Math.ceil(nonceTtl)),
          });
        const text = challengeText(challenge);
        return profile === 'eip712'
          ? { status: 'verify', eip712Message: text, nonceHash: challenge.nonce }
          : { status: 'verify', message: text, nonceHash: challenge.nonce };
      }
      throw new Refusal('unavailable', 'no unused nonce was found for the address', { retryAfter: 1 });
    },

    async complete(request) {
      // Before the challenge is spent: it counts on another node.
      requireClock(clockAgrees);
      const address = addressOf(request.addr);
      const nonce = nonceOf(request.nonceHash);
      const signature = signatureOf(request.signature);
      // By source and address: neither a neighbour behind the same address nor a stranger elsewhere who fails can
      // keep the owner of a wallet out.
      failures.check(`${request.source} ${address}`);
      // Before any work on the signature: of many equal requests one gets the challenge, and a wrong signature
      // has used it up (R30).
      const challenge = await store.challenges.spend(address, nonce, clock.now());
      if (challenge === null) return refuse(address, request, 'no live challenge');
      const proof = await judge(challenge, signature);
      if (proof === null) return refuse(address, request, 'the signature is not of this address');
      const opened = await open(challenge, proof, request);
      if (opened === null) return refuse(address, request, 'user is suspended');
      const { user, session, jti } = opened;
      const carried = proof.signature && { digest: proof.digest, signature: proof.signature };
      return {
        user,
        session,
        access: accessTokens.issueAccess(user, session),
        refresh: accessTokens.issueRefresh(user, session, jti, carried),
      };
    },
  };
}

interface Proof {
  wallet: Session['wallet'];
  digest: Uint8Array;
  /** Kept for contract wallets only, which are asked again at each refresh. */
  signature: Uint8Array | null;
}
