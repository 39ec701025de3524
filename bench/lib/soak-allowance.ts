/** How often a client may connect, log in and refresh, from what was done to it: more would be hammering. */

/** Lives in seconds. */
export interface Lives {
  access: number;
  session: number;
  leeway: number;
}

export interface Allowance {
  connects: number;
  /** Logins and proofs on an open connection. */
  socketLogins: number;
  logins: number;
  refreshes: number;
}

/** The fault that ends connections of this client, and the earliest second of a connection at which it does. */
export interface Ending {
  spec: string;
  /** Infinity if it ends none. */
  earliest: number;
  /** It costs the token: a renewal may follow. */
  renews: boolean;
}

/** As `?faults=` takes them; by turns, one for each client. */
export const ENDINGS: readonly Ending[] = [
  { spec: 'close:1012@20', earliest: 20, renews: false },
  { spec: 'close:1001@25', earliest: 25, renews: false },
  { spec: 'close:4101@15', earliest: 15, renews: false },
  // Requests that stay without an answer, a slow reader's end, silence: not before it begins.
  { spec: 'freeze:10-25', earliest: 10, renews: false },
  // A new login saves the connection. On Socket.IO it may come too late, when it was answered 429.
  { spec: 'expire:12', earliest: 12, renews: true },
  { spec: 'revoke:30', earliest: 30, renews: true },
  { spec: 'close:1000@9', earliest: 9, renews: false },
];

/** On every connection: what leaves it open. */
export const FAULTS = 'drop:0.01,duplicate:0.01,reorder:0.01,gap:0.002,429:0.02,delay:0-20';

/** First ceiling of the pause between attempts, in seconds; it doubles, and a pause is a random share of it. */
const BACKOFF = 0.5;
/** Part of a token's life after which it is renewed, at the earliest. */
const RENEWED_AT = 0.7;

/** Attempts that fail while the gateway is away: each pause an unlucky fifth of its ceiling. */
const attemptsIn = (away: number): number => Math.ceil(Math.log2(away / (BACKOFF / 5) + 1)) + 1;

/** @param seconds that the client lived. @param away seconds that each restart took */
export function allowanceOf(
  { earliest, renews }: Ending,
  seconds: number,
  away: readonly number[],
  { access, session }: Lives,
): Allowance {
  const connects =
    1 + Math.floor(seconds / earliest) + away.reduce((sum, each) => sum + 1 + attemptsIn(each), 0);
  // As in the client: near its end a session is replaced by a login.
  const margin = Math.min(Math.max(session * 0.05, access * 2), session * 0.5);
  const logins = 1 + Math.floor(seconds / (session - margin));
  // An answer that was lost with the gateway is asked for once more.
  const refreshes = 1 + Math.floor(seconds / (access * RENEWED_AT)) + away.length + (renews ? connects : 0);
  return { connects, logins, refreshes, socketLogins: connects + logins + refreshes };
}

export function sumOf(all: readonly Allowance[]): Allowance {
  const sum = (name: keyof Allowance) => all.reduce((total, each) => total + each[name], 0);
  return {
    connects: sum('connects'),
    socketLogins: sum('socketLogins'),
    logins: sum('logins'),
    refreshes: sum('refreshes'),
  };
}
