/** Turns what the static checks and Vitest reported into what `npm test` says at its end. */

/** How to get what a test may need, by the name in its `[needs ...]`. */
export const services = {
  'redis-server': 'apt-get install redis-server',
  postgresql: 'apt-get install postgresql',
  chromium: 'apt-get install chromium',
  python3: 'apt-get install python3',
};

/**
 * @typedef {object} Outcome
 * @property {{ name: string; code: number }[]} checks
 * @property {{ code: number; report: any }} vitest exit code and parsed JSON report, null if it wrote none
 * @property {boolean} requireServices
 * @property {(path: string) => string} shorten
 */

/** @param {Outcome} outcome */
export function summarize({ checks, vitest, requireServices, shorten }) {
  let passed = checks.filter((check) => check.code === 0).length;
  let failed = checks.length - passed;
  let skipped = 0;
  /** @type {Map<string, number>} */
  const skips = new Map();
  const lines = [];

  for (const file of vitest.report?.testResults ?? []) {
    const tests = file.assertionResults;
    // A file that could not be loaded has no tests to count, and must not pass unnoticed.
    if (file.status === 'failed' && !tests.some((/** @type {any} */ test) => test.status === 'failed')) {
      failed += 1;
      lines.push(`failed to run: ${shorten(file.name)}`);
    }
    for (const test of tests) {
      if (test.status === 'passed') passed += 1;
      else if (test.status === 'failed') failed += 1;
      else {
        const need = /\[needs ([\w-]+)\]/.exec(test.fullName)?.[1];
        const missing = need !== undefined && requireServices;
        if (missing) failed += 1;
        else skipped += 1;
        const how = need
          ? `needs ${need}: ${services[/** @type {keyof typeof services} */ (need)] ?? 'see its file'}`
          : test.status;
        const line = `${missing ? 'failed' : 'skipped'}: ${shorten(file.name)} (${how})`;
        skips.set(line, (skips.get(line) ?? 0) + 1);
      }
    }
  }
  for (const [line, count] of skips) lines.push(`${line}, ${count} ${count === 1 ? 'test' : 'tests'}`);
  if (vitest.report === null) {
    failed += 1;
    lines.push('Vitest ended without a report');
  } else if (vitest.code !== 0 && failed === 0) {
    // An error outside any test, such as an unhandled rejection: only the exit code tells.
    failed += 1;
    lines.push('Vitest reported an error outside any test; see above');
  }
  return { lines, failed, closing: `${passed} passed, ${failed} failed, ${skipped} skipped` };
}
