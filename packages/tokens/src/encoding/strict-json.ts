import { TokenError } from '../errors.ts';
import { latin1Text, utf8Text } from './bytes.ts';

export type JsonValue = string | number | boolean | null | JsonValue[] | JsonObject;
export interface JsonObject {
  [name: string]: JsonValue;
}

export interface StrictJsonOptions {
  /** Deepest nesting accepted, the object itself being 1. Default 8. */
  readonly maxDepth?: number;
  /**
   * Reads bytes that are not UTF-8 as one character per byte instead of refusing them. Default false. The C++
   * sample of API-key JWTs writes 16 raw random bytes into its header. Valid UTF-8 is still read as UTF-8.
   */
  readonly lenientText?: boolean;
}

const refuse = (expected: string): never => {
  throw new TokenError('json', 'Not a strict JSON object', { expected });
};

const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
};
const LONE_SURROGATE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;
const SURROGATE = /[\ud800-\udfff]|\\u[dD]/;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;

// Where the scanner is. Parsing never waits, so one scanner serves all; made anew for each text it cost as much as the text.
let text = '';
let at = 0;
let deepest = 0;
let maySpellSurrogates = false;

/**
 * Parses exactly one JSON object (RFC 8259), as JWT headers and claims need it: two members of one name are
 * refused at any depth (RFC 7519 §4), and so are a byte order mark, `__proto__`, lone surrogates, numbers that
 * overflow, and nesting past `maxDepth`. `JSON.parse` silently accepts all of these.
 *
 * @throws {TokenError} `json`
 */
export function parseStrictJson(input: Uint8Array | string, options: StrictJsonOptions = {}): JsonObject {
  text =
    typeof input === 'string'
      ? input
      : (utf8Text(input) ?? (options.lenientText ? latin1Text(input) : refuse('UTF-8 text')));
  at = 0;
  deepest = options.maxDepth ?? 8;
  maySpellSurrogates = SURROGATE.test(text);
  try {
    skipSpace();
    const value = parseObject(1);
    skipSpace();
    if (at !== text.length) refuse('nothing after the object');
    return value;
  } finally {
    // It may have been a secret.
    text = '';
  }
}

function skipSpace(): void {
  for (;;) {
    const code = text.charCodeAt(at);
    if (code > 32 || (code !== 32 && code !== 10 && code !== 13 && code !== 9)) return;
    at++;
  }
}

function expect(code: number): void {
  if (text.charCodeAt(at) !== code) refuse('JSON grammar');
  at++;
}

/** Everything up to a quote, an escape or a control character, which must be escaped (RFC 8259 §7). */
function takePlain(): string {
  const start = at;
  let code = text.charCodeAt(at);
  while (code >= 32 && code !== QUOTE && code !== BACKSLASH) code = text.charCodeAt(++at);
  return text.slice(start, at);
}

function parseEscape(): string {
  const letter = text[at++] ?? '';
  if (letter !== 'u') return ESCAPES[letter] ?? refuse('a known escape');
  const digits = text.slice(at, at + 4);
  if (!/^[0-9a-fA-F]{4}$/.test(digits)) refuse('four hex digits after \\u');
  at += 4;
  return String.fromCharCode(Number.parseInt(digits, 16));
}

function parseString(): string {
  expect(QUOTE);
  let value = takePlain();
  while (text.charCodeAt(at) === BACKSLASH) {
    at++;
    value += parseEscape();
    value += takePlain();
  }
  expect(QUOTE);
  // A lone surrogate has no UTF-8 form, so two parsers would disagree about what was signed (RFC 8259 §8.2).
  if (maySpellSurrogates && LONE_SURROGATE.test(value)) refuse('Unicode without lone surrogates');
  return value;
}

function parseNumber(): number {
  NUMBER.lastIndex = at;
  const digits = NUMBER.exec(text)?.[0] ?? refuse('JSON grammar');
  at += digits.length;
  const value = Number(digits);
  return Number.isFinite(value) ? value : refuse('a finite number');
}

function parseWord(word: string, value: boolean | null): boolean | null {
  if (!text.startsWith(word, at)) refuse('JSON grammar');
  at += word.length;
  return value;
}

function parseArray(depth: number): JsonValue[] {
  const values: JsonValue[] = [];
  expect(0x5b);
  skipSpace();
  if (text.charCodeAt(at) === 0x5d) {
    at++;
    return values;
  }
  for (;;) {
    values.push(parseValue(depth));
    skipSpace();
    if (text.charCodeAt(at) !== COMMA) break;
    at++;
  }
  expect(0x5d);
  return values;
}

function parseObject(depth: number): JsonObject {
  const object: JsonObject = {};
  expect(0x7b);
  skipSpace();
  if (text.charCodeAt(at) === 0x7d) {
    at++;
    return object;
  }
  for (;;) {
    skipSpace();
    const name = parseString();
    if (name === '__proto__') refuse('no member named __proto__');
    if (Object.hasOwn(object, name)) refuse('unique member names');
    skipSpace();
    expect(0x3a);
    object[name] = parseValue(depth);
    skipSpace();
    if (text.charCodeAt(at) !== COMMA) break;
    at++;
  }
  expect(0x7d);
  return object;
}

function parseValue(depth: number): JsonValue {
  skipSpace();
  switch (text.charCodeAt(at)) {
    case 0x7b:
      return depth < deepest ? parseObject(depth + 1) : refuse(`at most ${deepest} levels`);
    case 0x5b:
      return depth < deepest ? parseArray(depth + 1) : refuse(`at most ${deepest} levels`);
    case QUOTE:
      return parseString();
    case 0x74:
      return parseWord('true', true);
    case 0x66:
      return parseWord('false', false);
    case 0x6e:
      return parseWord('null', null);
    default:
      return parseNumber();
  }
}
