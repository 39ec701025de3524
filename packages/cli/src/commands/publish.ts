/** `countersign publish`: what the venue's own services send, from a shell. */
import { defineCommand } from 'citty';
import { CliError } from '../cli-error.ts';
import { EXIT } from '../exit-codes.ts';
import { type Io, printable } from '../io.ts';
import { call } from '../session/api.ts';
import { backendFlags, backendOf } from './key-access.ts';
import { ioOf, jsonFlag } from './shared.ts';

/** The gateway takes at most 1,000 at once. */
const BATCH = 200;
const LONGEST_LINE = 1024 * 1024;

interface Result {
  error?: string;
  stream?: string;
  epoch?: string;
  sequence?: number;
  /** The idempotency key had been seen. */
  duplicate?: boolean;
}

type Line = { at: number; publication: unknown };

/**
 * One publication a line, in batches. What a pipe has delivered so far goes out at once, unless batches have to be the
 * same ones in every run, because an idempotency key counts them.
 *
 * @throws CliError `usage` naming the line
 */
async function* batchesOf(io: Io, sameEveryTime: boolean): AsyncGenerator<Line[]> {
  let rest = '';
  let at = 0;
  let batch: Line[] = [];
  const take = (text: string) => {
    at += 1;
    if (text.trim() === '') return;
    try {
      batch.push({ at, publication: JSON.parse(text) });
    } catch {
      throw new CliError('usage', `line ${at} is no JSON`);
    }
  };
  for await (const piece of io.input()) {
    rest += piece;
    const lines = rest.split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > LONGEST_LINE) throw new CliError('usage', `line ${at + 1} is longer than 1 MiB`);
    for (const line of lines) {
      take(line);
      if (batch.length < BATCH) continue;
      yield batch;
      batch = [];
    }
    if (sameEveryTime || batch.length === 0) continue;
    yield batch;
    batch = [];
  }
  take(rest);
  if (batch.length > 0) yield batch;
}

export const publishCommand = defineCommand({
  meta: {
    name: 'publish',
    description: 'Publish as the backend: one publication by flags, or JSON lines from standard input',
  },
  args: {
    channel: { type: 'string', valueHint: 'name', description: 'Channel (default: JSON lines are read)' },
    key: { type: 'string', valueHint: 'key', description: 'Stream inside the channel, such as ETH-USD' },
    item: { type: 'string', valueHint: 'name', description: 'Item inside the stream' },
    action: { type: 'string', valueHint: 'word', description: "The venue's word for what happened" },
    data: { type: 'string', valueHint: 'json', description: 'What is published' },
    'idempotency-key': {
      type: 'string',
      valueHint: 'text',
      description: 'The same key publishes once: makes a second try safe',
    },
    ...backendFlags,
    ...jsonFlag,
  },
  async run(context) {
    const io = ioOf(context);
    const { args } = context;
    const key = args['idempotency-key'];
    if (key !== undefined && !/^[\x21-\x7e]{1,100}$/.test(key))
      throw new CliError('usage', '--idempotency-key needs 1 to 100 printable characters');
    const { origin, bearer } = backendOf(args, io);

    let published = 0;
    let known = 0;
    let wrong = 0;
    async function send(batch: Line[], n: number): Promise<void> {
      const { results } = await call<{ results: Result[] }>(origin, '/backend/v1/publish', {
        method: 'POST',
        bearer,
        body: {
          publications: batch.map(({ publication }) => publication),
          // The n-th batch of the same input is the same batch when the command is run again.
          ...(key === undefined ? {} : { idempotencyKey: n === 0 ? key : `${key}#${n}` }),
        },
        signal: io.stop,
      });
      results.forEach((result, i) => {
        const at = batch[i]?.at ?? 0;
        if (result.error !== undefined) {
          wrong += 1;
          io.err(`${at === 0 ? '' : `line ${at}: `}not published: ${printable(result.error)}`);
        } else if (result.duplicate === true) known += 1;
        else published += 1;
        if (args.json) io.out(JSON.stringify(at === 0 ? result : { line: at, ...result }));
      });
    }

    if (args.channel === undefined) {
      if (args.data !== undefined || args.key !== undefined)
        throw new CliError('usage', '--data and --key need --channel');
      if (io.inIsTerminal) io.err('reading publications, one JSON object a line; Ctrl-D ends');
      let n = 0;
      for await (const batch of batchesOf(io, key !== undefined)) {
        await send(batch, n);
        n += 1;
      }
    } else await send([{ at: 0, publication: publicationOf(args) }], 0);
    if (!args.json) {
      const before = known === 0 ? '' : `, published before ${known}`;
      io.out(`published ${published}${before}${wrong === 0 ? '' : `, refused ${wrong}`}`);
    }
    return wrong === 0 ? EXIT.ok.code : EXIT.refused.code;
  },
});

interface PublicationArgs {
  channel?: string | undefined;
  key?: string | undefined;
  item?: string | undefined;
  action?: string | undefined;
  data?: string | undefined;
}

function publicationOf({ channel, key, item, action, data }: PublicationArgs): object {
  if (data === undefined) throw new CliError('usage', '--channel needs --data');
  try {
    return {
      channel,
      ...(key === undefined ? {} : { key }),
      ...(item === undefined ? {} : { item }),
      ...(action === undefined ? {} : { action }),
      data: JSON.parse(data) as unknown,
    };
  } catch {
    throw new CliError('usage', '--data needs JSON');
  }
}
