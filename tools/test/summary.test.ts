import { describe, expect, test } from 'vitest';
import { summarize } from '../summary.mjs';

const file = (name: string, statuses: string[], status = 'passed', title = 'does it') => ({
  name: `/clone/${name}`,
  status,
  assertionResults: statuses.map((each) => ({ status: each, fullName: title })),
});

const run = (testResults: unknown[], options: { code?: number; requireServices?: boolean } = {}) =>
  summarize({
    checks: [
      { name: 'types', code: 0 },
      { name: 'rules', code: 0 },
    ],
    vitest: { code: options.code ?? 0, report: { testResults } },
    requireServices: options.requireServices ?? false,
    shorten: (path: string) => path.replace('/clone/', ''),
  });

describe('the closing line', () => {
  test('counts tests and static checks together', () => {
    const { closing, failed } = run([file('a.test.ts', ['passed', 'passed', 'pending'])]);
    expect(closing).toBe('4 passed, 0 failed, 1 skipped');
    expect(failed).toBe(0);
  });

  test('counts a static check that failed', () => {
    const summary = summarize({
      checks: [{ name: 'types', code: 2 }],
      vitest: { code: 0, report: { testResults: [] } },
      requireServices: false,
      shorten: (path: string) => path,
    });
    expect(summary.closing).toBe('0 passed, 1 failed, 0 skipped');
  });

  test('counts a file that could not be loaded as a failure', () => {
    const { closing, lines } = run([file('a.test.ts', [], 'failed')], { code: 1 });
    expect(closing).toBe('2 passed, 1 failed, 0 skipped');
    expect(lines).toContain('failed to run: a.test.ts');
  });

  test('counts an error outside any test as a failure', () => {
    expect(run([file('a.test.ts', ['passed'])], { code: 1 }).failed).toBe(1);
  });

  test('counts a run without a report as a failure', () => {
    const summary = summarize({
      checks: [],
      vitest: { code: 1, report: null },
      requireServices: false,
      shorten: (path: string) => path,
    });
    expect(summary.closing).toBe('0 passed, 1 failed, 0 skipped');
  });
});

describe('a test that skipped itself because a service is missing', () => {
  const skipped = [
    file('store.test.ts', ['pending', 'pending'], 'passed', 'postgres store [needs postgresql] keeps'),
  ];

  test('is listed once per file with the way to get the service', () => {
    const { lines, closing } = run(skipped);
    expect(lines).toEqual(['skipped: store.test.ts (needs postgresql: apt-get install postgresql), 2 tests']);
    expect(closing).toBe('2 passed, 0 failed, 2 skipped');
  });

  test('is a failure when services are required', () => {
    const { closing } = run(skipped, { requireServices: true });
    expect(closing).toBe('2 passed, 2 failed, 0 skipped');
  });
});
