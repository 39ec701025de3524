/** Answers an operator's "why": who somebody is now, and what each rule says of what they want to do. */
import { Refusal } from '@countersign/protocol';
import type { Charged } from '../access/budget.ts';
import { type Account, explainAccess, type Subject } from '../access/explain.ts';
import type { Limits } from '../access/limits.ts';
import { createAllowList } from '../operations/address.ts';
import type { Clock } from '../operations/clock.ts';
import { principalOf } from '../session/directory.ts';
import type { Credential, Principal } from '../session/principal.ts';
import type { Store, User } from '../store/store.ts';
import { readWish, type WishVocabulary } from './wishes.ts';

/** One of these, or none for somebody who is not signed in. */
export interface Who {
  userId?: number;
  /** Of a wallet. */
  address?: string;
  keyId?: string;
  sid?: string;
  tokenId?: string;
}

export interface Question {
  who: Who;
  /** `subscribe level2/ETH-USD`, `query openOrders`, `event /evm/buy/quote`, `call POST /v1/user/update` */
  do: string;
  /** Where they come from; absent = allow lists are not asked, and an anonymous budget is a fresh one. */
  from?: string;
}

export interface Explained extends Account {
  do: string;
  who: { userId: number | null; tier: string | null; permissions: string[]; credential: string | null };
  /** What a check found out beyond its code, for operators only. */
  detail: string | null;
  budget: Charged | null;
}

export interface Explanations {
  /** Changes nothing and takes nothing. @throws Refusal `invalid_request` for a question that cannot be read */
  explain(question: Question): Promise<Explained>;
}

export interface ExplanationsOptions {
  store: Pick<Store, 'users' | 'sessions' | 'apiKeys' | 'handshakeTokens'>;
  clock: Pick<Clock, 'now'>;
  limits: Pick<Limits, 'foresee'>;
  vocabulary: WishVocabulary;
  /** Who a credential stands for now; null when it gives no access. */
  principal(userId: number, credential: Credential, address: string): Promise<Principal | null>;
  /** The address as limits count it. */
  sourceOf(address: string): string;
  roomFor(who: Principal): { connections: number; subscriptions: number };
}

const ACTIVE = 1;
const ANYBODY: Subject = { principal: null, problem: null };

export function createExplanations(options: ExplanationsOptions): Explanations {
  const { store, clock, limits, vocabulary } = options;

  const nobody = (rule: 'credential' | 'suspended' | 'allow-list', detail: string): Subject => ({
    principal: null,
    problem: { rule, detail },
  });

  async function subjectOf(who: Who, from: string | undefined): Promise<Subject> {
    if (who.sid !== undefined) {
      const session = await store.sessions.find(who.sid);
      if (session === null) return nobody('credential', 'there is no such session');
      if (session.revokedAt !== null)
        return nobody('credential', session.revokeReason ?? 'the session has ended');
      if (session.expiresAt <= clock.now()) return nobody('credential', 'the session is over');
      return resolve(session.userId, { kind: 'session', sid: session.sid }, [], from);
    }
    if (who.keyId !== undefined) {
      const key = await store.apiKeys.findById(who.keyId);
      if (key === null || key.deletedAt !== null) return nobody('credential', 'there is no such key');
      if (!key.enabled) return nobody('credential', 'the key is disabled');
      if (key.expiresAt !== null && key.expiresAt <= clock.now())
        return nobody('credential', 'the key has expired');
      return resolve(key.userId, { kind: 'api-key', keyId: key.keyId }, key.allowedIps, from);
    }
    if (who.tokenId !== undefined) {
      const token = await store.handshakeTokens.findById(who.tokenId);
      if (token === null) return nobody('credential', 'there is no such token');
      if (token.revokedAt !== null) return nobody('credential', 'the token was revoked');
      if (token.expiresAt !== null && token.expiresAt <= clock.now()) {
        return nobody('credential', 'the token has expired');
      }
      return resolve(
        token.userId,
        { kind: 'handshake-token', tokenId: token.tokenId },
        token.allowedIps,
        from,
      );
    }
    let user: User | null;
    if (who.userId !== undefined) user = await store.users.find(who.userId);
    else if (who.address !== undefined) user = await store.users.findByAddress(who.address.toLowerCase());
    else return ANYBODY;
    if (user === null) return nobody('suspended', 'there is no such user');
    if (user.status !== ACTIVE) return nobody('suspended', 'the user is suspended');
    // As if they had just logged in.
    return { principal: principalOf(user, { kind: 'session', sid: '' }), problem: null };
  }

  async function resolve(
    userId: number,
    credential: Credential,
    allowedIps: readonly string[],
    from: string | undefined,
  ): Promise<Subject> {
    const user = await store.users.find(userId);
    if (user === null || user.status !== ACTIVE) return nobody('suspended', 'the user is suspended');
    if (from !== undefined && !createAllowList(allowedIps)(from)) {
      return nobody('allow-list', `${from.slice(0, 64)} is not listed`);
    }
    // Without an address to ask about, one that is surely on the list.
    const address = from ?? allowedIps[0]?.split('/', 1)[0] ?? '127.0.0.1';
    const principal = await options.principal(userId, credential, address);
    return principal === null
      ? nobody('credential', 'the credential gives no access')
      : { principal, problem: null };
  }

  return {
    async explain({ who, do: what, from }) {
      const wish = readWish(what, vocabulary);
      if (wish === null) {
        throw new Refusal('invalid_request', 'explain', {
          message:
            'do: "subscribe <channel>[/<key>]", "query <name>", "event <name>", "call <METHOD> <path>", "connect <door>" or "publish <channel>"',
        });
      }
      const subject = await subjectOf(who, from);
      const { principal } = subject;
      const room = principal === null ? null : options.roomFor(principal);
      const source = from === undefined ? 'explain' : options.sourceOf(from);
      const budget = await limits.foresee(wish.kind, source, principal, wish.cost);
      const account = explainAccess(subject, wish, {
        budget,
        connections: room?.connections ?? null,
        subscriptions: room?.subscriptions ?? null,
      });
      return {
        ...account,
        do: what,
        who: {
          userId: principal?.userId ?? null,
          tier: principal?.tier ?? null,
          permissions: [...(principal?.permissions ?? [])].sort(),
          credential: principal?.credential.kind ?? null,
        },
        detail: subject.problem?.detail ?? null,
        budget,
      };
    },
  };
}
