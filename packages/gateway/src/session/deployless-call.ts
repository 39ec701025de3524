/**
 * ERC-6492 asks a wallet that is not deployed yet: deploy it and call it, both inside one `eth_call` that
 * leaves no trace. An `eth_call` without `to` runs its data as creation code, so a few instructions written
 * by hand do all of it, and nothing has to exist on the chain beforehand.
 */
import { toHex } from '@countersign/tokens';

const push = (length: 1 | 2 | 20, hex: string): string =>
  (0x5f + length).toString(16) + hex.padStart(length * 2, '0');
const push1 = (value: number): string => push(1, value.toString(16));
const push2 = (value: number): string => push(2, value.toString(16));

const CODECOPY = '39';
const GAS = '5a';
const CALL = 'f1';
const STATICCALL = 'fa';
const ISZERO = '15';
const EQ = '14';
const RETURNDATASIZE = '3d';
const JUMPI = '57';
const JUMPDEST = '5b';
const RETURN = 'f3';
const REVERT = 'fd';

/**
 * Creation code that calls `factory` with `factoryData`, then asks `account` with `question` (a static call,
 * which can change nothing), and returns the 32 bytes of the answer. It reverts if either call fails or the
 * answer has another length.
 *
 * @param factory,account `0x` addresses
 * @param question call data with `0x`
 * @returns hex with `0x`
 * @throws RangeError if the inputs are longer than two bytes can count
 */
export function deploylessCall({
  factory,
  factoryData,
  account,
  question,
}: {
  factory: string;
  factoryData: Uint8Array;
  account: string;
  question: string;
}): string {
  const asked = question.slice(2);
  const deployLength = factoryData.length;
  const questionLength = asked.length / 2;
  if (deployLength + questionLength > 0xffff) throw new RangeError('a wallet call is too long');
  const parts = { factory: factory.slice(2), account: account.slice(2), deployLength, questionLength };
  // Twice: where the data begins and where a failure jumps to depend on the program's length, which is fixed.
  const length = program(parts, 0).length / 2;
  return `0x${program(parts, length)}${toHex(factoryData)}${asked}`;
}

function program(
  parts: { factory: string; account: string; deployLength: number; questionLength: number },
  length: number,
): string {
  const { factory, account, deployLength, questionLength } = parts;
  const failed = [JUMPDEST, push1(0), push1(0), REVERT].join('');
  const orFail = ISZERO + push1(Math.max(0, length - failed.length / 2)) + JUMPI;
  return [
    // memory = factoryData ‖ question
    push2(deployLength + questionLength) + push2(length) + push1(0) + CODECOPY,
    // CALL(gas, factory, value 0, in 0, deployLength, out 0, 0)
    push1(0) + push1(0) + push2(deployLength) + push1(0) + push1(0) + push(20, factory) + GAS + CALL,
    orFail,
    // STATICCALL(gas, account, in deployLength, questionLength, out 0, 32)
    push1(32) + push1(0) + push2(questionLength) + push2(deployLength) + push(20, account) + GAS + STATICCALL,
    orFail,
    RETURNDATASIZE + push1(32) + EQ,
    orFail,
    push1(32) + push1(0) + RETURN,
    failed,
  ].join('');
}
