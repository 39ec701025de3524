import { TokenError } from '../errors.ts';
import { type Address, checksumAddress } from './address.ts';
import { isPchars, isScheme, isUri, parseAuthority, parseDateTime } from './uri.ts';

/** A "Sign-In with Ethereum" message (EIP-4361). Times are RFC 3339 texts, kept as they were written. */
export interface SiweMessage {
  /** URI scheme of the origin, without `://`. */
  readonly scheme?: string;
  /** RFC 3986 authority asking for the signature, with port where it is not the default. */
  readonly domain: string;
  /** With its EIP-55 checksum. */
  readonly address: Address;
  /** What the person agrees to: one line of ASCII. May be empty, which is not the same as absent. */
  readonly statement?: string;
  readonly uri: string;
  readonly version: '1';
  readonly chainId: number;
  /** At least 8 letters and digits. */
  readonly nonce: string;
  readonly issuedAt: string;
  readonly expirationTime?: string;
  readonly notBefore?: string;
  readonly requestId?: string;
  readonly resources?: readonly string[];
}

const MAX_LENGTH = 8192;
const TITLE = ' wants you to sign in with your Ethereum account:';
// `reserved / unreserved / SP`: no line breaks, no `%`, no quotes.
const STATEMENT = /^[A-Za-z0-9\-._~:/?#[\]@!$&'()*+,;= ]*$/;

const fault = (name: string, expected: string): never => {
  throw new TokenError('siwe', `Not an EIP-4361 message: ${expected} expected`, { name, expected });
};

/** The lines of a message, taken one by one. No rule of the grammar contains a line feed except between lines. */
class Lines {
  readonly #lines: readonly string[];
  #at = 0;

  constructor(text: string) {
    this.#lines = text.split('\n');
  }

  next(): string | undefined {
    return this.#lines[this.#at++];
  }

  peek(ahead = 0): string | undefined {
    return this.#lines[this.#at + ahead];
  }

  /** The rest of the next line when it starts with `title`. */
  optional(title: string): string | undefined {
    const line = this.peek();
    if (!line?.startsWith(title)) return undefined;
    this.#at++;
    return line.slice(title.length);
  }

  required(title: string): string {
    return this.optional(title) ?? fault(title.trimEnd(), `a line "${title}…"`);
  }

  get done(): boolean {
    return this.#at >= this.#lines.length;
  }
}

function parseOrigin(line: string | undefined): Pick<SiweMessage, 'scheme' | 'domain'> {
  if (!line?.endsWith(TITLE)) return fault('domain', 'the title line');
  const origin = line.slice(0, -TITLE.length);
  const split = origin.indexOf('://');
  const scheme = split < 0 ? undefined : origin.slice(0, split);
  const domain = split < 0 ? origin : origin.slice(split + 3);
  if (scheme !== undefined && !isScheme(scheme)) fault('scheme', 'an RFC 3986 scheme');
  const authority = parseAuthority(domain);
  if (!authority || authority.host === '') fault('domain', 'an RFC 3986 authority with a host');
  return scheme === undefined ? { domain } : { scheme, domain };
}

function parseAccount(line: string | undefined): Address {
  if (!line || !/^0x[0-9a-fA-F]{40}$/.test(line) || checksumAddress(line) !== line) {
    fault('address', '0x and 40 hex digits with a correct EIP-55 checksum');
  }
  return line as Address;
}

/** `LF [ statement LF ] LF` after the address. */
function parseStatement(lines: Lines): string | undefined {
  if (lines.next() !== '') fault('address', 'an empty line after the address');
  const line = lines.next() ?? fault('statement', 'a statement or an empty line');
  if (line === '' && lines.peek() !== '') return undefined;
  if (!STATEMENT.test(line)) fault('statement', 'one line of reserved, unreserved or space characters');
  if (lines.next() !== '') fault('statement', 'an empty line after the statement');
  return line;
}

function checked<T extends string | undefined>(
  value: T,
  test: (text: string) => boolean,
  name: string,
  rule: string,
): T {
  if (value !== undefined && !test(value)) fault(name, rule);
  return value;
}

const isTime = (text: string): boolean => parseDateTime(text) !== undefined;

function parseResources(lines: Lines): string[] | undefined {
  const rest = lines.optional('Resources:');
  if (rest === undefined) return undefined;
  if (rest !== '') fault('Resources', 'nothing after "Resources:"');
  const resources: string[] = [];
  while (!lines.done) resources.push(checked(lines.required('- '), isUri, 'Resources', 'an RFC 3986 URI'));
  return resources;
}

/**
 * Parses an EIP-4361 message by its exact grammar: fields in their order, version 1, nothing added, nothing left over.
 *
 * Does NOT check that the message is meant for this site, chain or time: see {@link checkSiweMessage}.
 *
 * @throws {TokenError} `siwe`, naming the line
 */
export function parseSiweMessage(text: string): SiweMessage {
  if (text.length > MAX_LENGTH) fault('message', `at most ${MAX_LENGTH} characters`);
  const lines = new Lines(text);
  const origin = parseOrigin(lines.next());
  const address = parseAccount(lines.next());
  const statement = parseStatement(lines);
  const uri = checked(lines.required('URI: '), isUri, 'URI', 'an RFC 3986 URI');
  const version = lines.required('Version: ');
  if (version !== '1') return fault('Version', '1');
  const chainText = checked(
    lines.required('Chain ID: '),
    (s) => /^[0-9]{1,16}$/.test(s),
    'Chain ID',
    'digits',
  );
  const chainId = Number(chainText);
  if (!Number.isSafeInteger(chainId)) fault('Chain ID', 'at most 2^53');
  const nonce = checked(
    lines.required('Nonce: '),
    (s) => /^[A-Za-z0-9]{8,}$/.test(s),
    'Nonce',
    '8 or more letters and digits',
  );
  const issuedAt = checked(lines.required('Issued At: '), isTime, 'Issued At', 'an RFC 3339 time');
  const expirationTime = checked(
    lines.optional('Expiration Time: '),
    isTime,
    'Expiration Time',
    'an RFC 3339 time',
  );
  const notBefore = checked(lines.optional('Not Before: '), isTime, 'Not Before', 'an RFC 3339 time');
  const requestId = checked(lines.optional('Request ID: '), isPchars, 'Request ID', 'RFC 3986 pchar');
  const resources = parseResources(lines);
  if (!lines.done) fault('message', 'no further line');
  return {
    ...origin,
    address,
    ...(statement === undefined ? {} : { statement }),
    uri,
    version,
    chainId,
    nonce,
    issuedAt,
    ...(expirationTime === undefined ? {} : { expirationTime }),
    ...(notBefore === undefined ? {} : { notBefore }),
    ...(requestId === undefined ? {} : { requestId }),
    ...(resources === undefined ? {} : { resources }),
  };
}

/**
 * Builds the text a wallet signs with `personal_sign`. The result always parses back to the same message, so no field
 * can smuggle in a line.
 *
 * @throws {TokenError} `siwe` when a field does not fit the grammar
 */
export function buildSiweMessage(message: SiweMessage): string {
  const { scheme, statement, expirationTime, notBefore, requestId, resources } = message;
  const text = [
    `${scheme === undefined ? '' : `${scheme}://`}${message.domain}${TITLE}`,
    message.address,
    '',
    ...(statement === undefined ? [] : [statement]),
    '',
    `URI: ${message.uri}`,
    `Version: ${message.version}`,
    `Chain ID: ${message.chainId}`,
    `Nonce: ${message.nonce}`,
    `Issued At: ${message.issuedAt}`,
    ...(expirationTime === undefined ? [] : [`Expiration Time: ${expirationTime}`]),
    ...(notBefore === undefined ? [] : [`Not Before: ${notBefore}`]),
    ...(requestId === undefined ? [] : [`Request ID: ${requestId}`]),
    ...(resources === undefined ? [] : ['Resources:', ...resources.map((uri) => `- ${uri}`)]),
  ].join('\n');
  const parsed = parseSiweMessage(text);
  for (const name of SIWE_FIELDS) {
    const [a, b] = [message[name], parsed[name]];
    const same = Array.isArray(a) && Array.isArray(b) ? a.join('\n') === b.join('\n') : a === b;
    if (!same) fault(name, 'a value that cannot be mistaken for another field');
  }
  return text;
}

const SIWE_FIELDS = [
  'scheme',
  'domain',
  'address',
  'statement',
  'uri',
  'version',
  'chainId',
  'nonce',
  'issuedAt',
  'expirationTime',
  'notBefore',
  'requestId',
  'resources',
] as const satisfies readonly (keyof SiweMessage)[];

export interface SiweRules {
  /** The authority this site is reached at. */
  readonly domain: string;
  readonly chainId: number;
  /** The nonce this site issued. */
  readonly nonce: string;
  /** Seconds since the epoch. */
  readonly now: number;
  /** The URI this site put in the message; not compared when absent. */
  readonly uri?: string;
  readonly scheme?: string;
  /** Seconds of clock difference tolerated. Default 5. */
  readonly leeway?: number;
}

/**
 * Checks that a message was made for this site, chain, nonce and time (EIP-4361 "Verifying a signed Message").
 *
 * Does NOT verify the signature or spend the nonce.
 *
 * @throws {TokenError} `siwe`, `expired` or `not_yet_valid`
 */
export function checkSiweMessage(message: SiweMessage, rules: SiweRules): void {
  const { now, leeway = 5 } = rules;
  for (const name of ['domain', 'chainId', 'nonce', 'uri', 'scheme'] as const) {
    if (rules[name] !== undefined && message[name] !== rules[name])
      fault(name, 'the value this site asked for');
  }
  const time = (text: string | undefined): number | undefined =>
    text === undefined ? undefined : (parseDateTime(text) ?? fault('time', 'an RFC 3339 time'));
  const expires = time(message.expirationTime);
  if (expires !== undefined && now >= expires + leeway) {
    throw new TokenError('expired', 'The message has expired', { name: 'Expiration Time' });
  }
  for (const name of ['notBefore', 'issuedAt'] as const) {
    const starts = time(message[name]);
    if (starts !== undefined && starts > now + leeway) {
      throw new TokenError('not_yet_valid', 'The message is not valid yet', { name });
    }
  }
}
