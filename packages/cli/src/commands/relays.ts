/** `countersign relays`: the published relays of seed 002, and which is near. */
import { type MeasuredRelay, type Relay, RelayError, relays } from '@countersign/client';
import { defineCommand } from 'citty';
import { CliError } from '../cli-error.ts';
import { EXIT } from '../exit-codes.ts';
import { ioOf, jsonFlag } from './shared.ts';

export const relaysCommand = defineCommand({
  meta: { name: 'relays', description: 'List the relays. Nothing is sent to them unless --nearest is given' },
  args: {
    environment: { type: 'string', valueHint: 'name', description: 'mainnet or hoodi (default: both)' },
    nearest: {
      type: 'boolean',
      description:
        'Measure the round trip to each, nearest first (mainnet unless --environment says otherwise)',
    },
    url: {
      type: 'string',
      valueHint: 'url,url',
      description:
        'Relays to measure instead of the published ones, each with its key: https://0x<key>@<host>',
    },
    ...jsonFlag,
  },
  async run(context) {
    const io = ioOf(context);
    const { nearest, json, url } = context.args;
    const environment = environmentOf(context.args.environment);
    if (url !== undefined && !nearest) throw new CliError('usage', '--url names relays for --nearest');
    if (nearest) {
      const measured = await relays
        .measure({
          environment: environment ?? 'mainnet',
          ...(url === undefined ? {} : { candidates: url.split(',') }),
          signal: io.stop,
        })
        .catch((error: unknown) => {
          throw error instanceof RelayError ? new CliError('usage', error.message) : error;
        });
      for (const relay of measured) io.out(json ? JSON.stringify(relay) : measuredLine(relay));
      return measured.some(({ roundTrip }) => roundTrip !== null) ? EXIT.ok.code : EXIT.unreachable.code;
    }
    for (const relay of relays.table) {
      if (environment !== undefined && relay.environment !== environment) continue;
      io.out(json ? JSON.stringify(relay) : line(relay));
    }
    return EXIT.ok.code;
  },
});

function environmentOf(text: string | undefined): Relay['environment'] | undefined {
  if (text === undefined || text === 'mainnet' || text === 'hoodi') return text;
  throw new CliError('usage', '--environment is mainnet or hoodi');
}

const line = ({ region, environment, host, publicKey }: Relay) =>
  `${region.padEnd(9)}  ${environment.padEnd(7)}  ${host.padEnd(23)}  ${publicKey}`;

const measuredLine = ({ region, host, roundTrip, publicKey }: MeasuredRelay) =>
  `${(roundTrip === null ? 'no answer' : `${roundTrip.toFixed(1)} ms`).padStart(9)}  ${region.padEnd(9)}  ${host.padEnd(23)}  ${publicKey}`;
