/**
 * What every implementation of the store must do. It gets a fresh, empty place for each test and may open it
 * several times, one after the other; it knows nothing of any database.
 */
import { afterEach, beforeEach, describe } from 'vitest';
import type { Store } from '../../src/store/store.ts';
import { challengeContract } from './contract/challenges.ts';
import { handshakeTokenContract } from './contract/handshake-tokens.ts';
import { keyContract } from './contract/keys.ts';
import { leaseContract } from './contract/leases.ts';
import { logContract } from './contract/logs.ts';
import { rotationContract } from './contract/rotation.ts';
import { rotationModelContract } from './contract/rotation-model.ts';
import { sessionContract } from './contract/sessions.ts';
import { sweepContract } from './contract/sweep.ts';
import { userContract } from './contract/users.ts';

export interface StorePlace {
  open(): Promise<Store>;
  dispose(): Promise<void>;
}

/** The store of the running test, and a way to close and open it again. */
export interface StoreUnderTest {
  readonly store: Store;
  reopen(): Promise<void>;
}

export function storeContract(name: string, makePlace: () => Promise<StorePlace>): void {
  let place: StorePlace;
  let store: Store;
  const under: StoreUnderTest = {
    get store() {
      return store;
    },
    async reopen() {
      await store.close();
      store = await place.open();
    },
  };

  describe(`the store on ${name}`, () => {
    beforeEach(async () => {
      place = await makePlace();
      store = await place.open();
    });
    afterEach(async () => {
      await store.close();
      await place.dispose();
    });

    challengeContract(under);
    userContract(under);
    sessionContract(under);
    sweepContract(under);
    rotationContract(under);
    rotationModelContract(under);
    keyContract(under);
    handshakeTokenContract(under);
    leaseContract(under);
    logContract(under);
  });
}
