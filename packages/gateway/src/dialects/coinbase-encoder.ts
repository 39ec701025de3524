import type { Channel } from '../streams/channel.ts';
import type { Encoder } from '../streams/encoder.ts';
import type { Publication } from '../streams/publication.ts';
import { textFrame } from '../streams/text-frame.ts';
import { rfc3339, snapshotEvents, updateEvents } from './coinbase-events.ts';

/** The envelope of every frame but an error, with ready events. */
export const envelope = (
  channel: string,
  time: number,
  sequence: number,
  events: string,
  more = '',
): string => `${before(channel, time)}${sequence}${after(events, more)}`;

const before = (channel: string, time: number): string =>
  `{"channel":"${channel}","client_id":"","timestamp":"${rfc3339(time)}","sequence_num":`;
const after = (events: string, more = ''): string => `,"events":[${events}]${more}}`;

const wireName = (channel: Channel): string => channel.wireName ?? channel.name;

/** Everything around the number, made once for all connections that number their own frames. */
type Halves = WeakMap<Publication, { before: string; after: string }>;
export const createHalves = (): Halves => new WeakMap();

const createSharedEncoder = (proofs: boolean): Encoder =>
  Object.freeze({
    publication: (channel: Channel, publication: Publication) =>
      textFrame(
        envelope(
          wireName(channel),
          publication.time,
          publication.sequence,
          updateEvents(channel, publication),
        ),
      ),
    snapshot: (snapshot) =>
      snapshotEvents(snapshot, proofs).map((event) =>
        textFrame(envelope(wireName(snapshot.channel), snapshot.time, snapshot.position.sequence, event)),
      ),
  } satisfies Encoder);

/** Frames carry the sequence of their publication; a snapshot carries that of its position. Shared and pure. */
export const coinbaseEncoder: Encoder = createSharedEncoder(false);
/** The same for clients that asked to recover: snapshots of books carry a checksum. */
export const coinbaseProvingEncoder: Encoder = createSharedEncoder(true);

/**
 * Frames carry one count per connection, in the order in which they are encoded. One such encoder belongs to
 * one connection; frames must be sent in the order they were made, and none may be left out.
 *
 * @param next the next number of the connection
 */
export function createCountingEncoder(next: () => number, halves: Halves): Encoder {
  return Object.freeze({
    publication(channel: Channel, publication: Publication) {
      let made = halves.get(publication);
      if (made === undefined) {
        made = {
          before: before(wireName(channel), publication.time),
          after: after(updateEvents(channel, publication)),
        };
        halves.set(publication, made);
      }
      return textFrame(made.before + next() + made.after);
    },
    snapshot: (snapshot) =>
      snapshotEvents(snapshot).map((event) =>
        textFrame(envelope(wireName(snapshot.channel), snapshot.time, next(), event)),
      ),
  } satisfies Encoder);
}
