/**
 * ERC-6492 asks a wallet that is not deployed yet: deploy it and call it, both inside one `eth_call` that
 * leaves no trace. An `eth_call` without `to` runs its data as creation code, so a few instructions written
 * by hand do all of it, and nothing has to exist on the chain beforehand.
 */

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

/** Longest input of either call: what two bytes can count, all parts together. */
const MAX_INPUT = 0xffff;

/**
 * Creation code that calls `factory` with `factoryData`, then asks `account` with `question` (a static call,
 * which can change nothing), and returns the 32 bytes of the answer. It reverts if either call fails or the
 * answer has another length.
 *
 * @param factory,account 40 hex digits without `0x`
 * @param factoryData,question hex without `0x`
 * @returns hex with `0x`, or null if the inputs are too long
 */
export function deploylessCall(input: {
  factory: string;
  factoryData: string;
  account: string;
  question: string;
}): string | null {
  const deployLength = input.factoryData.length / 2;
  const questionLength = input.question.length / 2;
  if (deployLength + questionLength > MAX_INPUT) return null;
  // Two passes: the jump target and the place of the data depend on the program's own length, which is fixed.
  const programLength = program(input, deployLength, questionLength, 0).length / 2;
  return `0x${program(input, deployLength, questionLength, programLength)}${input.factoryData}${input.question}`;
}

function program(
  { factory, account }: { factory: string; account: string },
  deployLength: number,
  questionLength: number,
  length: number,
): string {
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
