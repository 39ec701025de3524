/** Who makes a REST call: the saved session, an API key, a handshake token, or nobody. */
import { CliError } from '../cli-error.ts';
import type { Io } from '../io.ts';
import { isAboutToExpire, refresh } from './api.ts';
import { type ApiKeyArgs, apiKeyFlags, findApiKey, hasApiKey, warnOfReaders } from './api-key-source.ts';
import { loadSession, requireSession, saveSession, sessionPath } from './session-file.ts';
import { readToken } from './token-file.ts';

export const credentialFlags = {
  session: { type: 'boolean', description: 'As the saved session (the default where there is one)' },
  'key-file': { ...apiKeyFlags['key-file'], description: 'As the owner of this API key' },
  'key-name': apiKeyFlags['key-name'],
  'token-file': { type: 'string', valueHint: 'file', description: 'With the handshake token in this file' },
  anonymous: { type: 'boolean', description: 'Without any credential' },
} as const;

export interface CredentialArgs extends ApiKeyArgs {
  session?: boolean | undefined;
  'token-file'?: string | undefined;
  anonymous?: boolean | undefined;
}

export interface RestCredential {
  kind: 'session' | 'api-key' | 'handshake-token' | 'anonymous';
  /** What stands behind `Bearer`; null for nobody. Made for this one request. */
  bearer(method: string, url: string): Promise<string | null>;
}

/**
 * The credential that was asked for; where none was, the saved session for this service, then an API key, then a
 * handshake token of the profile or the environment, then nobody.
 *
 * @param base of the service that the call goes to: a session is not sent anywhere else
 * @throws CliError
 */
export async function restCredential(args: CredentialArgs, io: Io, base: string): Promise<RestCredential> {
  const { session, 'key-file': keyFile, 'token-file': tokenFile, anonymous } = args;
  const asked = [session, keyFile, tokenFile, anonymous].filter((one) => one !== undefined && one !== false);
  if (asked.length > 1)
    throw new CliError('usage', 'give one of --session, --key-file, --token-file and --anonymous');
  if (anonymous) return { kind: 'anonymous', bearer: async () => null };
  if (keyFile !== undefined) return apiKey(args, io);
  if (tokenFile !== undefined) return handshakeToken(tokenFile, io);
  const saved = session ? requireSession(io.env).session : loadSession(sessionPath(io.env));
  if (saved && new URL(saved.url).origin === new URL(base).origin) return savedSession(io);
  if (saved && session)
    throw new CliError('config', `the saved session is for ${saved.url}; log in to ${base} first`);
  if (hasApiKey(io.env)) return apiKey(args, io);
  if (io.env.COUNTERSIGN_TOKEN_FILE) return handshakeToken(io.env.COUNTERSIGN_TOKEN_FILE, io);
  return { kind: 'anonymous', bearer: async () => null };
}

async function apiKey(args: ApiKeyArgs, io: Io): Promise<RestCredential> {
  const key = await findApiKey(args, io);
  return { kind: 'api-key', bearer: (method, url) => key.restToken(method, url) };
}

function handshakeToken(file: string, io: Io): RestCredential {
  const token = readToken(file, 'handshake token');
  warnOfReaders(file, io);
  if (!/^[\x21-\x7e]{8,8192}$/.test(token)) throw new CliError('config', `${file} holds no handshake token`);
  return { kind: 'handshake-token', bearer: async () => token };
}

function savedSession(io: Io): RestCredential {
  return {
    kind: 'session',
    async bearer() {
      const { path, session } = requireSession(io.env);
      if (!isAboutToExpire(session)) return session.accessToken;
      const renewed = await refresh(session, io.stop);
      saveSession(path, renewed);
      return renewed.accessToken;
    },
  };
}
