/**
 * The log: one JSON object a line, UTC, with named fields only (requirements R76, R77). What is not on the
 * list of fields is not written, so that a new field cannot leak by accident; what is written passes a last
 * filter for things that look like credentials. JSON escaping takes care of control characters.
 */
import { type Logger, pino, stdTimeFunctions } from 'pino';
import type { Config } from './config.ts';

export type { Logger };

/** Every field that a line may carry. None of them may hold a token, signature, nonce, key, cookie or query string. */
const FIELDS: ReadonlySet<string> = new Set([
  // What happened, and where in the program.
  ...['event', 'component', 'reason', 'why', 'code', 'outcome', 'err', 'signal', 'version'],
  // Who and what it was about: identifiers that give no access.
  ...['actor', 'userId', 'sid', 'requestId', 'connectionId', 'source', 'kind', 'subject', 'dialect', 'node'],
  ...['method', 'route', 'status', 'channel', 'stream', 'epoch', 'sequence', 'protocol', 'origin', 'chainId'],
  // Where it listens and keeps its data; how much and how long.
  ...['host', 'port', 'url', 'path', 'dataDir', 'at', 'ms', 'seconds', 'count', 'limit', 'bytes', 'level'],
  ...['lag', 'connections', 'sessions', 'refreshTokens', 'publications', 'dropped', 'faults', 'seed'],
  ...['service', 'state', 'unlisted', 'lease', 'eventId'],
]);

const LONGEST_TEXT = 512;
const LONGEST_STACK = 4096;

/** Shapes of credentials and of secret bytes, wherever they stand. */
const SECRETS = new RegExp(
  [
    // Compact JWS, whole or cut short.
    String.raw`eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,4}`,
    // What follows the scheme of an Authorization header.
    String.raw`\b(?:Bearer|Basic)\s+[A-Za-z0-9+/=._~-]{4,}`,
    // Prefixed tokens of ours, and of the kinds that deployments are likely to hold.
    String.raw`\b(?:cs|csr|csk|cst|csb|csa|gwr|gwk|sk|pk)_[A-Za-z0-9_-]{12,}`,
    // Private keys, signatures, digests.
    '(?:0x)?[0-9a-fA-F]{64,}',
    '-----BEGIN [A-Z ]*PRIVATE KEY-----[^"]*',
  ].join('|'),
  'g',
);
// Userinfo and query of an address: both carry credentials in real clients.
const USERINFO = /([a-z][a-z0-9+.-]*:\/\/)[^\s/@"]+@/gi;
const QUERY = /(\/[^\s?"]*)\?[^\s"]*/g;

/** Takes out of a text what looks like a credential. Not a licence to log secrets: a nonce, say, looks like any number. */
export function scrub(text: string): string {
  return text.replace(SECRETS, '[redacted]').replace(USERINFO, '$1').replace(QUERY, '$1');
}

const cut = (text: string, longest = LONGEST_TEXT): string =>
  text.length > longest ? `${text.slice(0, longest)}…` : text;

/** Name, code, message and stack; never the other properties, where libraries keep requests and SQL parameters. */
function safeError(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { type: typeof error };
  const { name, message, stack, cause } = error;
  const code = 'code' in error && typeof error.code === 'string' ? { code: error.code } : {};
  return {
    type: name,
    message: cut(scrub(message)),
    ...code,
    ...(stack === undefined ? {} : { stack: cut(scrub(stack), LONGEST_STACK) }),
    ...(cause instanceof Error ? { cause: `${cause.name}: ${cut(scrub(cause.message))}` } : {}),
  };
}

function safeValue(value: unknown): unknown {
  if (typeof value === 'string') return cut(scrub(value));
  if (typeof value === 'number' || typeof value === 'boolean' || value === null) return value;
  if (typeof value === 'bigint') return value.toString();
  if (Array.isArray(value))
    return value.slice(0, 20).map((item) => (typeof item === 'object' ? '…' : safeValue(item)));
  if (value instanceof Error) return safeError(value);
  return undefined;
}

/** Keeps the fields on the list; names those that were not, so that the mistake shows. */
function safeFields(fields: object): Record<string, unknown> {
  const kept: Record<string, unknown> = {};
  const unlisted: string[] = [];
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    if (!FIELDS.has(name)) unlisted.push(name);
    else kept[name] = name === 'err' ? safeError(value) : safeValue(value);
  }
  if (unlisted.length > 0) kept.unlisted = unlisted.slice(0, 20).map((name) => cut(scrub(name), 40));
  return kept;
}

/** Fields given to a child are checked like those of a line: pino itself writes them as they are. */
function guardChildren(log: Logger): Logger {
  const child = log.child.bind(log);
  log.child = ((bindings: object) =>
    guardChildren(child(safeFields(bindings)))) as unknown as Logger['child'];
  return log;
}

export interface LogOptions {
  level: Config['logLevel'];
  /** Where lines go; default standard error, because standard output belongs to the program's answer. */
  destination?: { write(line: string): unknown };
}

/**
 * Makes a log. Its children share level and destination; options given to `child()` are ignored.
 *
 * @returns a pino logger that writes only fields of the list
 */
export function createLog({ level, destination = process.stderr }: LogOptions): Logger {
  const log = pino(
    {
      level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }), log: safeFields },
      // The error in `err` has been reduced by then; pino's own serializer would copy its properties.
      serializers: { err: (error: unknown) => (error instanceof Error ? safeError(error) : error) },
      hooks: {
        logMethod(args, method) {
          // A bare error or text is given the same shape as everything else.
          const [first, second] = args as unknown[];
          if (first instanceof Error)
            method.apply(this, [{ err: first }, typeof second === 'string' ? second : 'fault']);
          else method.apply(this, args);
        },
      },
    },
    { write: (line: string) => destination.write(`${scrubLine(line)}\n`) },
  );
  return guardChildren(log);
}

/** The last filter sees the line as JSON and leaves it JSON: none of the patterns crosses a quote. */
const scrubLine = (line: string): string => line.trimEnd().replace(SECRETS, '[redacted]');
