/** Where a reader says it was: one position, or one per account where a want stands for several streams. */
import type { Channel } from '../streams/channel.ts';
import type { Json, Position } from '../streams/publication.ts';
import type { Want } from './dialect.ts';
import { isObject, readPosition } from './read-json.ts';

const MAX_ACCOUNTS = 100;

/** Puts a `recover` member into a want. False if it is not one; the want is then not to be used. */
export function readRecover(value: Json, channel: Channel, want: Want): boolean {
  const single = readPosition(value);
  if (single !== null) {
    want.since = single;
    return true;
  }
  if (channel.audience !== 'account' || !isObject(value)) return false;
  const accounts = new Map<string, Position>();
  for (const [account, place] of Object.entries(value)) {
    const position = readPosition(place);
    if (position === null || accounts.size >= MAX_ACCOUNTS) return false;
    accounts.set(account, position);
  }
  want.accountsSince = accounts;
  return accounts.size > 0;
}
