/** What every node has confirmed: which there are, and whether all of them have applied a change of access. */
import type { Clock } from '../operations/clock.ts';
import type { Membership } from '../operations/membership.ts';

export interface NodeStanding {
  id: string;
  /** The node that answers. */
  self: boolean;
  address: string;
  version: string;
  startedAt: number;
  /** Milliseconds since it was heard of. */
  seenAgo: number;
  alive: boolean;
  /** Sequence of the newest change of access that it has confirmed, and how many that is behind this node. */
  position: number;
  behind: number;
}

export interface Confirmation {
  /** What was waited for: every change of access up to here. */
  sequence: number;
  /** Nodes that are alive, and how many of them have applied all of it. */
  nodes: number;
  confirmed: number;
  /** Nodes that have not said so yet. */
  missing: string[];
}

export interface Confirmations {
  nodes(): Promise<NodeStanding[]>;
  /** Waits until all nodes have applied what this one has, or for `ms`. */
  wait(ms: number): Promise<Confirmation>;
}

const LOOK_EVERY_MS = 30;

export function createConfirmations({
  membership,
  position,
  clock,
}: {
  membership: Pick<Membership, 'id' | 'now' | 'nodes'>;
  /** Sequence of the newest change of access that this node has applied. */
  position: () => number;
  clock: Clock;
}): Confirmations {
  async function ask(sequence: number): Promise<Confirmation> {
    const alive = (await membership.nodes()).filter(({ deadAt }) => deadAt === null);
    const missing = alive
      .filter((node) => node.id !== membership.id() && node.position < sequence)
      .map(({ id }) => id);
    return { sequence, nodes: alive.length, confirmed: alive.length - missing.length, missing };
  }

  return {
    async nodes() {
      const now = membership.now();
      const here = position();
      return (await membership.nodes()).map((node) => {
        const self = node.id === membership.id();
        const { id, address, version, startedAt } = node;
        const at = self ? here : node.position;
        return {
          id,
          self,
          address,
          version,
          startedAt,
          seenAgo: Math.max(0, now - node.seenAt),
          alive: node.deadAt === null,
          position: at,
          behind: Math.max(0, here - at),
        };
      });
    },
    async wait(ms) {
      const sequence = position();
      const until = clock.monotonic() + ms;
      for (;;) {
        const confirmation = await ask(sequence);
        if (confirmation.missing.length === 0 || clock.monotonic() >= until) return confirmation;
        await new Promise<void>((resolve) => void clock.after(LOOK_EVERY_MS, resolve));
      }
    },
  };
}
