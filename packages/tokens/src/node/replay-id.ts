import { hash } from 'node:crypto';
import { type ParsedJws, readKid } from '../jwt/compact.ts';

/** See `replayId` of the main entry, whose value this is. @throws {TokenError} `header` when there is no usable `kid` */
export function replayId(parsed: ParsedJws): string {
  return `${readKid(parsed)}:${hash('sha256', parsed.signingInput, 'hex')}`;
}
