/** `countersign listen`: the command line of it. What it does is in ../listen. */
import { defineCommand } from 'citty';
import { CliError } from '../cli-error.ts';
import { EXIT } from '../exit-codes.ts';
import { apiKeyFlags } from '../session/api-key-source.ts';
import { ioOf, jsonFlag, urlFlag } from './shared.ts';

export const listenCommand = defineCommand({
  meta: {
    name: 'listen',
    description:
      'Follow streams: a live book or readable lines on a terminal, JSON lines when piped. What was missed is ' +
      'asked for after a loss, and where it is lost a resync line says so',
  },
  args: {
    channel: {
      type: 'string',
      required: true,
      valueHint: 'name[,name]',
      description: 'Channels, such as tickerUpdate or level2',
    },
    market: {
      type: 'string',
      valueHint: 'type',
      description: 'Market of ETHGas channels: inclusionPreconf or wholeBlock',
    },
    product: {
      type: 'string',
      valueHint: 'id[,id]',
      description:
        'Products of Coinbase channels, such as ETH-USD; for orderBookUpdate the instrument to draw',
    },
    door: {
      type: 'string',
      valueHint: 'name',
      default: 'websocket',
      description: 'websocket or socketio',
    },
    count: { type: 'string', valueHint: 'n', description: 'Stop after so many updates' },
    lines: { type: 'boolean', description: 'Lines instead of a drawn book, also on a terminal' },
    raw: {
      type: 'boolean',
      description: 'Frames as they come over the WebSocket: nothing is checked, recovered or left out',
    },
    ...apiKeyFlags,
    'token-file': {
      type: 'string',
      valueHint: 'file',
      description: 'Handshake token, for --door socketio (default: the profile, then the saved session)',
    },
    faults: {
      type: 'string',
      valueHint: 'spec',
      description: 'Ask a sandbox for faults on this connection, such as drop:0.05,close:1012@20',
    },
    'fault-seed': {
      type: 'string',
      valueHint: 'text',
      description: 'Seed of the faults: the same seed gives the same ones',
    },
    ...urlFlag,
    ...jsonFlag,
  },
  async run(context) {
    const io = ioOf(context);
    const { args } = context;
    const wanted = args.count === undefined ? Number.POSITIVE_INFINITY : Number(args.count);
    if (args.count !== undefined && !/^[1-9]\d{0,8}$/.test(args.count))
      throw new CliError('usage', '--count needs a whole number above 0');
    if (args.door !== 'websocket' && args.door !== 'socketio')
      throw new CliError('usage', '--door is websocket or socketio');
    const { overSocketIo, overWebSocket, planOf, rawFrames } = await import('../listen/run.ts');
    const plan = planOf(args);
    const release = io.handleStop();
    let count = 0;
    const enough = () => {
      count += 1;
      return count < wanted;
    };
    try {
      if (args.door === 'socketio') await overSocketIo(plan, args, io, enough);
      else if (args.raw) await rawFrames(plan, args, io, enough);
      else await overWebSocket(plan, args, io, enough);
    } finally {
      release();
    }
    // Without a count, being stopped is how it ends.
    return count >= wanted || wanted === Number.POSITIVE_INFINITY ? EXIT.ok.code : EXIT.interrupted.code;
  },
});
