/** A wallet for trying things out: made at the first start with a sandbox, kept beside the data. */
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CliError } from '../cli-error.ts';
import { walletOf } from '../session/wallet.ts';

export interface DemoWallet {
  address: string;
  keyFile: string;
}

/** @param dataDir must exist */
export async function demoWallet(dataDir: string): Promise<DemoWallet> {
  const keyFile = join(dataDir, 'demo-wallet.key');
  if (!existsSync(keyFile)) {
    // All but one in 2^128 random texts of 32 bytes are valid secp256k1 keys.
    writeFileSync(keyFile, `0x${randomBytes(32).toString('hex')}\n`, { mode: 0o600, flag: 'wx' });
    chmodSync(keyFile, 0o600);
  }
  try {
    const { address } = await walletOf(readFileSync(keyFile, 'utf8'));
    return { address, keyFile };
  } catch (error) {
    const why = error instanceof CliError ? error.message : (error as NodeJS.ErrnoException).code;
    throw new CliError(
      'config',
      `cannot use the demo wallet ${keyFile}: ${why}; remove the file to get a new one`,
    );
  }
}
