/**
 * What a presented refresh token means, decided on what the store has read. Free of any database, so that
 * every implementation decides alike; `sessions.rotate` in `store.ts` states the rules.
 */

export interface PresentedToken {
  successor: string | null;
  retiredAt: number | null;
}

export type RotationDecision =
  | { meaning: 'gone' }
  | { meaning: 'reuse' }
  | {
      meaning: 'rotate';
      /** Record the successor given in the call, since the token has none. */
      adopt: boolean;
      /** The token's parent is retired now, unless it was. */
      retireParent: boolean;
      /** The token itself is retired now. */
      retireToken: boolean;
    };

/**
 * @param successorRetired whether the token's recorded successor is retired; false when it has none
 * @param strict the rotation in force for this presentation, an upgrade in the same call included
 */
export function decideRotation(
  token: PresentedToken,
  successorRetired: boolean,
  session: { expiresAt: number; revokedAt: number | null },
  input: { now: number; graceMs: number; strict: boolean },
): RotationDecision {
  if (session.revokedAt !== null || input.now >= session.expiresAt) return { meaning: 'gone' };
  if (token.retiredAt === null) {
    return {
      meaning: 'rotate',
      adopt: token.successor === null,
      retireParent: true,
      retireToken: input.strict,
    };
  }
  // RFC 9700 section 4.14.2 makes a replayed token the end of its family. Only the immediate parent of the
  // newest token in use is spared, for a moment, because that is what a client with a lost reply holds.
  // The distance is absolute: a clock set back must not stretch the moment (R19).
  const inGrace = Math.abs(input.now - token.retiredAt) < input.graceMs;
  if (successorRetired || !inGrace) return { meaning: 'reuse' };
  return { meaning: 'rotate', adopt: false, retireParent: false, retireToken: false };
}
