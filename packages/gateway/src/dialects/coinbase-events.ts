/** What stands in `events`: a publication or a snapshot as ready JSON text. */
import {
  COINBASE_CHANNELS,
  COINBASE_FINAL_ORDER_STATES,
  COINBASE_ORDERS_PER_FRAME,
} from '@countersign/protocol';
import type { Channel } from '../streams/channel.ts';
import type { Snapshot } from '../streams/encoder.ts';
import type { BookChange, BookLevel, Json, JsonObject, Publication } from '../streams/publication.ts';
import { decimalText, isObject } from './read-json.ts';

type EventType = 'snapshot' | 'update';

/** The list in the data of a publication, by channel; null where there is one object. */
const LISTS: ReadonlyMap<string, string | null> = new Map(
  COINBASE_CHANNELS.map((row) => [row.name, row.list]),
);

/** Trades that a new subscriber is shown. */
const SNAPSHOT_TRADES = 100;

const FINAL: ReadonlySet<string> = new Set(COINBASE_FINAL_ORDER_STATES);

/** RFC 3339 years have four digits. */
const YEAR_10000 = 253_402_300_800_000;

let lastMs = Number.NaN;
let lastText = '';

/**
 * RFC 3339 (section 5.6) with nanosecond digits, as the live service writes it. The last one is kept: the
 * envelope and the event of a frame nearly always name the same instant.
 */
export function rfc3339(ms: number): string {
  if (ms !== lastMs) {
    lastText = `${new Date(ms >= 0 && ms < YEAR_10000 ? ms : 0).toISOString().slice(0, -1)}000000Z`;
    lastMs = ms;
  }
  return lastText;
}

/** The events of one publication, comma-separated. */
export function updateEvents(channel: Channel, publication: Publication): string {
  const { key, time, data } = publication;
  if (channel.kind === 'book') {
    const change = data as unknown as BookChange;
    return bookEvent(
      change.reset ? 'snapshot' : 'update',
      publication.item ?? key,
      change.levels,
      rfc3339(time),
    );
  }
  if (channel.name === 'heartbeats') return JSON.stringify(data);
  if (publication.action !== 'snapshot') return event('update', data);
  return channel.name === 'user' ? userEvents([publication]).join(',') : event('snapshot', data);
}

/**
 * One text for each frame of a snapshot, each holding one event; may be empty.
 *
 * @param proofs books carry the checksum of their best levels: only for clients that asked, for strict ones exist
 */
export function snapshotEvents(snapshot: Snapshot, proofs = false): string[] {
  const { channel, publications } = snapshot;
  if (channel.kind === 'book') return bookEvents(snapshot, proofs);
  // The answer to subscribe comes before the first beat, and an old beat says nothing.
  if (channel.name === 'heartbeats') return [];
  if (channel.name === 'user') return userEvents(publications);
  const newest = publications.at(-1);
  if (newest === undefined) {
    // No trade yet is news too: clients wait for the snapshot before they read on.
    return channel.name === 'market_trades' ? [event('snapshot', { trades: [] })] : [];
  }
  const list = LISTS.get(channel.name) ?? null;
  if (list === null) return [event('snapshot', newest.data)];
  if (channel.name === 'market_trades') {
    // Newest first, within a publication and across them.
    const trades: Json[] = [];
    for (let i = publications.length - 1; i >= 0 && trades.length < SNAPSHOT_TRADES; i--) {
      trades.push(...items(publications[i], list));
    }
    return [event('snapshot', { [list]: trades.slice(0, SNAPSHOT_TRADES) })];
  }
  return [event('snapshot', { [list]: publications.flatMap((one) => items(one, list)) })];
}

function event(type: EventType, data: JsonObject): string {
  // A publication that brings a `type` of its own must not give the event two.
  const content = JSON.stringify(data.type === undefined ? data : without(data, 'type'));
  return content === '{}' ? `{"type":"${type}"}` : `{"type":"${type}",${content.slice(1)}`;
}

function without(data: JsonObject, name: string): JsonObject {
  const rest = { ...data };
  delete rest[name];
  return rest;
}

function items(publication: Publication | undefined, list: string): Json[] {
  const value = publication?.data[list];
  return Array.isArray(value) ? value : [];
}

function bookEvents({ key, books, time }: Snapshot, proofs: boolean): string[] {
  // An empty book is news as well: without it the first update would come before any snapshot.
  if (books.size === 0) return [bookEvent('snapshot', key, [], rfc3339(time))];
  return [...books].map(([item, book]) =>
    bookEvent(
      'snapshot',
      item === '' ? key : item,
      book.levels,
      rfc3339(book.time),
      proofs ? book.checksum : null,
    ),
  );
}

function bookEvent(
  type: EventType,
  product: string,
  levels: readonly BookLevel[],
  time: string,
  checksum: number | null = null,
): string {
  const bid = `{"side":"bid","event_time":"${time}","price_level":`;
  const offer = `{"side":"offer","event_time":"${time}","price_level":`;
  let updates = '';
  for (const [side, price, quantity] of levels) {
    if (updates !== '') updates += ',';
    updates += `${side === 'bid' ? bid : offer}${decimalText(price)},"new_quantity":${decimalText(quantity)}}`;
  }
  const proof = checksum === null ? '' : `"checksum":${checksum},`;
  return `{"type":"${type}","product_id":${JSON.stringify(product)},${proof}"updates":[${updates}]}`;
}

/**
 * The open orders that a run of publications leaves, in batches: the first is the snapshot, the next are
 * patches to it, and the first with fewer than a full batch is the last, so a full one is never the last.
 * A publication with the action `snapshot` holds everything and starts the fold anew.
 */
function userEvents(publications: readonly Publication[]): string[] {
  const open = new Map<Json, Json>();
  let positions: JsonObject = {};
  for (const publication of publications) {
    if (publication.action === 'snapshot') open.clear();
    if (isObject(publication.data.positions)) positions = publication.data.positions;
    for (const order of items(publication, 'orders')) {
      if (!isObject(order) || order.order_id === undefined) continue;
      if (typeof order.status === 'string' && FINAL.has(order.status)) open.delete(order.order_id);
      else open.set(order.order_id, order);
    }
  }
  const orders = [...open.values()];
  const events = [event('snapshot', { orders: orders.slice(0, COINBASE_ORDERS_PER_FRAME), positions })];
  for (let from = COINBASE_ORDERS_PER_FRAME; from <= orders.length; from += COINBASE_ORDERS_PER_FRAME) {
    events.push(event('update', { orders: orders.slice(from, from + COINBASE_ORDERS_PER_FRAME) }));
  }
  return events;
}
