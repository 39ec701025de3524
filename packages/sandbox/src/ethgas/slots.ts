/** The beacon chain's calendar: slots of 12 s, epochs of 32 slots. */

export const SLOT = 12_000;
export const SLOTS_PER_EPOCH = 32;
/** Slot 0 of Hoodi, the test network the venue imitates: 2025-03-17 12:10 UTC. */
export const GENESIS = 1_742_213_400_000;

export const slotAt = (time: number): number => Math.floor((time - GENESIS) / SLOT);
export const slotTime = (slot: number): number => GENESIS + slot * SLOT;
export const epochOf = (slot: number): number => Math.floor(slot / SLOTS_PER_EPOCH);

/** Trading ends four seconds before the block; bundles are taken until two seconds before it. */
export const expiryTime = (slot: number): number => slotTime(slot) - 4000;
export const deadlineTime = (slot: number): number => slotTime(slot) - 2000;
/** Two epochs after the block. */
export const finalityTime = (slot: number): number => slotTime(slot) + 64 * SLOT;
