import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openTokenFile } from '../../src/doors/internal/credentials-file.ts';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-token-'));
  path = join(folder, 'data', 'admin.token');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('a token file', () => {
  it('is made at the first start, for its owner only, and read at the next', () => {
    const first = openTokenFile(path, 'csa_');
    expect(first.created).toBe(true);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(join(folder, 'data')).mode & 0o777).toBe(0o700);
    const token = readFileSync(path, 'utf8').trim();
    expect(token).toMatch(/^csa_[0-9A-Za-z]{36}$/);
    const second = openTokenFile(path, 'csa_');
    expect(second.created).toBe(false);
    for (const file of [first, second]) expect(file.matches(token)).toBe(true);
  });

  it('matches nothing but the whole token', () => {
    const file = openTokenFile(path, 'csa_');
    const token = readFileSync(path, 'utf8').trim();
    for (const other of [
      '',
      token.slice(0, -1),
      `${token}x`,
      token.toLowerCase(),
      'csa_',
      token.replace('csa_', 'csb_'),
    ]) {
      expect(file.matches(other)).toBe(false);
    }
  });

  it('is another one for each installation', () => {
    openTokenFile(path, 'csa_');
    openTokenFile(`${path}2`, 'csa_');
    expect(readFileSync(path, 'utf8')).not.toBe(readFileSync(`${path}2`, 'utf8'));
  });

  it.each([0o644, 0o640, 0o604, 0o660])('is refused when its mode is %o', (mode) => {
    openTokenFile(path, 'csa_');
    chmodSync(path, mode);
    expect(() => openTokenFile(path, 'csa_')).toThrow('others may read this file');
  });

  it.each([
    ['nothing', () => ''],
    ['a default', () => 'admin'],
    ['a token of another kind', (token: string) => token.replace('csa_', 'csb_')],
    ['a cut token', (token: string) => token.slice(0, -2)],
    [
      'a mistyped token',
      (token: string) => `${token.slice(0, 10)}${token[10] === 'a' ? 'b' : 'a'}${token.slice(11)}`,
    ],
  ])('is refused when it holds %s', (_title, change) => {
    openTokenFile(path, 'csa_');
    writeFileSync(path, change(readFileSync(path, 'utf8').trim()));
    expect(() => openTokenFile(path, 'csa_')).toThrow('does not hold a csa_ token');
  });
});
