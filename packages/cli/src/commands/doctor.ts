/** `countersign doctor`: looks at everything that goes wrong, and says what to do about it. */
import { join } from 'node:path';
import { defineCommand } from 'citty';
import { CliError } from '../cli-error.ts';
import type { Finding } from '../doctor/finding.ts';
import { EXIT } from '../exit-codes.ts';
import { type Io, printable } from '../io.ts';
import { chosenOrigin, webSocketUrlOf } from '../session/address.ts';
import { baseOf, call } from '../session/api.ts';
import { readToken } from '../session/token-file.ts';
import { adminFlags, dataDirOf, internalUrlOf } from './key-access.ts';
import { ioOf, jsonFlag, urlFlag } from './shared.ts';

const MARKS = { ok: 'ok', warning: 'warning', problem: 'PROBLEM', skipped: 'skipped' } as const;
const COLOURS = { ok: 32, warning: 33, problem: 31, skipped: 90 } as const;

function* linesOf({ check, state, says, mend }: Finding, coloured: boolean) {
  const mark = MARKS[state].padEnd(8);
  yield `${coloured ? `\u001b[${COLOURS[state]}m${mark}\u001b[0m` : mark}${check.padEnd(16)} ${printable(says, 400)}`;
  if (mend !== undefined) yield `${' '.repeat(25)}-> ${printable(mend, 400)}`;
}

export const doctorCommand = defineCommand({
  meta: {
    name: 'doctor',
    description:
      'Check settings, files, clocks, both listeners, keys and the store, then log in, subscribe, receive and be ' +
      'thrown out with a throw-away wallet. Exit code 1 where something needs mending',
  },
  args: {
    config: { type: 'string', valueHint: 'file', description: 'Settings file (default: COUNTERSIGN_CONFIG)' },
    live: {
      type: 'boolean',
      default: true,
      description: 'The live round trip; it leaves a suspended user behind',
      negativeDescription: 'Leave out the live round trip, which leaves a suspended user behind',
    },
    domain: {
      type: 'string',
      valueHint: 'site',
      default: 'ethgas.com',
      description: 'Site that the login message must name',
    },
    'internal-url': adminFlags['internal-url'],
    'data-dir': {
      ...adminFlags['data-dir'],
      description:
        "The gateway's data folder, for its files and tokens (default: COUNTERSIGN_DATA_DIR, else .countersign)",
    },
    ...urlFlag,
    ...jsonFlag,
  },
  async run(context) {
    const io = ioOf(context);
    const { args } = context;
    const counts = { ok: 0, warning: 0, problem: 0, skipped: 0 };
    const coloured = io.outIsTerminal && !io.env.NO_COLOR;
    for await (const finding of examine(args, io)) {
      counts[finding.state] += 1;
      if (args.json) io.out(JSON.stringify(finding));
      else for (const line of linesOf(finding, coloured)) io.out(line);
    }
    if (io.stop.aborted) throw new CliError('interrupted', 'stopped');
    if (!args.json)
      io.out(
        `${counts.ok} ok, ${counts.warning} warnings, ${counts.problem} problems, ${counts.skipped} skipped`,
      );
    return counts.problem === 0 ? EXIT.ok.code : EXIT.failure.code;
  },
});

interface Args {
  config?: string | undefined;
  url?: string | undefined;
  'internal-url'?: string | undefined;
  'data-dir'?: string | undefined;
  domain: string;
  live: boolean;
}

async function* examine(args: Args, io: Io): AsyncGenerator<Finding> {
  const { checkFiles, checkSettings, keyLifeOf } = await import('../doctor/files.ts');
  const { checkInternal, checkPublic, checkStore } = await import('../doctor/gateway.ts');
  const { skipped } = await import('../doctor/finding.ts');
  const dataDir = dataDirOf(args, io);
  const base = chosenOrigin(args.url, io.env);
  const internal = baseOf(internalUrlOf(args, io));

  yield* checkSettings(io, args.config);
  yield* checkFiles(io, dataDir);
  const reached = { public: false, internal: false };
  for await (const finding of checkPublic(base, io.stop)) {
    reached.public ||= finding.check === 'public' && finding.state === 'ok';
    yield finding;
  }
  for await (const finding of checkInternal(internal, io.stop)) {
    reached.internal ||= finding.check === 'internal' && finding.state === 'ok';
    yield finding;
  }

  const admin = tokenIn(dataDir, 'admin');
  const backend = tokenIn(dataDir, 'backend');
  if (!reached.internal || admin === null) {
    const why = reached.internal ? 'there is no admin token here' : 'the internal listener does not answer';
    yield skipped('store', why, 'run this on the machine of the gateway, with its --data-dir');
  } else {
    const ask = <Data>(path: string) =>
      call<Data>(internal, `/admin/v1${path}`, { bearer: admin, signal: io.stop });
    yield* checkStore(ask, keyLifeOf(io, args.config));
  }

  if (!args.live) return;
  if (!reached.public || !reached.internal || admin === null || backend === null) {
    yield skipped('live', 'needs both listeners and both tokens', 'mend or name what is missing above');
    return;
  }
  const { checkLive } = await import('../doctor/live.ts');
  yield* checkLive({
    base,
    webSocketUrl: webSocketUrlOf(base, args.url, io.env),
    internal,
    adminToken: admin,
    backendToken: backend,
    domain: args.domain,
    chainId: io.env.COUNTERSIGN_CHAIN_ID ? Number(io.env.COUNTERSIGN_CHAIN_ID) : undefined,
    stop: io.stop,
  });
}

function tokenIn(dataDir: string, whose: 'admin' | 'backend'): string | null {
  try {
    return readToken(join(dataDir, `${whose}.token`), `${whose} token`);
  } catch {
    return null;
  }
}
