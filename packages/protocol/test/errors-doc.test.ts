import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ERRORS, type ErrorCode, type ErrorRow } from '../src/index.ts';

const page = readFileSync(new URL('../../../docs/errors.md', import.meta.url), 'utf8');

/** Sections of the page by heading. */
const sections = new Map(
  page
    .split(/^## /m)
    .slice(1)
    .map((section): [string, string] => {
      const end = section.indexOf('\n');
      return [section.slice(0, end).trim(), section.slice(end)];
    }),
);

const REMEDIES: Record<ErrorRow['remedy'], string> = {
  permanent: 'permanent: the same request will never work',
  retry: 'retry: try again later',
  'sign-in': 'sign in: get a fresh credential first',
};

describe('docs/errors.md', () => {
  it('has a section for every row, in the order of the table, and no other', () => {
    expect([...sections.keys()]).toEqual(Object.keys(ERRORS));
  });

  it.each(Object.keys(ERRORS) as ErrorCode[])('says of %s what the table says', (code) => {
    const row: ErrorRow = ERRORS[code];
    const section = sections.get(code) ?? '';
    expect(section).toContain(
      `| ${row.status} | ${row.errorCode} | \`${row.errorMsgKey}\` | \`${row.chainworks}\` | \`${row.coinbase}\` | ${REMEDIES[row.remedy]} |`,
    );
    expect(section).toContain(`> ${row.message}\n`);
    expect(section).toMatch(/\*\*What to do:\*\* \S/);
  });

  it('names no message key that the table does not have', () => {
    const keys = new Set<string>(Object.values(ERRORS).map(({ errorMsgKey }) => errorMsgKey));
    const named = [...page.matchAll(/error\.[a-z]+\.[A-Za-z]+/g)].map(([key]) => key);
    expect(named.length).toBeGreaterThan(0);
    expect(named.filter((key) => !keys.has(key))).toEqual([]);
  });
});
