/**
 * Environments by name: where a service is, which chain it signs for, where the keys for it lie. A profile holds no
 * secret itself, only names of files. Four are built in; the others are in `profiles.yaml`.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { presets } from '@countersign/client';
import { parse as parseYaml, stringify } from 'yaml';
import { CliError } from './cli-error.ts';
import { type Io, printable } from './io.ts';
import { homeOf } from './session/session-file.ts';

export interface Profile {
  /** Address of the service. */
  url: string;
  /** Where its WebSocket is not at `/ws` of the same host. */
  webSocketUrl?: string;
  /** Of the gateway's internal listener. */
  internalUrl?: string;
  /** For wallet logins. */
  chainId?: number;
  /** File of an API key. */
  keyFile?: string;
  /** File of a wallet's private key. */
  walletKeyFile?: string;
  /** File of a handshake token. */
  tokenFile?: string;
}

const { ethgas, coinbase } = presets;

export const PRESETS: Readonly<Record<string, Profile>> = {
  'ethgas-mainnet': {
    url: ethgas.mainnet.baseUrl,
    webSocketUrl: ethgas.mainnet.webSocketUrl,
    chainId: ethgas.mainnet.chainId,
  },
  'ethgas-hoodi': {
    url: ethgas.hoodi.baseUrl,
    webSocketUrl: ethgas.hoodi.webSocketUrl,
    chainId: ethgas.hoodi.chainId,
  },
  coinbase: {
    url: coinbase.advancedTrade.baseUrl,
    webSocketUrl: coinbase.advancedTrade.webSocketUrl,
  },
  local: { url: 'http://127.0.0.1:4400', internalUrl: 'http://127.0.0.1:4401' },
};

/** Which variable a member of a profile stands for: commands read these, wherever they came from. */
const VARIABLES: Readonly<Record<keyof Profile, string>> = {
  url: 'COUNTERSIGN_URL',
  webSocketUrl: 'COUNTERSIGN_WEBSOCKET_URL',
  internalUrl: 'COUNTERSIGN_INTERNAL_URL',
  chainId: 'COUNTERSIGN_CHAIN_ID',
  keyFile: 'COUNTERSIGN_KEY_FILE',
  walletKeyFile: 'COUNTERSIGN_WALLET_KEY_FILE',
  tokenFile: 'COUNTERSIGN_TOKEN_FILE',
};

const MEMBERS = Object.keys(VARIABLES) as (keyof Profile)[];
const NAME = /^[a-z0-9][a-z0-9-]{0,31}$/;

export const profilesPath = (env: Io['env']): string => join(homeOf(env), 'profiles.yaml');

/** @throws CliError `usage` */
export function profileName(text: string): string {
  if (NAME.test(text)) return text;
  throw new CliError(
    'usage',
    `"${printable(text, 40)}" is no name of a profile: small letters, digits and hyphens, at most 32`,
  );
}

/** The profiles of the file, without those that are built in. @throws CliError `config` */
export function savedProfiles(env: Io['env']): Record<string, Profile> {
  const path = profilesPath(env);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return {};
    throw new CliError('config', `cannot read ${path}: ${code}`);
  }
  let tree: unknown;
  try {
    tree = parseYaml(text, { maxAliasCount: 0 });
  } catch {
    throw new CliError('config', `${path} is not valid YAML`);
  }
  if (tree === null || tree === undefined) return {};
  if (typeof tree !== 'object' || Array.isArray(tree))
    throw new CliError('config', `${path} must hold profiles by name`);
  return Object.fromEntries(
    Object.entries(tree).map(([name, value]) => {
      if (!NAME.test(name) || !isProfile(value))
        throw new CliError(
          'config',
          `${path}: "${printable(name, 40)}" is no profile: it needs url, and may have ${MEMBERS.slice(1).join(', ')}`,
        );
      return [name, value];
    }),
  );
}

function isProfile(value: unknown): value is Profile {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return (
    'url' in value &&
    Object.entries(value).every(
      ([member, given]) =>
        MEMBERS.includes(member as keyof Profile) &&
        (member === 'chainId' ? Number.isSafeInteger(given) && Number(given) > 0 : typeof given === 'string'),
    )
  );
}

/** Writes beside the file and renames. @throws CliError `config` */
export function saveProfiles(env: Io['env'], profiles: Record<string, Profile>): void {
  const path = profilesPath(env);
  const beside = `${path}.${randomBytes(6).toString('hex')}`;
  try {
    mkdirSync(homeOf(env), { recursive: true, mode: 0o700 });
    writeFileSync(beside, stringify(profiles), { mode: 0o600, flag: 'wx' });
    renameSync(beside, path);
  } catch (error) {
    rmSync(beside, { force: true });
    throw new CliError('config', `cannot write ${path}: ${(error as NodeJS.ErrnoException).code}`);
  }
}

/** @throws CliError `usage` when there is none of this name */
export function findProfile(env: Io['env'], name: string): Profile {
  const saved = savedProfiles(env);
  const found = Object.hasOwn(saved, name)
    ? saved[name]
    : Object.hasOwn(PRESETS, name)
      ? PRESETS[name]
      : null;
  if (found) return found;
  const known = [...new Set([...Object.keys(PRESETS), ...Object.keys(saved)])].join(', ');
  throw new CliError('usage', `there is no profile "${printable(name, 40)}"; there are: ${known}`);
}

/**
 * Takes `--profile NAME` out of a command line, wherever it stands; without it, `COUNTERSIGN_PROFILE` counts.
 *
 * @throws CliError `usage`
 */
export function takeProfile(
  argv: readonly string[],
  env: Io['env'],
): { words: string[]; profile: string | null } {
  const words: string[] = [];
  let profile = env.COUNTERSIGN_PROFILE || null;
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at] ?? '';
    if (word === '--profile') {
      at += 1;
      profile = argv[at] ?? '';
    } else if (word.startsWith('--profile=')) profile = word.slice('--profile='.length);
    else words.push(word);
  }
  if (profile === '') throw new CliError('usage', '--profile needs a name');
  return { words, profile };
}

/** The same process with the profile's settings in place of the variables of the same meaning. Flags still win. */
export function withProfile(io: Io, name: string): Io {
  const profile = findProfile(io.env, profileName(name));
  const given = Object.entries(profile).map(([member, value]) => [
    VARIABLES[member as keyof Profile],
    String(value),
  ]);
  return { ...io, env: { ...io.env, ...Object.fromEntries(given), COUNTERSIGN_PROFILE: name } };
}
