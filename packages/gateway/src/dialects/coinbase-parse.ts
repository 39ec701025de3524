import type { ErrorCode } from '@countersign/protocol';
import type { Channel, ChannelTable } from '../streams/channel.ts';
import type { Json, JsonObject, Position } from '../streams/publication.ts';
import type { Command, Phrase, Want } from './dialect.ts';
import { isObject, quoted, readObject, readPosition } from './read-json.ts';

const MAX_PRODUCTS = 1000;
const MAX_PRODUCT_ID = 64;
const MAX_TOKEN = 8192;

/** What an answer has to know of its request. */
export interface CoinbasePhrase {
  /** The subscriber asked for recovery, so the answer names positions. */
  positions: boolean;
  /** The peer asked to be shown its budget, in this answer and from now on. */
  limits: boolean;
}

/** Only this dialect's own phrases ever come back to it. */
export const asCoinbasePhrase = (phrase: Phrase): CoinbasePhrase => phrase as CoinbasePhrase;

export interface CoinbaseVocabulary {
  channels: ChannelTable;
  /** Products that end in `-USDC` and are not another name for the `-USD` product. */
  usdcProducts: ReadonlySet<string>;
}

const invalid = (message: string, code: ErrorCode = 'invalid_request'): Command[] => [
  { kind: 'invalid', code, message, phrase: { positions: false, limits: false } satisfies CoinbasePhrase },
];

/** Reads one text frame: always exactly one command. */
export function parseCoinbase(text: string, vocabulary: CoinbaseVocabulary): Command[] {
  const message = readObject(text);
  if (message === null) return invalid('A message is one JSON object, at most 8 levels deep.');
  const { type, channel: name, product_ids: ids, jwt, recover } = message;
  if (type !== 'subscribe' && type !== 'unsubscribe') {
    return invalid('"type" is "subscribe" or "unsubscribe".');
  }
  const channel = typeof name === 'string' ? vocabulary.channels.get(name) : undefined;
  if (channel === undefined) {
    const known = [...vocabulary.channels.keys()].join(', ');
    return invalid(`There is no channel ${quoted(name)}. Channels: ${known}.`, 'unknown_channel');
  }
  const token = jwt ?? '';
  if (typeof token !== 'string' || token.length > MAX_TOKEN) {
    return invalid(`"jwt" is a string of at most ${MAX_TOKEN} characters.`, 'unauthorized');
  }
  // Keys of the retired kind sign with an HMAC. Taking such a message for an anonymous one would hide that
  // the credential does nothing.
  if (token === '' && message.signature !== undefined) {
    return invalid('Keys that sign with HMAC are not accepted: send a "jwt".', 'unauthorized');
  }
  const products = readProducts(ids);
  if (products === null) {
    return invalid(
      `"product_ids" is a list of at most ${MAX_PRODUCTS} names of at most ${MAX_PRODUCT_ID} characters.`,
    );
  }
  if (type === 'subscribe' && products.length === 0 && channel.keyedBy === 'product') {
    return invalid(`${channel.name} needs "product_ids": name at least one product.`);
  }
  const since = readRecover(recover);
  if (since === null) return invalid('"recover" maps product ids to {"epoch","sequence"}.');

  const phrase: CoinbasePhrase = { positions: recover !== undefined, limits: message.limits === true };
  const wants = readWants(channel, products, vocabulary.usdcProducts, since, phrase);
  return [{ kind: type, wants, phrase, ...(token === '' ? {} : { token }) }];
}

function readProducts(ids: Json | undefined): string[] | null {
  if (ids === undefined || ids === null) return [];
  if (!Array.isArray(ids) || ids.length > MAX_PRODUCTS) return null;
  const products = ids.filter(
    (id): id is string => typeof id === 'string' && id.length > 0 && id.length <= MAX_PRODUCT_ID,
  );
  return products.length === ids.length ? products : null;
}

function readRecover(recover: Json | undefined): ReadonlyMap<string, Position> | null {
  const since = new Map<string, Position>();
  if (recover === undefined) return since;
  if (!isObject(recover)) return null;
  const entries = Object.entries(recover as JsonObject);
  if (entries.length > MAX_PRODUCTS) return null;
  for (const [name, place] of entries) {
    const position = readPosition(place);
    if (position === null) return null;
    since.set(name, position);
  }
  return since;
}

function readWants(
  channel: Channel,
  products: readonly string[],
  usdcProducts: ReadonlySet<string>,
  since: ReadonlyMap<string, Position>,
  phrase: CoinbasePhrase,
): Want[] {
  const want = (key: string | null, name: string): Want => {
    const position = since.get(name);
    return { channel, key, phrase, ...(position === undefined ? {} : { since: position }) };
  };
  // A user has one stream whatever products are named: leaving some orders out would leave holes in its numbers.
  if (channel.keyedBy === 'nothing' || products.length === 0) return [want(null, channel.name)];
  const wants = new Map<string, Want>();
  for (const id of products) {
    const key = id.endsWith('-USDC') && !usdcProducts.has(id) ? id.slice(0, -1) : id;
    if (!wants.has(key)) wants.set(key, want(key, since.has(id) ? id : key));
  }
  return [...wants.values()];
}
