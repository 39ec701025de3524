/** What the doctor says: one line for each thing that was looked at, with what to do where something is wrong. */
import { CliError } from '../cli-error.ts';

export interface Finding {
  /** What was looked at: `clock`, `live.revoke`. Stable, for programs. */
  check: string;
  /** `skipped`: could not be looked at, which says nothing about it. */
  state: 'ok' | 'warning' | 'problem' | 'skipped';
  says: string;
  /** What to do about it. */
  mend?: string;
}

export const ok = (check: string, says: string): Finding => ({ check, state: 'ok', says });
export const warning = (check: string, says: string, mend: string): Finding => ({
  check,
  state: 'warning',
  says,
  mend,
});
export const problem = (check: string, says: string, mend: string): Finding => ({
  check,
  state: 'problem',
  says,
  mend,
});
export const skipped = (check: string, says: string, mend: string): Finding => ({
  check,
  state: 'skipped',
  says,
  mend,
});

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** True where nobody answered, as opposed to an answer that says no. */
export const isUnreachable = (error: unknown): boolean =>
  error instanceof CliError && error.exit === 'unreachable';
