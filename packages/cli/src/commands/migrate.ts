/** `countersign migrate`: the schema of a store, forward and back, while no gateway does it by starting. */
import { join } from 'node:path';
import type { SchemaVersions } from '@countersign/gateway';
import { defineCommand } from 'citty';
import { CliError } from '../cli-error.ts';
import { type Io, printable } from '../io.ts';
import { dataDirOf } from './key-access.ts';
import { ioOf, jsonFlag } from './shared.ts';

const placeFlags = {
  store: {
    type: 'string',
    valueHint: 'place',
    description:
      'postgres://... or the path of a countersign.db (default: COUNTERSIGN_STORE_URL, else --data-dir)',
  },
  'data-dir': {
    type: 'string',
    valueHint: 'folder',
    description: 'Folder with the file countersign.db (default: COUNTERSIGN_DATA_DIR, else .countersign)',
  },
} as const;

type Gateway = typeof import('@countersign/gateway');

interface Args {
  store?: string | undefined;
  'data-dir'?: string | undefined;
  json?: boolean | undefined;
}

const placeOf = (args: Args, io: Io): string => {
  const named = args.store ?? (args['data-dir'] === undefined ? io.env.COUNTERSIGN_STORE_URL : undefined);
  return named || join(dataDirOf(args, io), 'countersign.db');
};

/** @throws CliError `config` with what the store said */
async function show(
  args: Args,
  io: Io,
  work: (gateway: Gateway, place: string) => Promise<SchemaVersions>,
): Promise<void> {
  // Loaded when it is needed: no other command need wait for it.
  const gateway = await import('@countersign/gateway');
  let versions: SchemaVersions;
  try {
    versions = await work(gateway, placeOf(args, io));
  } catch (error) {
    if (error instanceof gateway.StoreError) throw new CliError('config', printable(error.message));
    throw error;
  }
  if (args.json === true) return io.out(JSON.stringify(versions));
  for (const { name, applied } of versions.migrations) io.out(`${applied ? 'applied' : 'missing'}  ${name}`);
  for (const name of versions.unknown) io.out(`unknown  ${printable(name, 80)} (of a later version)`);
}

const statusCommand = defineCommand({
  meta: { name: 'status', description: 'Show which migrations a store has. Changes nothing' },
  args: { ...placeFlags, ...jsonFlag },
  run: (context) => show(context.args, ioOf(context), (gateway, place) => gateway.schemaVersions(place)),
});

const upCommand = defineCommand({
  meta: { name: 'up', description: 'Apply what is missing' },
  args: { ...placeFlags, ...jsonFlag },
  run: (context) => show(context.args, ioOf(context), (gateway, place) => gateway.migrateStore(place)),
});

const downCommand = defineCommand({
  meta: {
    name: 'down',
    description: 'Take away what later migrations added, with the data in it. Stop newer gateways first',
  },
  args: {
    to: { type: 'string', valueHint: 'name', required: true, description: 'The last migration to keep' },
    yes: { type: 'boolean', description: 'Do not ask first' },
    ...placeFlags,
    ...jsonFlag,
  },
  async run(context) {
    const io = ioOf(context);
    const { args } = context;
    if (args.yes !== true) {
      if (!io.inIsTerminal) throw new CliError('usage', 'going back drops data: give --yes as well');
      io.err(`Everything that was added after ${printable(args.to, 80)} will be dropped, with its data.`);
      if ((await io.ask('Type yes to go on')) !== 'yes')
        throw new CliError('interrupted', 'nothing was changed');
    }
    await show(args, io, (gateway, place) => gateway.migrateStore(place, args.to));
  },
});

export const migrateCommand = defineCommand({
  meta: { name: 'migrate', description: 'The schema of a store: where it is, forward and back' },
  subCommands: { status: statusCommand, up: upCommand, down: downCommand },
});
