import { defineCommand } from 'citty';
import { CliError } from '../cli-error.ts';
import { ioOf, jsonFlag } from './shared.ts';

export const serveCommand = defineCommand({
  meta: {
    name: 'serve',
    description:
      'Run a gateway. Settings: --config file, then COUNTERSIGN_* variables, then flags; later ones win',
  },
  args: {
    host: { type: 'string', valueHint: 'address', description: 'Address of the public listener' },
    port: { type: 'string', valueHint: 'n', description: 'Port of the public listener; 0 = any free one' },
    'internal-port': {
      type: 'string',
      valueHint: 'n',
      description: 'Port for health, admin and backend; 0 = any free one',
    },
    'data-dir': { type: 'string', valueHint: 'folder', description: 'Folder for the database and keys' },
    store: {
      type: 'string',
      valueHint: 'url',
      description: 'postgres://... that several gateways share (default: a file in the data folder)',
    },
    broker: {
      type: 'string',
      valueHint: 'url',
      description: 'redis://... that several gateways share (default: streams stay in the process)',
    },
    config: {
      type: 'string',
      valueHint: 'file',
      description: 'Settings file in YAML (default: COUNTERSIGN_CONFIG)',
    },
    sandbox: {
      type: 'boolean',
      default: false,
      description: 'Run a simulated venue behind the gateway',
      negativeDescription: 'Run the gateway alone',
    },
    seed: {
      type: 'string',
      valueHint: 'text',
      description: 'Seed of the sandbox: the same seed gives the same market',
    },
    rate: {
      type: 'string',
      valueHint: 'n',
      description: 'Things that happen in the sandbox per second (default: 60)',
    },
    replay: {
      type: 'string',
      valueHint: 'file',
      description: 'Publish these recorded publications (JSON lines) instead of a simulation; with --sandbox',
    },
    faults: {
      type: 'string',
      valueHint: 'spec',
      description: 'Faults for every WebSocket connection, such as drop:0.01,delay:50-200; with --sandbox',
    },
    'fault-seed': {
      type: 'string',
      valueHint: 'text',
      description: 'Seed of those faults: the same seed gives every connection the same ones',
    },
    'cancel-on-disconnect': {
      type: 'string',
      valueHint: 'seconds',
      description: 'The sandbox cancels the orders of who has had no connection for so long; with --sandbox',
    },
    'log-level': {
      type: 'string',
      valueHint: 'level',
      description: 'silent, fatal, error, warn, info, debug or trace',
    },
    ...jsonFlag,
  },
  async run(context) {
    const io = ioOf(context);
    const { args } = context;
    for (const flag of ['replay', 'faults', 'fault-seed', 'cancel-on-disconnect'] as const) {
      if (args[flag] !== undefined && !args.sandbox) throw new CliError('usage', `--${flag} needs --sandbox`);
    }
    const { faults: everywhere, 'fault-seed': faultSeed } = args;
    // The gateway is loaded here, not at the top: `countersign whoami` need not wait for it.
    const { numberFlag, serve } = await import('../serve/serve.ts');
    const port = numberFlag('port', args.port, 65_535);
    const internalPort = numberFlag('internal-port', args['internal-port'], 65_535);
    const cancelOnDisconnect = numberFlag('cancel-on-disconnect', args['cancel-on-disconnect'], 86_400);
    if (cancelOnDisconnect !== undefined && cancelOnDisconnect !== 0 && cancelOnDisconnect < 5)
      throw new CliError('usage', '--cancel-on-disconnect needs 0, or 5 to 86400 seconds');
    return serve(
      {
        config: args.config,
        sandbox: args.sandbox,
        seed: args.seed,
        rate: numberFlag('rate', args.rate, 20_000),
        replay: args.replay,
        cancelOnDisconnect,
        json: args.json === true,
        settings: {
          ...(args.host === undefined ? {} : { host: args.host }),
          ...(port === undefined ? {} : { port }),
          ...(internalPort === undefined ? {} : { internalPort }),
          ...(args['data-dir'] === undefined ? {} : { dataDir: args['data-dir'] }),
          ...(args.store === undefined ? {} : { store: { url: args.store } }),
          ...(args.broker === undefined ? {} : { broker: { url: args.broker } }),
          ...(args.sandbox
            ? {
                sandbox: {
                  // Whoever runs a sandbox tests clients; a settings file of a venue never says so.
                  faults: true,
                  ...(everywhere === undefined ? {} : { everywhere }),
                  ...(faultSeed === undefined ? {} : { seed: faultSeed }),
                },
              }
            : {}),
          ...(args['log-level'] === undefined ? {} : { logLevel: args['log-level'] }),
        },
      },
      io,
    );
  },
});
