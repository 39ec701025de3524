import { readFileSync, statSync } from 'node:fs';
import { TokenError } from '@countersign/tokens';
import { importPrivateKey, signJws } from '@countersign/tokens/node';
import { defineCommand } from 'citty';
import { CliError } from '../cli-error.ts';
import { type Io, printable } from '../io.ts';
import type { CreatedKeyAnswer } from '../session/key-file.ts';
import { keyAccess, userFlags } from './key-access.ts';
import { wishFlags, wishOf } from './key-create.ts';
import { ioOf, jsonFlag } from './shared.ts';

function read(path: string, flag: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new CliError(
      'config',
      `--${flag}: cannot read ${path}: ${code === 'ENOENT' ? 'there is no such file' : code}`,
    );
  }
}

/** The public half of a private key's file, and the proof that whoever registers it holds the other half. */
function proven(path: string, userId: number | null, io: Io) {
  const text = read(path, 'key-file');
  if ((statSync(path).mode & 0o077) !== 0)
    io.err(`warning: ${path} can be read by others; run: chmod 600 ${path}`);
  try {
    const key = importPrivateKey(text);
    const { publicJwk } = key;
    if (userId === null) return { publicKey: publicJwk };
    const claims = { purpose: 'countersign api key', userId, iat: Math.floor(Date.now() / 1000) };
    return { publicKey: publicJwk, proof: signJws(claims, {}, key) };
  } catch (error) {
    if (!(error instanceof TokenError)) throw error;
    throw new CliError('config', `--key-file: ${path}: ${printable(error.message)}`);
  }
}

export const keyImportCommand = defineCommand({
  meta: {
    name: 'import',
    description: 'Register a key pair that was made elsewhere. Only its public half leaves this machine',
  },
  args: {
    'key-file': {
      type: 'string',
      valueHint: 'file',
      description: 'The private key (PEM, JWK, base64): proves that it is yours, and is not sent',
    },
    'public-key': {
      type: 'string',
      valueHint: 'file',
      description: 'The public key (PEM, JWK, raw Ed25519), where the private one is elsewhere',
    },
    proof: {
      type: 'string',
      valueHint: 'file',
      description: 'What the private key signed elsewhere; for owners, with --public-key',
    },
    ...wishFlags,
    ...userFlags,
    ...jsonFlag,
  },
  async run(context) {
    const io = ioOf(context);
    const { args } = context;
    const keyFile = args['key-file'];
    const publicFile = args['public-key'];
    if ((keyFile === undefined) === (publicFile === undefined))
      throw new CliError('usage', 'give either --key-file or --public-key');
    const wish = wishOf(args);
    const access = await keyAccess(args, io);
    const pair =
      keyFile !== undefined
        ? proven(keyFile, access.operator ? null : access.userId, io)
        : {
            publicKey: read(publicFile ?? '', 'public-key').trim(),
            ...(args.proof === undefined ? {} : { proof: read(args.proof, 'proof').trim() }),
          };
    const { name, key } = await access.all<CreatedKeyAnswer>({ method: 'POST', body: { ...wish, ...pair } });
    if (args.json) io.out(JSON.stringify({ name, key }));
    else io.out(printable(name));
  },
});
