/** What can be seen without asking anybody: settings, files, and who may read them. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigError, parseConfig } from '@countersign/gateway';
import { composeConfig } from '../config-sources.ts';
import type { Io } from '../io.ts';
import { profilesPath, savedProfiles } from '../profiles.ts';
import { loadSession, sessionPath } from '../session/session-file.ts';
import { type Finding, messageOf, ok, problem, warning } from './finding.ts';

export function* checkSettings(io: Io, file: string | undefined): Generator<Finding> {
  try {
    const { input, warnings } = composeConfig({ file, env: io.env, flags: {} });
    parseConfig(input);
    const from = file ?? (io.env.COUNTERSIGN_CONFIG || null);
    yield ok('config', from === null ? 'no settings file; the defaults are sound' : `${from} is sound`);
    for (const line of warnings) yield warning('config.variables', line, 'remove it, or correct its name');
  } catch (error) {
    const mend =
      error instanceof ConfigError
        ? 'correct the setting that is named; `countersign config print` shows what is in force'
        : 'correct the file or the variable that is named';
    yield problem('config', messageOf(error), mend);
  }
}

/** Files of the data folder that hold a secret. */
const SECRET = /\.(?:token|key|kek|sqlite|db)(?:-\w+)?$|^cdp_api_key\.json$/;

export function* checkFiles(io: Io, dataDir: string): Generator<Finding> {
  if (!existsSync(dataDir)) {
    yield warning(
      'files',
      `there is no data folder ${dataDir} here`,
      'give --data-dir, or run this on the machine of the gateway; admin and backend are not looked at without it',
    );
  } else {
    let names: string[] = [];
    try {
      names = readdirSync(dataDir);
    } catch (error) {
      yield problem('files', `cannot read ${dataDir}: ${messageOf(error)}`, 'run this as the gateway’s user');
    }
    const open = names.filter((name) => SECRET.test(name) && readable(join(dataDir, name)));
    for (const name of open) {
      const path = join(dataDir, name);
      yield problem('files.modes', `${path} can be read by others`, `chmod 600 ${path}`);
    }
    if (open.length === 0)
      yield ok('files.modes', `the secrets in ${dataDir} are readable by their owner only`);
  }
  try {
    const session = loadSession(sessionPath(io.env));
    if (session === null) yield ok('session', 'no saved session');
    else if (session.sessionExpiresAt !== null && session.sessionExpiresAt * 1000 <= Date.now())
      yield warning('session', 'the saved session has ended', 'countersign login --save');
    else yield ok('session', `a session of user ${session.userId} at ${session.url} is saved`);
  } catch (error) {
    yield problem('session', messageOf(error), 'mend the file as it says, or log in again with --save');
  }
  try {
    const count = Object.keys(savedProfiles(io.env)).length;
    yield ok(
      'profiles',
      count === 0 ? 'no profiles beside the built-in ones' : `${count} in ${profilesPath(io.env)}`,
    );
  } catch (error) {
    yield problem('profiles', messageOf(error), 'correct the file, or remove it');
  }
}

const readable = (path: string): boolean =>
  ((statSync(path, { throwIfNoEntry: false })?.mode ?? 0) & 0o077) !== 0;

/** Seconds after which a signing key is replaced, by the settings that were found; 0 where that is not known. */
export function keyLifeOf(io: Io, file: string | undefined): number {
  try {
    return parseConfig(composeConfig({ file, env: io.env, flags: {} }).input).tokens.signingKeyLife;
  } catch {
    return 0;
  }
}
