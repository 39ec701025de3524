import { EXIT, type ExitName } from './exit-codes.ts';

/** A failure with one line for the person who typed the command. Its message never holds a secret. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly exit: ExitName;

  constructor(exit: ExitName, message: string, options?: ErrorOptions) {
    super(message, options);
    this.exit = exit;
  }

  get exitCode(): number {
    return EXIT[this.exit].code;
  }
}
