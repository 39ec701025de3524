import { describe, expect, it } from 'vitest';
import { deploylessCall } from '../../src/session/deployless-call.ts';

describe('the creation code of a call to a wallet that is not deployed', () => {
  it('is the program that was run on an EVM from London to Cancun, with its inputs behind it', () => {
    const data = deploylessCall({
      factory: `0x${'fa'.repeat(20)}`,
      factoryData: Uint8Array.of(0xc0, 0xff, 0xee),
      account: `0x${'ab'.repeat(20)}`,
      question: '0x1626ba7e',
    });
    expect(data).toBe(
      [
        '0x6100076100676000396000600061000360006000',
        '73fafafafafafafafafafafafafafafafafafafafa5af1156061576020600061000461000373',
        'abababababababababababababababababababab5afa156061573d6020141560615760206000f35b60006000fd',
        'c0ffee',
        '1626ba7e',
      ].join(''),
    );
  });

  it('refuses inputs whose length it cannot state', () => {
    const call = { factory: `0x${'fa'.repeat(20)}`, account: `0x${'ab'.repeat(20)}`, question: '0x1626ba7e' };
    expect(() => deploylessCall({ ...call, factoryData: new Uint8Array(0xfffc) })).toThrow(RangeError);
    deploylessCall({ ...call, factoryData: new Uint8Array(0xfffb) });
  });
});
