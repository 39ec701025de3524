/** Why a gateway did not start, in one line and without a stack. */
import { CliError } from '../cli-error.ts';
import { printable } from '../io.ts';

interface SystemError extends Error {
  code?: string;
  port?: number;
  address?: string;
  path?: string;
  syscall?: string;
}

/** The error, or the first of its causes, that the operating system gave a code. */
function systemErrorIn(error: unknown, depth = 0): SystemError | null {
  if (!(error instanceof Error) || depth > 5) return null;
  const { code } = error as SystemError;
  return typeof code === 'string' && /^(?:E[A-Z]+|SQLITE_\w+)$/.test(code)
    ? error
    : systemErrorIn(error.cause, depth + 1);
}

/** @param dataDir for naming the folder where the error does not */
export function startFailure(error: unknown, dataDir: string): CliError {
  if (error instanceof CliError) return error;
  const options = { cause: error };
  if (error instanceof Error && error.name === 'ConfigError') {
    return new CliError('config', `setting ${printable(error.message)}`, options);
  }
  const system = systemErrorIn(error);
  const { code = '', port, address, path } = system ?? {};
  if (code === 'EADDRINUSE') {
    return new CliError(
      'config',
      `port ${port} on ${address} is already in use; choose another with --port and --internal-port, or stop what uses it`,
      options,
    );
  }
  if (code === 'EADDRNOTAVAIL')
    return new CliError('config', `${address} is no address of this machine`, options);
  if (code === 'EACCES' && port !== undefined) {
    return new CliError('config', `port ${port} may not be opened by this user`, options);
  }
  const folder = path ?? dataDir;
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
    return new CliError(
      'config',
      `no right to write to ${folder}; choose a data folder with --data-dir`,
      options,
    );
  }
  if (code === 'ENOTDIR' || code === 'EEXIST')
    return new CliError('config', `${folder} is not a folder`, options);
  if (code === 'ENOSPC') return new CliError('config', `the disk that holds ${folder} is full`, options);
  if (code.startsWith('SQLITE_')) {
    return new CliError(
      'config',
      `cannot use the database in ${dataDir}: ${printable(system?.message ?? code)}`,
      options,
    );
  }
  return new CliError(
    'failure',
    `the gateway did not start: ${printable(error instanceof Error ? error.message : String(error))}`,
    options,
  );
}
