/** API keys from where programs on servers have them: the environment and files. */
import { readFile, stat } from 'node:fs/promises';
import { type ApiKey, type ApiKeyOptions, createApiKey } from '../api-key.ts';
import { CredentialError } from '../errors.ts';

/** Pairs of variables that the SDKs and samples of this API use, in this order. */
const PAIRS = [
  ['COINBASE_API_KEY', 'COINBASE_API_SECRET'],
  ['CDP_API_KEY_ID', 'CDP_API_KEY_SECRET'],
  ['NAME', 'PRIVATE_KEY'],
] as const;

type KeyOptions = Omit<ApiKeyOptions, 'key' | 'name'>;

const MAX_SIZE = 64 * 1024;

const invalid = (message: string, cause?: unknown): CredentialError =>
  new CredentialError('invalid_key', message, { cause });

/**
 * An API key from environment variables: `COINBASE_API_KEY` and `_SECRET`, `CDP_API_KEY_ID` and `_SECRET`, or `NAME` and
 * `PRIVATE_KEY`. The first complete pair counts.
 *
 * @throws CredentialError `invalid_key`; it names variables, never what is in them
 */
export async function apiKeyFromEnv(
  options: KeyOptions & { env?: Record<string, string | undefined> } = {},
): Promise<ApiKey> {
  const { env = process.env, ...rest } = options;
  for (const [nameVariable, keyVariable] of PAIRS) {
    const name = env[nameVariable]?.trim();
    const key = env[keyVariable];
    if (!name || !key?.trim()) continue;
    try {
      return await createApiKey({ ...rest, key, name });
    } catch (error) {
      if (!(error instanceof CredentialError)) throw error;
      throw invalid(`${nameVariable} and ${keyVariable}: ${error.message}`);
    }
  }
  // NAME is common for other things: it counts only with its partner.
  const halves = PAIRS.slice(0, 2).flatMap(([a, b]) =>
    env[a]?.trim() ? [`${b} is missing`] : env[b]?.trim() ? [`${a} is missing`] : [],
  );
  const all = PAIRS.map((pair) => pair.join(' and ')).join(', or ');
  throw invalid(halves.length > 0 ? `The API key is half there: ${halves.join(', ')}` : `Set ${all}`);
}

/**
 * An API key from a file: a `cdp_api_key.json`, or any other form together with `name`. The file is read again when a
 * server refuses what the key signed, so a key that was rotated in place is picked up.
 *
 * @throws CredentialError `invalid_key`
 */
export function apiKeyFromFile(path: string, options: KeyOptions & { name?: string } = {}): Promise<ApiKey> {
  return createApiKey({ ...options, key: () => readSecretFile(path) });
}

/** Reads a small text file. @throws CredentialError `invalid_key` that names the file */
export async function readSecretFile(path: string): Promise<string> {
  try {
    const { size } = await stat(path);
    if (size > MAX_SIZE) throw invalid(`${path} is too large for a key file`);
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof CredentialError) throw error;
    const { code } = error as { code?: string };
    throw invalid(`${path} cannot be read (${code ?? 'unknown reason'})`);
  }
}
