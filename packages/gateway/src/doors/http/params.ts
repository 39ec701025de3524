/**
 * What a request asks for, however it was written. The clients of the seeds label an empty body or a form as
 * JSON, and put parameters in the query, a form or a JSON body (wire facts 0.1, 1.1): so the bytes decide and
 * the Content-Type does not.
 */
import { Refusal } from '@countersign/protocol';
import type { FastifyRequest } from 'fastify';

/** Parameters by name. Values of a form or query are strings, or arrays where a name repeats. */
export type Params = Record<string, unknown>;

const MAX_PAIRS = 256;
const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * Reads a body: nothing, a JSON object, or a urlencoded form. What is read has the prototype that JSON gives it, because
 * most of it only passes through; {@link bodyOf} and {@link paramsOf} give parameters without one.
 *
 * @throws Refusal `invalid_request` for bytes that are not UTF-8, broken JSON, JSON that is no object, or broken escapes
 */
export function parseBody(bytes: Uint8Array): Params {
  if (bytes.length === 0) return Object.create(null);
  let text: string;
  try {
    text = utf8.decode(bytes).trim();
  } catch {
    throw new Refusal('invalid_request', 'body is not UTF-8');
  }
  if (text === '') return Object.create(null);
  if (!text.startsWith('{') && !text.startsWith('[')) return parseUrlEncoded(text);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Refusal('invalid_request', 'body is not JSON', { message: 'The body is not valid JSON.' });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Refusal('invalid_request', 'body is no JSON object', {
      message: 'The body must be a JSON object.',
    });
  }
  return value as Params;
}

/**
 * Reads `a=1&b=2` (WHATWG URL, application/x-www-form-urlencoded), but refuses what that algorithm would
 * replace silently: broken percent escapes and bytes that are not UTF-8.
 */
export function parseUrlEncoded(text: string): Params {
  const params: Params = Object.create(null);
  if (text === '') return params;
  const pairs = text.split('&', MAX_PAIRS + 1);
  if (pairs.length > MAX_PAIRS) throw new Refusal('invalid_request', 'too many parameters');
  for (const pair of pairs) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const name = unescapeForm(equals < 0 ? pair : pair.slice(0, equals));
    const value = equals < 0 ? '' : unescapeForm(pair.slice(equals + 1));
    const before = params[name];
    params[name] =
      before === undefined ? value : Array.isArray(before) ? [...before, value] : [before, value];
  }
  return params;
}

function unescapeForm(text: string): string {
  const spaced = text.includes('+') ? text.replaceAll('+', ' ') : text;
  if (!spaced.includes('%')) return spaced;
  try {
    return decodeURIComponent(spaced);
  } catch {
    throw new Refusal('invalid_request', 'broken percent escape', {
      message: 'The request has a broken percent escape.',
    });
  }
}

/** The query part of a request's URL, without the question mark. */
export function queryText(url: string): string {
  const mark = url.indexOf('?');
  return mark < 0 ? '' : url.slice(mark + 1);
}

/** Parameters of the query. */
export const queryOf = (request: FastifyRequest): Params => parseUrlEncoded(queryText(request.raw.url ?? ''));

/** Parameters of the body; a request without one has none. */
export const bodyOf = (request: FastifyRequest): Params =>
  Object.assign(Object.create(null), request.body as Params | undefined);

/** Parameters of query and body together; where both name one, the body's counts. */
export function paramsOf(request: FastifyRequest): Params {
  const query = queryOf(request);
  return request.body === undefined ? query : Object.assign(query, request.body as Params);
}

const invalid = (name: string, message: string): Refusal =>
  new Refusal('invalid_request', `parameter ${name}`, { message: `${name}: ${message}` });

/** A text parameter, or undefined if it is absent or empty. Numbers are refused: `12345678` is not `"12345678"`. */
export function text(params: Params, name: string, maxLength = 256): string | undefined {
  const value = params[name];
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value !== 'string') throw invalid(name, 'must be one text');
  if (value.length > maxLength) throw invalid(name, `must have at most ${maxLength} characters`);
  // No store keeps one, and the first program in C behind us would end the text there.
  if (value.includes('\0')) throw invalid(name, 'must have no NUL character');
  return value;
}

/** A text parameter that must be there. */
export function requiredText(params: Params, name: string, maxLength = 256): string {
  const value = text(params, name, maxLength);
  if (value === undefined) throw invalid(name, 'is missing');
  return value;
}

/** A whole number from 0 to 2^53-1, written in decimal or as `0x` hex, or as a JSON number; undefined if absent. */
export function integer(params: Params, name: string): number | undefined {
  const value = params[name];
  if (value === undefined || value === null || value === '') return undefined;
  const number =
    typeof value === 'number'
      ? value
      : typeof value === 'string' && /^(?:0[xX][0-9a-fA-F]{1,14}|[0-9]{1,16})$/.test(value)
        ? Number(value)
        : Number.NaN;
  if (!Number.isSafeInteger(number) || number < 0) throw invalid(name, 'must be a whole number');
  return number;
}

/** `0x` and 40 hex digits, any case. Whether the case is a right checksum (EIP-55) is for the caller to check. */
export function address(params: Params, name: string): string {
  const value = requiredText(params, name);
  if (!/^0[xX][0-9a-fA-F]{40}$/.test(value)) throw invalid(name, 'must be an address: 0x and 40 hex digits');
  return value;
}
