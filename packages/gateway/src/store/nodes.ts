/** The part of the store's port that knows which gateways there are: who is alive, and what each has confirmed. */

/** A gateway process, from its start or from its last return until it goes or is given up. */
export interface Node {
  /** Random; another one each time it joins. */
  id: string;
  /** Host and port of its public listener, for operators. */
  address: string;
  version: string;
  startedAt: number;
  /** When it last said that it is there. */
  seenAt: number;
  /** When others gave it up; it has to join again. Null = alive. */
  deadAt: number | null;
  /** Sequence of the newest change of access that it has applied. */
  position: number;
  /** Sequence of the newest lease that it follows. */
  leasePosition: number;
  /** Every connection that came or went before this is in the store. */
  settledAt: number;
}

export interface NodeStore {
  /**
   * The time by the clock of the database server, which all nodes share: two machines whose clocks differ must not judge each
   * other's times. Null where the store is inside this process.
   */
  time(): Promise<number | null>;
  /** @throws StoreError (rejects) `invalid` if the id is taken */
  join(node: Omit<Node, 'deadAt'>): Promise<void>;
  /** Says that the node is there, and how far it has got. False if it was given up meanwhile, or never joined. */
  beat(id: string, at: number, position: number): Promise<boolean>;
  /** Takes the node out. Leases that it still holds are let go by whoever next calls `leases.releaseDead`. */
  leave(id: string, at: number): Promise<void>;
  /** Gives a node up unless it was seen since `seenAt`. False if it was, or if somebody else was first. */
  giveUp(id: string, seenAt: number, at: number): Promise<boolean>;
  /** Alive and dead, in the order of their start; a thousand at most. */
  list(): Promise<Node[]>;
  /** Forgets nodes that were given up before `before` and hold nothing any more. Returns how many. */
  sweep(before: number): Promise<number>;
}
