export { CliError } from './cli-error.ts';
export { EXIT, type ExitName } from './exit-codes.ts';
export type { Io } from './io.ts';
export { run } from './run.ts';
