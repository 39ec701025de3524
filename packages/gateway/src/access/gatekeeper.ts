/**
 * The one place that decides. Every door asks here, at every operation, with the principal as it is now;
 * `explain` runs the same rules and shows each of them.
 */
import type { ErrorCode } from '@countersign/protocol';
import type { Permission, Principal } from '../session/principal.ts';
import type { Channel } from '../streams/channel.ts';
import type { Reason } from './reasons.ts';

/** What somebody wants to do, in the words that rules need. */
export type Action =
  | { do: 'join'; channel: Channel }
  | { do: 'query'; query: string; private: boolean }
  | { do: 'call'; permission: Permission | null }
  /** Calls what is there for everybody. */
  | { do: 'open' };

export interface Verdict {
  readonly allowed: boolean;
  /** The rule that decided. Stable: it is what `explain` and the logs show. */
  readonly rule: RuleName;
  /** What the client is told when refused. */
  readonly code: ErrorCode | null;
}

export type RuleName = Extract<Reason, 'public' | 'signed-in' | 'permission' | 'owner'>;

/** A rule decides (`allow` or a refusal) or leaves the matter to the next one. */
interface Rule {
  readonly name: RuleName;
  apply(who: Principal | null, action: Action): 'allow' | ErrorCode | 'next';
}

const needed = (action: Action): Permission | null => {
  if (action.do === 'join') return action.channel.permission;
  if (action.do === 'call') return action.permission;
  return action.do === 'query' && action.private ? 'account_updates' : null;
};

/** In order; the first that decides wins. */
const RULES: readonly Rule[] = [
  {
    name: 'public',
    apply: (_who, action) => {
      if (action.do === 'join') return action.channel.audience === 'public' ? 'allow' : 'next';
      return action.do === 'open' || (action.do === 'query' && !action.private) ? 'allow' : 'next';
    },
  },
  {
    name: 'signed-in',
    apply: (who) => (who === null ? 'unauthorized' : 'next'),
  },
  {
    name: 'permission',
    apply: (who, action) => {
      const permission = needed(action);
      return permission !== null && !who?.permissions.has(permission) ? 'forbidden' : 'next';
    },
  },
  // Which streams and accounts those are is for {@link streamKeys} and the venue: nobody names another's.
  { name: 'owner', apply: () => 'allow' },
];

/** Decides one action. Not checked here: whether the proof behind `who` is still valid, and how often they ask. */
export function decide(who: Principal | null, action: Action): Verdict {
  for (const rule of RULES) {
    const result = rule.apply(who, action);
    if (result === 'allow') return { allowed: true, rule: rule.name, code: null };
    if (result !== 'next') return { allowed: false, rule: rule.name, code: result };
  }
  throw new Error('unreachable: the last rule decides');
}

export interface Explanation extends Verdict {
  /** The rules in the order they were tried, up to the one that decided. */
  readonly tried: readonly { rule: RuleName; outcome: 'allow' | 'refuse' | 'next' }[];
}

/** {@link decide}, with the way it went. */
export function explain(who: Principal | null, action: Action): Explanation {
  const verdict = decide(who, action);
  const last = RULES.findIndex((rule) => rule.name === verdict.rule);
  const tried = RULES.slice(0, last + 1).map((rule, index) => ({
    rule: rule.name,
    outcome: index < last ? ('next' as const) : verdict.allowed ? ('allow' as const) : ('refuse' as const),
  }));
  return { ...verdict, tried };
}

/** The keys of the streams that a want stands for, given whose they are. Public channels have the one they name. */
export function streamKeys(channel: Channel, key: string | null, who: Principal | null): string[] {
  if (channel.audience === 'public') return [key ?? ''];
  if (who === null) return [];
  if (channel.audience === 'user') return [String(who.userId)];
  return who.accounts.map((account) =>
    key === null ? String(account.accountId) : `${key}/${account.accountId}`,
  );
}
