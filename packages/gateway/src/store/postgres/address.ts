/** Where a server is, read from a URL as libpq takes it: `postgres://user:password@host:port/database?sslmode=...`. */
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { StoreError } from '../store-error.ts';

export interface PostgresAddress {
  /** In order of preference; the first that answers and takes writes is used. */
  hosts: ({ host: string; port: number } | { path: string })[];
  /** Undefined = what `PGUSER`, `PGPASSWORD`, `PGDATABASE` say, or the system. */
  user?: string;
  password?: string;
  database?: string;
  tls: { rejectUnauthorized: boolean; ca?: string } | false;
  /** Without user and password: fit for messages. */
  shown: string;
}

const MODES = ['disable', 'require', 'verify-full'];
const PARAMETERS = new Set(['host', 'sslmode', 'sslrootcert']);
const LOOPBACK = /^(?:localhost|127\.|::1$)/;

/**
 * Several hosts may be given, separated by commas. `?host=/folder` is the folder of a unix socket. `sslmode` is
 * `disable`, `require` (encrypts, but believes any server) or `verify-full`, the default unless every host is a
 * socket or on loopback; `sslrootcert` is a file of certificates to believe.
 *
 * @throws StoreError `cannot-open`; no message has a part of the URL that may be secret
 */
export function parseAddress(text: string): PostgresAddress {
  const parts = /^postgres(?:ql)?:\/\/(?:([^@/?#]*)@)?([^/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/.exec(text);
  if (!parts) throw refused('the store URL is not of the form postgres://user@host:port/database');
  const [, credentials, hostList = '', database = '', query = ''] = parts;
  const parameters = new URLSearchParams(query);
  for (const name of parameters.keys()) {
    if (!PARAMETERS.has(name))
      throw refused('the store URL has a parameter other than host, sslmode or sslrootcert');
  }
  const folder = parameters.get('host');
  const hosts = (folder ?? (hostList || 'localhost')).split(',').map((each) => place(each, hostList));
  const near = hosts.every((at) => 'path' in at || LOOPBACK.test(at.host));
  const mode = parameters.get('sslmode') ?? (near ? 'disable' : 'verify-full');
  if (!MODES.includes(mode)) throw refused(`sslmode in the store URL must be one of ${MODES.join(', ')}`);
  const [user, password] = (credentials ?? '').split(/:(.*)/s).map(decoded);
  const name = decoded(database);
  return {
    hosts,
    ...(user ? { user } : {}),
    ...(password ? { password } : {}),
    ...(name ? { database: name } : {}),
    tls: mode === 'disable' ? false : tlsOf(mode, parameters.get('sslrootcert')),
    shown: `postgres://${folder ?? hostList}/${name}`,
  };
}

function place(text: string, hostList: string): PostgresAddress['hosts'][number] {
  const port = (given: string | undefined) => {
    const value = Number(given ?? '5432');
    if (!(Number.isInteger(value) && value > 0 && value < 65_536))
      throw refused('the store URL has no valid port');
    return value;
  };
  if (text.startsWith('/')) return { path: `${text}/.s.PGSQL.${port(/:(\d+)$/.exec(hostList)?.[1])}` };
  const [, bracketed, plain, given] = /^(?:\[([^\]]+)\]|([^:]*))(?::(.*))?$/.exec(text) ?? [];
  const host = bracketed ?? plain ?? '';
  if (host === '' || (bracketed !== undefined && isIP(bracketed) !== 6))
    throw refused('the store URL has no valid host');
  return { host, port: port(given) };
}

function tlsOf(mode: string, file: string | null): Exclude<PostgresAddress['tls'], false> {
  if (mode === 'require') return { rejectUnauthorized: false };
  if (file === null) return { rejectUnauthorized: true };
  try {
    return { rejectUnauthorized: true, ca: readFileSync(file, 'utf8') };
  } catch (error) {
    throw refused(`the file of sslrootcert cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw refused('the store URL has a % that encodes nothing');
  }
}

const refused = (message: string) => new StoreError('cannot-open', message);
