import type { Authentication, Principal } from '../../src/session/principal.ts';
import type { Channel } from '../../src/streams/channel.ts';
import type { Snapshot } from '../../src/streams/encoder.ts';
import type { JsonObject, Publication } from '../../src/streams/publication.ts';

export const authentication = (changes: Partial<Principal> = {}): Authentication => ({
  principal: {
    userId: 78,
    address: '0x2c75a1b2c3d4e5f60718293a4b5c6d7e8f901234',
    displayName: 'john_doe',
    roles: ['ROLE_USER'],
    permissions: new Set(['market_data', 'account_updates', 'trading'] as const),
    tier: 'free',
    accounts: [],
    credential: { kind: 'session', sid: 's1' },
    ...changes,
  },
  expiresAt: 1_698_636_825_000,
});

/** The payload of a frame, read by the rules of RFC 6455 section 5.2 and not by our own writer. */
export function payload(frame: Uint8Array | null): string {
  if (frame === null) throw new Error('no frame');
  const bytes = Buffer.from(frame);
  if (bytes[0] !== 0x81) throw new Error('not a final text frame');
  const short = bytes[1] ?? 0;
  const [start, length] =
    short < 126
      ? [2, short]
      : short === 126
        ? [4, bytes.readUInt16BE(2)]
        : [10, Number(bytes.readBigUInt64BE(2))];
  if (bytes.length !== start + length) throw new Error('length does not fit');
  return bytes.toString('utf8', start);
}

export const read = (frame: Uint8Array | null): JsonObject => JSON.parse(payload(frame)) as JsonObject;

export const publication = (
  channel: string,
  data: object,
  changes: Partial<Publication> = {},
): Publication => ({
  channel,
  key: '',
  epoch: 'e1',
  sequence: 7,
  time: 1_788_646_229_562,
  data: data as JsonObject,
  ...changes,
});

export const snapshot = (channel: Channel | undefined, changes: Partial<Snapshot> = {}): Snapshot => {
  if (channel === undefined) throw new Error('no such channel');
  return {
    channel,
    key: '',
    position: { epoch: 'e1', sequence: 9 },
    time: 1_788_646_229_562,
    publications: [],
    books: new Map(),
    ...changes,
  };
};
