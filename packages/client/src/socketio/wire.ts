/** The door's own words for streams, to and from what streams need to know. */
import type { Entry } from '../feed/entry.ts';
import type { Frame } from '../feed/frame.ts';
import { asText, asWhole, isObject, type JsonObject, readPosition } from '../feed/read-json.ts';
import type { Place } from '../feed/tracker.ts';

/** What a subscribe or unsubscribe asks for. */
export function wishOf({ channel, key, extra, since }: Entry): Record<string, unknown> {
  const recover = channel.perAccount ? Object.fromEntries(since) : since.get('');
  return {
    ...extra,
    channel: channel.name,
    ...(channel.keyedBy === 'nothing' ? {} : { key }),
    ...(since.size === 0 ? {} : { recover }),
  };
}

/** Where streams begin, as the answer to subscribe says; null if it says nothing. */
export function placesOf(result: unknown): ReadonlyMap<string, Place> | null {
  if (!isObject(result)) return null;
  const joined = (value: unknown) => (typeof value === 'boolean' ? value : null);
  const one = readPosition(result.position);
  if (one !== null) return new Map([['', { position: one, recovered: joined(result.recovered) }]]);
  if (!isObject(result.positions)) return null;
  const places = new Map<string, Place>();
  for (const [account, value] of Object.entries(result.positions)) {
    const position = readPosition(value);
    const recovered = isObject(result.recovered) ? joined(result.recovered[account]) : null;
    if (position !== null) places.set(account, { position, recovered });
  }
  return places;
}

export function frameOf(channel: string, key: string, data: JsonObject): Frame {
  const type = data.type === 'snapshot' ? 'snapshot' : 'update';
  const part = { type, item: asText(data.item), action: asText(data.action), data: data.data } as const;
  return {
    channel,
    key,
    sequence: asWhole(data.sequence),
    epoch: asText(data.epoch),
    type,
    time: asWhole(data.time),
    parts: [part],
    raw: () => JSON.stringify(data),
    frames: asWhole(data.parts),
  };
}
