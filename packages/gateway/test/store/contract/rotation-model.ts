import fc from 'fast-check';
import { describe, it } from 'vitest';
import type { StoreUnderTest } from '../contract.ts';
import { digest, LIFE, openSession, sealed } from '../samples.ts';

const GRACE = 30_000;

type Step =
  | { do: 'present' /** 0 = the newest token, 1 = the one before it, ... */; back: number; strict: boolean }
  | { do: 'wait'; ms: number }
  | { do: 'revoke' };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constant('present' as const),
      back: fc.oneof({ weight: 8, arbitrary: fc.constantFrom(0, 1) }, fc.nat(4)),
      strict: fc.oneof({ weight: 7, arbitrary: fc.constant(false) }, fc.constant(true)),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('wait' as const),
      ms: fc.constantFrom(1, 1_000, GRACE - 1, GRACE, GRACE + 1, LIFE * 0.4),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ do: 'revoke' as const }) },
);

/**
 * The rules of `SessionStore.rotate` once more, from the history alone and without state on tokens: tokens
 * are numbered as they are handed out, and a list of good presentations says which have retired.
 */
class Model {
  handedOut = 1;
  ended = false;
  strict: boolean;
  readonly good: { token: number; at: number; strict: boolean }[] = [];

  constructor(strict: boolean) {
    this.strict = strict;
  }

  /** When `token` retired: at the first good presentation of its successor, or of itself under `strict`. */
  retiredAt(token: number): number | undefined {
    return this.good.find((g) => g.token === token + 1 || (g.token === token && g.strict))?.at;
  }

  present(token: number, at: number, strict: boolean): string {
    if (this.ended || at >= 1_000 + LIFE) return 'gone';
    const retired = this.retiredAt(token);
    if (retired !== undefined) {
      if (this.retiredAt(token + 1) !== undefined || at - retired >= GRACE) {
        this.ended = true;
        return 'reused';
      }
    }
    this.strict ||= strict;
    this.good.push({ token, at, strict: this.strict });
    this.handedOut = Math.max(this.handedOut, token + 2);
    return `R${token + 1}`;
  }
}

export function rotationModelContract(under: StoreUnderTest): void {
  describe('refresh rotation, over random histories', () => {
    it('does what the rules say at every step', async () => {
      let run = 0;
      await fc.assert(
        fc.asyncProperty(
          fc.boolean(),
          fc.array(step, { minLength: 1, maxLength: 40 }),
          async (strict, steps) => {
            const sid = `run-${run++}`;
            const tokenDigest = (n: number) => digest(`${sid}-R${n}`);
            await openSession(under.store, sid, { rotation: strict ? 'strict' : 'adaptive' });
            const model = new Model(strict);
            let now = 1_000;
            for (const s of steps) {
              if (s.do === 'wait') now += s.ms;
              else if (s.do === 'revoke') {
                const revoked = await under.store.sessions.revoke(sid, now, 'test');
                same((revoked === null).toString(), (model.ended || now >= 1_000 + LIFE).toString(), steps);
                model.ended = true;
              } else {
                const token = Math.max(0, model.handedOut - 1 - s.back);
                const outcome = await under.store.sessions.rotate({
                  digest: tokenDigest(token),
                  now,
                  graceMs: GRACE,
                  successor: { digest: tokenDigest(token + 1), sealed: sealed(`R${token + 1}`) },
                  ...(s.strict ? { rotation: 'strict' as const } : {}),
                });
                const known = model.handedOut;
                const expected = model.present(token, now, s.strict);
                if (outcome.outcome !== 'rotated') {
                  same(outcome.outcome, expected, steps);
                  continue;
                }
                same(Buffer.from(outcome.sealed).toString(), `sealed ${expected}`, steps);
                same(String(outcome.fresh), String(model.handedOut > known), steps);
                same(outcome.session.rotation, model.strict ? 'strict' : 'adaptive', steps);
              }
            }
          },
        ),
        { numRuns: 150 },
      );
    });
  });
}

/** Cheaper than `expect` in so tight a loop, and shows the history. */
function same(actual: string, expected: string, steps: Step[]): void {
  if (actual !== expected) throw new Error(`got ${actual}, not ${expected}, in ${JSON.stringify(steps)}`);
}
