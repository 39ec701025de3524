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
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;

/**
 * Parses exactly one JSON object (RFC 8259), as JWT headers and claims need it: two members of one name are
 * refused at any depth (RFC 7519 §4), and so are a byte order mark, `__proto__`, lone surrogates, numbers that
 * overflow, and nesting past `maxDepth`. `JSON.parse` silently accepts all of these.
 *
 * @throws {TokenError} `json`
 */
export function parseStrictJson(input: Uint8Array | string, options: StrictJsonOptions = {}): JsonObject {
  const { maxDepth = 8, lenientText = false } = options;
  const text =
    typeof input === 'string'
      ? input
      : (utf8Text(input) ?? (lenientText ? latin1Text(input) : refuse('UTF-8 text')));
  const maySpellSurrogates = /[\ud800-\udfff]|\\u[dD]/.test(text);
  let at = 0;

  const skipSpace = (): void => {
    for (;;) {
      const code = text.charCodeAt(at);
      if (code !== 32 && code !== 10 && code !== 13 && code !== 9) return;
      at++;
    }
  };
  const expect = (char: string): void => {
    if (text[at] !== char) refuse('JSON grammar');
    at++;
  };

  // Everything up to a quote, an escape or a control character, which must be escaped (RFC 8259 §7).
  const takePlain = (): string => {
    const start = at;
    for (let code = text.charCodeAt(at); code >= 32 && code !== 34 && code !== 92; )
      code = text.charCodeAt(++at);
    return text.slice(start, at);
  };
  const parseEscape = (): string => {
    const letter = text[at++] ?? '';
    if (letter !== 'u') return ESCAPES[letter] ?? refuse('a known escape');
    const digits = text.slice(at, at + 4);
    if (!/^[0-9a-fA-F]{4}$/.test(digits)) refuse('four hex digits after \\u');
    at += 4;
    return String.fromCharCode(Number.parseInt(digits, 16));
  };
  const parseString = (): string => {
    expect('"');
    let value = takePlain();
    while (text[at] === '\\') {
      at++;
      value += parseEscape();
      value += takePlain();
    }
    expect('"');
    // A lone surrogate has no UTF-8 form, so two parsers would disagree about what was signed (RFC 8259 §8.2).
    if (maySpellSurrogates && LONE_SURROGATE.test(value)) refuse('Unicode without lone surrogates');
    return value;
  };
  const parseNumber = (): number => {
    NUMBER.lastIndex = at;
    const digits = NUMBER.exec(text)?.[0] ?? refuse('JSON grammar');
    at += digits.length;
    const value = Number(digits);
    return Number.isFinite(value) ? value : refuse('a finite number');
  };
  const parseWord = (word: string, value: boolean | null): boolean | null => {
    if (!text.startsWith(word, at)) refuse('JSON grammar');
    at += word.length;
    return value;
  };
  const parseArray = (depth: number): JsonValue[] => {
    const values: JsonValue[] = [];
    expect('[');
    skipSpace();
    if (text[at] === ']') {
      at++;
      return values;
    }
    for (;;) {
      values.push(parseValue(depth));
      skipSpace();
      if (text[at] !== ',') break;
      at++;
    }
    expect(']');
    return values;
  };
  const parseObject = (depth: number): JsonObject => {
    const object: JsonObject = {};
    expect('{');
    skipSpace();
    if (text[at] === '}') {
      at++;
      return object;
    }
    for (;;) {
      skipSpace();
      const name = parseString();
      if (name === '__proto__') refuse('no member named __proto__');
      if (Object.hasOwn(object, name)) refuse('unique member names');
      skipSpace();
      expect(':');
      object[name] = parseValue(depth);
      skipSpace();
      if (text[at] !== ',') break;
      at++;
    }
    expect('}');
    return object;
  };
  const parseValue = (depth: number): JsonValue => {
    skipSpace();
    switch (text[at]) {
      case '{':
        return depth < maxDepth ? parseObject(depth + 1) : refuse(`at most ${maxDepth} levels`);
      case '[':
        return depth < maxDepth ? parseArray(depth + 1) : refuse(`at most ${maxDepth} levels`);
      case '"':
        return parseString();
      case 't':
        return parseWord('true', true);
      case 'f':
        return parseWord('false', false);
      case 'n':
        return parseWord('null', null);
      default:
        return parseNumber();
    }
  };

  skipSpace();
  const value = parseObject(1);
  skipSpace();
  if (at !== text.length) refuse('nothing after the object');
  return value;
}
