/** Why somebody may do something now, or may not: every rule in the order in which doors try them. */
import type { ErrorCode } from '@countersign/protocol';
import type { Principal } from '../session/principal.ts';
import type { Charged } from './budget.ts';
import { type Action, explain as explainDecision } from './gatekeeper.ts';
import { REASONS, type Reason } from './reasons.ts';

/** What is known about whoever asks, apart from their principal. */
export interface Subject {
  /** Null for somebody who is not signed in, and for a credential that stands for nobody. */
  principal: Principal | null;
  /** What is wrong with what they show; null = nothing, or they show nothing. */
  problem: { rule: 'credential' | 'suspended' | 'allow-list'; detail: string } | null;
}

export interface Wish {
  /** Null: there is no such thing. */
  action: Action | null;
  /** Only a session may do it. */
  sessionOnly: boolean;
  /** What of the tier it uses up for as long as it lasts. */
  occupies: 'connections' | 'subscriptions' | null;
}

/** What is left of what is counted, for this very wish. */
export interface Room {
  /** Null where nothing is counted. */
  budget: Charged | null;
  /** Connections and streams that the user may still open; null for somebody who is not signed in. */
  connections: number | null;
  subscriptions: number | null;
}

export interface Step {
  rule: Reason;
  outcome: 'allow' | 'refuse' | 'next';
}

export interface Account {
  allowed: boolean;
  /** The rule that decided: what `reason` is in logs. */
  rule: Reason;
  /** What a client is told. Null when it is allowed. */
  code: ErrorCode | null;
  /** In order, up to the rule that refused, or all of them. */
  tried: Step[];
  /** What would change the answer; null when it was yes. */
  mend: string | null;
}

const FULL = { connections: 'too_many_connections', subscriptions: 'too_many_subscriptions' } as const;

export function explainAccess(subject: Subject, wish: Wish, room: Room): Account {
  const tried: Step[] = [];
  const refused = (rule: Reason, code: ErrorCode): Account => {
    tried.push({ rule, outcome: 'refuse' });
    return { allowed: false, rule, code, tried, mend: REASONS[rule].mend };
  };
  const passed = (rule: Reason) => void tried.push({ rule, outcome: 'next' });

  const { action } = wish;
  if (action === null) return refused('known', 'not_found');
  passed('known');

  const open =
    (action.do === 'join' && action.channel.audience === 'public') ||
    (action.do === 'query' && !action.private) ||
    action.do === 'open';
  for (const rule of ['credential', 'suspended', 'allow-list'] as const) {
    // A bad credential is worth as much as none: what is open stays open.
    if (subject.problem?.rule === rule && !open) return refused(rule, 'unauthorized');
    passed(rule);
  }

  const decision = explainDecision(subject.principal, action);
  for (const step of decision.tried.slice(0, -1)) tried.push(step);
  if (!decision.allowed) return refused(decision.rule, decision.code ?? 'forbidden');
  if (wish.sessionOnly && subject.principal?.credential.kind !== 'session') {
    return refused('session', 'forbidden');
  }
  tried.push({ rule: decision.rule, outcome: 'allow' });

  if (wish.occupies !== null) {
    const left = room[wish.occupies];
    if (left !== null && left <= 0) return refused(wish.occupies, FULL[wish.occupies]);
    passed(wish.occupies);
  }
  if (room.budget !== null && !room.budget.admitted) return refused(room.budget.by, 'rate_limited');
  passed(room.budget?.by ?? 'limit');
  return { allowed: true, rule: decision.rule, code: null, tried, mend: null };
}
