import type { Channel } from '../streams/channel.ts';
import type { Encoder, Snapshot } from '../streams/encoder.ts';
import type { BookChange, BookLevel, Position, Publication } from '../streams/publication.ts';
import { textFrame } from '../streams/text-frame.ts';
import { decimalText } from './read-json.ts';

/**
 * Where the payload stands and what introduces it. Both forms carry the same members; a `cmd` client reads
 * `cmd` and `data`, an `op` client `e` and `P`.
 */
interface Layout {
  opening(channel: string): string;
  readonly payload: string;
}

const OP: Layout = { opening: (channel) => `{"e":"${channel}"`, payload: ',"P":' };
const CMD: Layout = { opening: (channel) => `{"cmd":"${channel}","e":"${channel}"`, payload: ',"data":' };

function push(
  layout: Layout,
  channel: Channel,
  key: string,
  time: number,
  item: string | undefined,
  action: string | undefined,
  payload: string,
  position: Position,
  withEpoch: boolean,
): Uint8Array {
  return textFrame(
    layout.opening(channel.name) +
      `,"E":${time}` +
      (item ? `,"s":${JSON.stringify(item)}` : '') +
      (action ? `,"a":${JSON.stringify(action)}` : '') +
      layout.payload +
      payload +
      (key ? `,"key":${JSON.stringify(key)}` : '') +
      `,"sequence":${position.sequence}` +
      (withEpoch ? `,"epoch":${JSON.stringify(position.epoch)}}` : '}'),
  );
}

/** Best levels come first on both sides if they come so in `levels`: their order is kept. */
function bookPayload(
  levels: readonly BookLevel[],
  item: string | undefined,
  time: number,
  checksum?: number,
): string {
  let asks = '';
  let bids = '';
  for (const [side, price, quantity] of levels) {
    const level = `{"p":${decimalText(price)},"q":${decimalText(quantity)}}`;
    if (side === 'ask') asks += asks === '' ? level : `,${level}`;
    else bids += bids === '' ? level : `,${level}`;
  }
  const instrument = item ? `,"I":${JSON.stringify(item)}` : '';
  // Additive: by it a reader proves that its book is the gateway's (`bookChecksum` has the rule).
  const proof = checksum === undefined ? '' : `,"checksum":${checksum}`;
  return `{"a":[${asks}],"b":[${bids}]${instrument},"t":${time}${proof}}`;
}

function createEncoder(layout: Layout): Encoder {
  return Object.freeze({
    publication(channel: Channel, publication: Publication): Uint8Array {
      const { key, time, item, data } = publication;
      let action = publication.action;
      let payload: string;
      if (channel.kind === 'book') {
        const change = data as unknown as BookChange;
        payload = bookPayload(change.levels, item, time);
        if (change.reset) action = 'Snapshot';
      } else {
        payload = JSON.stringify(data);
      }
      // A reader that missed the change of epoch otherwise learns of it here, where the count begins again.
      const first = publication.sequence === 1;
      return push(layout, channel, key, time, item, action, payload, publication, first);
    },

    snapshot({ channel, key, position, publications, books }: Snapshot): Uint8Array[] {
      const one = (item: string | undefined, time: number, payload: string) =>
        push(layout, channel, key, time, item, 'Snapshot', payload, position, true);
      if (channel.kind === 'book') {
        return [...books].map(([item, { levels, time, checksum }]) =>
          one(item, time, bookPayload(levels, item, time, checksum)),
        );
      }
      // Old events of an account shown to a new reader would pass for new ones: orders and fills are asked
      // for by query, and the answer to subscribe says from which position on nothing is missed.
      if (channel.kind === 'log' && channel.audience !== 'public') return [];
      return publications.map(({ item, time, data }) => one(item, time, JSON.stringify(data)));
    },
  });
}

/** For clients that phrase their requests with `op`: `{"e","E","s"?,"a"?,"P",...}`. */
export const ethgasOpEncoder: Encoder = createEncoder(OP);
/** For clients that phrase their requests with `cmd`: `{"cmd","e","E","s"?,"a"?,"data",...}`. */
export const ethgasCmdEncoder: Encoder = createEncoder(CMD);
