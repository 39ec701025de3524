import type { Channel } from '../streams/channel.ts';
import type { Encoder } from '../streams/encoder.ts';
import type { BookChange, BookLevel, Position } from '../streams/publication.ts';
import { eventPacket, packetFrame } from './chainworks-packet.ts';
import { decimalText } from './read-json.ts';

interface Content {
  type: 'snapshot' | 'update';
  time: number;
  item: string | undefined;
  action: string | undefined;
  /** As JSON text. */
  data: string;
}

function push(
  { name }: Channel,
  key: string,
  { epoch, sequence }: Position,
  withEpoch: boolean,
  content: Content,
): Uint8Array {
  const { type, time, item, action, data } = content;
  const channel = JSON.stringify(name);
  return packetFrame(
    eventPacket(
      channel,
      `{"channel":${channel}` +
        (key ? `,"key":${JSON.stringify(key)}` : '') +
        `,"sequence":${sequence}` +
        (withEpoch ? `,"epoch":${JSON.stringify(epoch)}` : '') +
        `,"type":"${type}","time":${time}` +
        (item ? `,"item":${JSON.stringify(item)}` : '') +
        (action ? `,"action":${JSON.stringify(action)}` : '') +
        `,"data":${data}}`,
    ),
  );
}

/** Levels keep their order: best first on both sides if they come so. Snapshots carry the checksum of `bookChecksum`. */
function book(levels: readonly BookLevel[], checksum?: number): string {
  let bids = '';
  let asks = '';
  for (const [side, price, quantity] of levels) {
    const level = `[${decimalText(price)},${decimalText(quantity)}]`;
    if (side === 'bid') bids += bids === '' ? level : `,${level}`;
    else asks += asks === '' ? level : `,${level}`;
  }
  return `{"bids":[${bids}],"asks":[${asks}]${checksum === undefined ? '' : `,"checksum":${checksum}`}}`;
}

/** Events named like their channel. Shared by all connections, and pure. */
export const chainworksEncoder: Encoder = Object.freeze({
  publication(channel, publication) {
    const { key, time, item, action, data } = publication;
    // A reader that missed the change of epoch otherwise learns of it here, where the count begins again.
    const first = publication.sequence === 1;
    if (channel.kind !== 'book') {
      const content: Content = { type: 'update', time, item, action, data: JSON.stringify(data) };
      return push(channel, key, publication, first, content);
    }
    const { reset, levels } = data as unknown as BookChange;
    const type = reset ? 'snapshot' : 'update';
    return push(channel, key, publication, first, { type, time, item, action, data: book(levels) });
  },

  snapshot({ channel, key, position, publications, books }) {
    const one = (time: number, item: string | undefined, action: string | undefined, data: string) =>
      push(channel, key, position, true, { type: 'snapshot', time, item, action, data });
    if (channel.kind === 'book') {
      return [...books].map(([item, { levels, time, checksum }]) =>
        one(time, item, undefined, book(levels, checksum)),
      );
    }
    return publications.map(({ time, item, action, data }) => one(time, item, action, JSON.stringify(data)));
  },
} satisfies Encoder);
