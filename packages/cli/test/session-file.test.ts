import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadSession, type SavedSession, saveSession, sessionPath } from '../src/session/session-file.ts';

const session: SavedSession = {
  url: 'http://127.0.0.1:4400',
  userId: 78,
  address: '0x2c7536E3605D9C16a7a3D7b1898e529396a65c23',
  accessToken: 'a.b.c',
  accessExpiresAt: 1_800_000_000,
  refreshToken: 'd.e.f',
  sessionExpiresAt: null,
};

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'countersign-cli-'));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

describe('the session file', () => {
  test('is read back as it was written, by its owner only', () => {
    const path = join(home, 'deep', 'session.json');
    saveSession(path, session);
    expect(loadSession(path)).toEqual(session);
    // An older file with a wider mode is replaced, not written into.
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(dirname(path)).mode & 0o777).toBe(0o700);
    expect(readdirSync(dirname(path))).toEqual(['session.json']);
  });

  test('that is not there is no error', () => {
    expect(loadSession(join(home, 'none.json'))).toBeNull();
  });

  test('that others can read is not used', () => {
    const path = join(home, 'session.json');
    saveSession(path, session);
    chmodSync(path, 0o644);
    expect(() => loadSession(path)).toThrow('chmod 600');
  });

  test.each(['', '{', 'null', '[]', '{"url":1}', JSON.stringify({ ...session, accessToken: undefined })])(
    'with %s in it is refused',
    (text) => {
      const path = join(home, 'session.json');
      writeFileSync(path, text, { mode: 0o600 });
      expect(() => loadSession(path)).toThrow('holds no session');
    },
  );

  test.each([
    [{ COUNTERSIGN_HOME: '/a', XDG_CONFIG_HOME: '/b', HOME: '/c' }, '/a/session.json'],
    [{ XDG_CONFIG_HOME: '/b', HOME: '/c' }, '/b/countersign/session.json'],
    [{ HOME: '/c' }, '/c/.config/countersign/session.json'],
  ])('with %j is %s', (env, path) => {
    expect(sessionPath(env)).toBe(path);
  });
});
