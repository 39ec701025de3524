/** Publishes to one partition: one call at a time, and whatever came meanwhile goes with the next one. */
import { randomBytes } from 'node:crypto';
import { Refusal } from '@countersign/protocol';
import type { StreamId } from '../../streams/publication.ts';
import { IDEMPOTENCY_WINDOW_MS } from '../idempotency-keys.ts';
import type { RedisConnection } from './connection.ts';
import type { PartitionKeys } from './keys.ts';
import { readScript } from './scripts.ts';

export interface Encoded {
  stream: StreamId;
  /** Publications that its history holds. */
  capacity: number;
  json: string;
}

export interface Appended {
  duplicate: boolean;
  /** One per draft. */
  places: [epoch: string, sequence: number][];
}

interface Group {
  drafts: readonly Encoded[];
  key: string | undefined;
  resolve: (appended: Appended) => void;
  reject: (error: unknown) => void;
}

const SCRIPT = readScript(import.meta.url, 'tenure.lua', 'partition.lua', 'publish.lua');
/** A call holds up every other client of Redis while it runs: about 2 µs per draft. */
const DRAFTS_PER_CALL = 500;
const BYTES_PER_CALL = 1024 * 1024;
/** Beyond it publishers are told to wait, instead of being kept waiting. */
const BYTES_WAITING = 32 * 1024 * 1024;
const DRAFTS_WAITING = 50_000;

/** Random, so that no epoch ever comes again, whatever Redis has forgotten. */
export const nonce = (): string => randomBytes(9).toString('base64url');

export interface AppenderOptions {
  connection: RedisConnection;
  keys: PartitionKeys;
  channel: string;
  idleMs: number;
}

/** @returns a function that appends drafts, all or none. It rejects with Refusal `unavailable` */
export function createAppender({ connection, keys, channel, idleMs }: AppenderOptions) {
  const waiting: Group[] = [];
  let drafts = 0;
  let bytes = 0;
  let scheduled = false;
  let busy = false;

  function next(): Group[] {
    let count = 0;
    let size = 0;
    let end = 0;
    for (const { drafts: more } of waiting) {
      const length = more.reduce((sum, { json }) => sum + json.length, 0);
      if (end > 0 && (count + more.length > DRAFTS_PER_CALL || size + length > BYTES_PER_CALL)) break;
      count += more.length;
      size += length;
      end++;
    }
    drafts -= count;
    bytes -= size;
    return waiting.splice(0, end);
  }

  async function send(): Promise<void> {
    scheduled = false;
    // One call at a time keeps a publisher's order even where a script has to be sent again.
    if (busy || waiting.length === 0) return;
    busy = true;
    const groups = next();
    try {
      const { names, args } = commandOf(groups);
      const answers = await connection.run<string[]>(SCRIPT, names, args);
      groups.forEach((group, i) => {
        const answer = answers[i] ?? '';
        const flat = JSON.parse(answer.slice(1)) as (string | number)[];
        const places = group.drafts.map((_, at): [string, number] => [
          String(flat[at * 2] ?? ''),
          Number(flat[at * 2 + 1] ?? 0),
        ]);
        group.resolve({ duplicate: answer.startsWith('1'), places });
      });
    } catch (error) {
      for (const group of groups) group.reject(error);
    } finally {
      busy = false;
      void send();
    }
  }

  function commandOf(groups: readonly Group[]) {
    const names = [keys.meta, keys.idle];
    const streams = new Map<StreamId, number>();
    const heads: (string | number)[] = [];
    const body: (string | number)[] = [];
    for (const group of groups) {
      if (group.key !== undefined) names.push(keys.idempotency(group.key));
      body.push(group.key === undefined ? 0 : names.length, group.drafts.length);
      for (const { stream, capacity, json } of group.drafts) {
        let at = streams.get(stream);
        if (at === undefined) {
          at = streams.size + 1;
          streams.set(stream, at);
          names.push(keys.head(stream), keys.history(stream));
          heads.push(names.length - 1, capacity);
        }
        body.push(at, json);
      }
    }
    const args = [nonce(), channel, idleMs, IDEMPOTENCY_WINDOW_MS];
    return { names, args: [...args, streams.size, ...heads, groups.length, ...body] };
  }

  return (group: readonly Encoded[], key: string | undefined): Promise<Appended> =>
    new Promise((resolve, reject) => {
      if (drafts + group.length > DRAFTS_WAITING || bytes > BYTES_WAITING) {
        throw new Refusal('unavailable', 'too many publications wait for redis');
      }
      waiting.push({ drafts: group, key, resolve, reject });
      drafts += group.length;
      bytes += group.reduce((sum, { json }) => sum + json.length, 0);
      if (scheduled || busy) return;
      scheduled = true;
      queueMicrotask(() => void send());
    });
}
