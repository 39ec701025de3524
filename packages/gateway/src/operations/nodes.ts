/** Which gateways share this Redis now: each says so every two seconds, and counts as gone after six of silence. */
import type { Clock } from './clock.ts';
import { inTime } from './in-time.ts';

export interface NodeInfo {
  /** Of one process: a node that starts again is another one. */
  readonly id: string;
  /** Wall-clock milliseconds. */
  readonly startedAt: number;
  /** Where its operators reach it, as `host:port`; empty while it does not listen. */
  readonly address: string;
  /** Position in the log of changes of access up to which it has applied them, when it last said so. */
  readonly position: number;
}

export interface Nodes {
  readonly self: NodeInfo;
  /** All that live, this one first. While Redis is away: those that lived when it went. */
  list(): readonly NodeInfo[];
  /** Told when one comes or goes. @returns ends it */
  onChange(listener: () => void): () => void;
  /** Says goodbye, so that nobody waits for the silence. Idempotent. */
  close(): Promise<void>;
}

/** Runs beat.lua with its arguments from the second on. */
export interface BeatScript {
  readonly healthy: boolean;
  beat(args: readonly string[]): Promise<unknown>;
}

const BEAT = 2000;
const GONE = 6000;
const PATIENCE = 1000;
/** More nodes than this are not looked at. */
const MOST = 1000;

export interface NodesOptions {
  /** Null: there is nobody else. */
  script: BeatScript | null;
  clock: Clock;
  id: string;
  address: () => string;
  position: () => number;
  /** Told what went wrong, for the log. */
  failed?: (error: unknown) => void;
}

export function createNodes({
  script,
  clock,
  id,
  address,
  position,
  failed = () => {},
}: NodesOptions): Nodes {
  const startedAt = clock.now();
  const listeners = new Set<() => void>();
  let others: readonly NodeInfo[] = [];
  let beating = false;
  let closed = false;
  const self = (): NodeInfo => ({ id, startedAt, address: address(), position: position() });

  async function say(script: BeatScript, stays: number): Promise<void> {
    const { id: own, ...words } = self();
    const answer = script.beat([own, String(stays), JSON.stringify(words)]);
    const living = (await inTime(clock, answer, PATIENCE)) as string[];
    const found: NodeInfo[] = [];
    for (let at = 0; at + 1 < living.length && found.length < MOST; at += 2) {
      const name = living[at] as string;
      if (name !== id)
        found.push({ id: name, ...(JSON.parse(living[at + 1] as string) as Omit<NodeInfo, 'id'>) });
    }
    const names = (nodes: readonly NodeInfo[]) =>
      nodes
        .map((node) => node.id)
        .sort()
        .join();
    const changed = names(found) !== names(others);
    others = found;
    if (changed && !closed) for (const listener of listeners) listener();
  }

  async function beat(): Promise<void> {
    if (script === null || closed || beating || !script.healthy) return;
    beating = true;
    try {
      await say(script, GONE);
    } catch (error) {
      failed(error);
    } finally {
      beating = false;
    }
  }

  const stop = script === null ? () => {} : clock.every(BEAT, () => void beat());
  void beat();

  return {
    get self() {
      return self();
    },
    list: () => [self(), ...others],
    onChange(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    async close() {
      if (closed) return;
      closed = true;
      stop();
      // If nobody hears it, the silence will say it.
      if (script?.healthy) await say(script, 0).catch(() => {});
    },
  };
}
