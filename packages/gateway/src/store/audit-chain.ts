import { createHash } from 'node:crypto';
import type { AuditEntry } from './store.ts';

/** The hash before the first row. */
export const CHAIN_START = '0'.repeat(64);

/**
 * SHA-256, hex, over the row and the hash before it. A JSON array keeps the borders between fields, so that
 * moving text from one field into the next changes the hash.
 */
export function chainHash(previous: string, n: number, entry: AuditEntry): string {
  const { at, actor, action, target, source, detail } = entry;
  return createHash('sha256')
    .update(JSON.stringify([previous, n, at, actor, action, target, source, detail]))
    .digest('hex');
}
