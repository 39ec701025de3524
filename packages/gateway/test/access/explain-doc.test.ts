import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { REASONS } from '../../src/access/reasons.ts';

const page = readFileSync(new URL('../../../../docs/explain.md', import.meta.url), 'utf8');
const sections = new Map(
  page
    .split(/^## /m)
    .slice(1)
    .map((section) => [section.slice(0, section.indexOf('\n')), section] as const),
);

describe('docs/explain.md', () => {
  it('has a section for each reason code, in the order in which rules are tried, and no others', () => {
    expect([...sections.keys()]).toEqual(Object.keys(REASONS));
  });

  it.each(Object.entries(REASONS))('says of %s what the table says', (reason, { meaning, mend }) => {
    expect(sections.get(reason)).toContain(meaning);
    if (mend === null) expect(sections.get(reason)).not.toContain('What would change it');
    else expect(sections.get(reason)).toContain(`**What would change it:** ${mend}`);
  });
});
