/** A session as it is kept: everything a restart needs. Instants are milliseconds since 1970 by the server's clock. */
import { isObject } from '../http/caller.ts';

export interface SessionRecord {
  readonly version: 1;
  readonly baseUrl: string;
  /** Lower-case address of the wallet. */
  readonly address: string;
  readonly userId: number | null;
  readonly accessToken: string;
  readonly accessIssuedAt: number;
  readonly accessExpiresAt: number;
  /** Null where the server keeps it in a cookie that only the browser sees. */
  readonly refreshToken: string | null;
  /** The refresh token before this one, until this one has worked: a server may have lost the newer one. */
  readonly parentRefreshToken: string | null;
  readonly sessionStartedAt: number;
  readonly sessionExpiresAt: number;
}

/** Left behind by a logout, so that others who share the store stop too. */
export interface LoggedOutRecord {
  readonly version: 1;
  readonly loggedOutAt: number;
}

const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';
const isTextOrNull = (value: unknown): value is string | null => value === null || isText(value);

/** @returns null for text that is no record of ours: another program's, cut short, from a later version */
export function parseRecord(text: string): SessionRecord | LoggedOutRecord | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (!isObject(value) || value.version !== 1) return null;
  if (typeof value.loggedOutAt === 'number') return { version: 1, loggedOutAt: value.loggedOutAt };
  const { baseUrl, address, userId, accessToken, refreshToken, parentRefreshToken } = value;
  const { accessIssuedAt, accessExpiresAt, sessionStartedAt, sessionExpiresAt } = value;
  const times = [accessIssuedAt, accessExpiresAt, sessionStartedAt, sessionExpiresAt];
  if (!isText(baseUrl) || !isText(address) || !isText(accessToken)) return null;
  if (!isTextOrNull(refreshToken) || !isTextOrNull(parentRefreshToken)) return null;
  if (!times.every((time) => Number.isFinite(time)) || !(userId === null || Number.isFinite(userId)))
    return null;
  return value as unknown as SessionRecord;
}

export const isLoggedOut = (record: SessionRecord | LoggedOutRecord): record is LoggedOutRecord =>
  'loggedOutAt' in record;
