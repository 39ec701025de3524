/**
 * The one table of reason codes: which rule decided. `explain` answers with them and logs carry them;
 * `docs/explain.md` has a section per row and a test holds the two together in both directions.
 */
export interface ReasonRow {
  /** What it means when this rule refuses; for `public` and `owner`, when it allows. */
  readonly meaning: string;
  /** What would change the answer; null for a rule that only allows. */
  readonly mend: string | null;
}

const row = (meaning: string, mend: string | null): ReasonRow => Object.freeze({ meaning, mend });

/** In the order in which rules are tried. */
export const REASONS = Object.freeze({
  known: row(
    'There is no such channel, query, event or route, or it is not for clients.',
    'Correct the name. Publishing is for the venue’s backend, with its own token.',
  ),
  credential: row(
    'The credential does not exist, has ended, or is disabled.',
    'Log in again, or make a new key or token.',
  ),
  suspended: row('The user is suspended, or there is no such user.', 'An operator can lift a suspension.'),
  'allow-list': row(
    'The credential may not be used from this address.',
    'Use it from a listed address, or change the list.',
  ),
  public: row('This is open to everybody.', null),
  'signed-in': row(
    'Somebody has to be signed in for this.',
    'Log in, or send a credential that is valid now.',
  ),
  permission: row(
    'The principal lacks the permission that this needs.',
    'Ask an operator for the permission, or use a key whose scopes include it.',
  ),
  session: row(
    'Only a signed-in session manages sessions and keys.',
    'Log in with a wallet instead of a key.',
  ),
  owner: row('The principal may do this with what is its own.', null),
  connections: row(
    'All connections of the user together are as many as the tier allows.',
    'Close a connection, or ask for another tier.',
  ),
  subscriptions: row(
    'All streams of the user together are as many as the tier allows.',
    'Unsubscribe from something, or ask for another tier.',
  ),
  limit: row(
    'The budget of this window is spent.',
    'Wait until it is given back, ask for less at a time, or ask for another tier.',
  ),
  burst: row('Too much in one second.', 'Spread requests over time: the rest of the window is still there.'),
  reserve: row(
    'The budget is spent, and so is the reserve for calls that reduce risk.',
    'Wait until it is given back, or ask for another tier.',
  ),
} as const satisfies Record<string, ReasonRow>);

export type Reason = keyof typeof REASONS;
