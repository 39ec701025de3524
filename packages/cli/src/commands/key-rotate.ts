import { defineCommand } from 'citty';
import { CliError } from '../cli-error.ts';
import { printable } from '../io.ts';
import { type CreatedKeyAnswer, DEFAULT_KEY_FILE, reserveKeyFile } from '../session/key-file.ts';
import { keyAccess, keyIdOf, oneKeyFlags } from './key-access.ts';
import { ioOf, jsonFlag } from './shared.ts';

const DEFAULT_OVERLAP = 3600;

export const keyRotateCommand = defineCommand({
  meta: {
    name: 'rotate',
    description: 'Make a successor with the same rights. The old key goes on working for the overlap',
  },
  args: {
    ...oneKeyFlags,
    overlap: {
      type: 'string',
      valueHint: 'seconds',
      description: `How long the old key still works (default: ${DEFAULT_OVERLAP}; 0 ends it at once)`,
    },
    out: { type: 'string', valueHint: 'file', description: `Where to write (default: ${DEFAULT_KEY_FILE})` },
    replace: { type: 'boolean', description: 'Put the new key in the place of a file that exists' },
    ...jsonFlag,
  },
  async run(context) {
    const io = ioOf(context);
    const { args } = context;
    const keyId = keyIdOf(args.key);
    const overlap = args.overlap ?? String(DEFAULT_OVERLAP);
    if (!/^\d{1,7}$/.test(overlap)) throw new CliError('usage', '--overlap needs a number of seconds');
    const access = await keyAccess(args, io);
    const path = args.out ?? DEFAULT_KEY_FILE;
    const file = reserveKeyFile(path, { replace: args.replace === true });
    let created: CreatedKeyAnswer;
    try {
      const body = { overlapSeconds: Number(overlap) };
      created = await access.one<CreatedKeyAnswer>(keyId, { method: 'POST', body }, '/rotate');
      file.write(created);
    } finally {
      file.release();
    }
    if (args.json) io.out(JSON.stringify({ name: created.name, keyFile: path, key: created.key }));
    else {
      io.out(printable(created.name));
      io.err(`its private key is in ${path}; the old key works for ${Number(overlap)} s more`);
    }
  },
});
