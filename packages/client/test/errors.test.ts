import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { CLIENT_ERRORS, CountersignError, isRetryable, RefusedError } from '../src/index.ts';

const page = readFileSync(new URL('../../../docs/client-errors.md', import.meta.url), 'utf8');
const sections = new Map(
  [...page.matchAll(/^## (\S+)\n\n`(\w+)`\. (.+)/gm)].map(([, code = '', remedy = '']) => [code, remedy]),
);

describe('docs/client-errors.md', () => {
  test('has every code with its remedy, and no other', () => {
    expect(Object.fromEntries(sections)).toEqual(CLIENT_ERRORS);
  });

  test('and the sources throw every code of the table', () => {
    const folder = fileURLToPath(new URL('../src', import.meta.url));
    const source = readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts') && !file.endsWith('errors.ts'))
      .map((file) => readFileSync(join(folder, file), 'utf8'))
      .join('\n');
    const unused = Object.keys(CLIENT_ERRORS).filter((code) => !source.includes(`'${code}'`));
    expect(unused).toEqual([]);
  });
});

describe('an error', () => {
  test('carries its code, its remedy and what to wait for', () => {
    const error = new RefusedError('rate_limited', 'Too many', {
      status: 429,
      serverCode: 'error.limit.rate',
      requestId: 'r1',
      retryAfter: 3,
    });
    expect(error).toBeInstanceOf(CountersignError);
    expect(error).toMatchObject({ name: 'RefusedError', remedy: 'retry', retryAfter: 3, status: 429 });
    expect(isRetryable(error)).toBe(true);
    expect(isRetryable(new Error('rate_limited'))).toBe(false);
  });
});
