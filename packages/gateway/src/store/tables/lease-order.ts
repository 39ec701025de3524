/** All writes to leases happen one after the other, over all nodes: none waits for a row that another holds. */
import { lock, type Op, type Step } from '../engine.ts';

/** The first step of each of them. */
export const held: Step = lock('leases');

/** Gives the next sequence. Under the lock, numbers become visible in their order, as those of the change log do. */
export type NextSequence = () => Op<number>;
