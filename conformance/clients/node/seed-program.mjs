/**
 * Takes a program out of a stored documentation page and runs it as it stands, with other addresses and keys.
 * The page is not part of this repository: it is read where it lies.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import vm from 'node:vm';
import { env, expect } from './steps.mjs';

export function readSeed(number) {
  const name = readdirSync(env.seeds).find((file) => file.startsWith(`${number}_`));
  expect(name, `no page ${number} in ${env.seeds}`);
  return readFileSync(join(env.seeds, name), 'utf8');
}

/** @throws if one of the texts to replace is not in the program: then it is another program */
export function substitute(program, replacements) {
  let text = program;
  for (const [from, to] of Object.entries(replacements)) {
    expect(text.includes(from), `the program does not contain ${from}`);
    text = text.replaceAll(from, to);
  }
  return text;
}

/** Runs the program with these globals. @returns a function that evaluates names of the program */
export function runProgram(program, globals) {
  const context = vm.createContext({ ...globals });
  vm.runInContext(program, context, { filename: 'seed.js' });
  return (name) => vm.runInContext(name, context);
}
