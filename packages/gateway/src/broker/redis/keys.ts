/** Names of keys and channels. Everything of a partition has one hash tag, so that one script may touch it all. */
import { createHash } from 'node:crypto';
import type { StreamId } from '../../streams/publication.ts';

export interface PartitionKeys {
  readonly meta: string;
  readonly idle: string;
  head(stream: StreamId): string;
  history(stream: StreamId): string;
  /** Idempotency keys are somebody else's words of any length. */
  idempotency(key: string): string;
}

/** Keys come without the prefix, which the connection adds. */
export function partitionKeys(index: number): PartitionKeys {
  const base = `{${index}}:`;
  return {
    meta: `${base}partition`,
    idle: `${base}idle`,
    head: (stream) => `${base}s:${stream}`,
    history: (stream) => `${base}h:${stream}`,
    idempotency: (key) => `${base}i:${createHash('sha256').update(key).digest('base64url')}`,
  };
}

/** FNV-1a: the same on every node, for ever. */
export function partitionOf(stream: StreamId, partitions: number): number {
  if (partitions === 1) return 0;
  let hash = 0x811c9dc5;
  for (let i = 0; i < stream.length; i++) hash = Math.imul(hash ^ stream.charCodeAt(i), 0x01000193);
  return (hash >>> 0) % partitions;
}
