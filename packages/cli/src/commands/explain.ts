/** `countersign explain`: who may do what, which rule decides, and what would change it (docs/explain.md). */
import { defineCommand } from 'citty';
import { CliError } from '../cli-error.ts';
import { printable } from '../io.ts';
import { call } from '../session/api.ts';
import { adminFlags, adminOf } from './key-access.ts';
import { ioOf, jsonFlag } from './shared.ts';

interface Explained {
  do: string;
  allowed: boolean;
  rule: string;
  code: string | null;
  tried: { rule: string; outcome: 'allow' | 'refuse' | 'next' }[];
  mend: string | null;
  detail: string | null;
  who: { userId: number | null; tier: string | null; permissions: string[]; credential: string | null };
  budget: {
    limit: number;
    remaining: number;
    reset: number;
    retryAfter: number | null;
    reserve: number;
  } | null;
}

const KINDS: Readonly<Record<string, string>> = {
  user: 'userId',
  address: 'address',
  key: 'keyId',
  session: 'sid',
  token: 'tokenId',
};

function whoOf(text: string): object | string {
  if (text === 'anonymous') return text;
  const [kind = '', ...rest] = text.split(':');
  const member = KINDS[kind];
  const name = rest.join(':');
  if (member === undefined || name === '') {
    const known = Object.keys(KINDS).map((one) => `${one}:...`);
    throw new CliError('usage', `--who is "anonymous" or one of ${known.join(', ')}`);
  }
  if (member !== 'userId') return { [member]: name };
  if (!/^[1-9][0-9]{0,14}$/.test(name)) throw new CliError('usage', '--who user:<number>');
  return { userId: Number(name) };
}

const WORDS = { allow: 'allows', refuse: 'refuses', next: 'nothing against it' } as const;

function* linesOf({ do: what, allowed, rule, code, tried, mend, detail, who, budget }: Explained) {
  const whose =
    who.userId === null
      ? 'somebody who is not signed in'
      : `user ${who.userId} (tier ${who.tier}, by ${who.credential}, may: ${who.permissions.join(', ') || 'nothing private'})`;
  yield `${allowed ? 'allowed' : 'refused'}: ${what}`;
  yield `for ${whose}`;
  yield `decided by: ${rule}${code === null ? '' : `; the client is told ${code}`}${detail === null ? '' : ` (${detail})`}`;
  for (const step of tried) yield `  ${step.rule}: ${WORDS[step.outcome]}`;
  if (mend !== null) yield `to change it: ${mend}`;
  if (budget !== null) {
    const wait = budget.retryAfter === null ? '' : `; try again in ${budget.retryAfter} s`;
    yield `budget: ${budget.remaining} of ${budget.limit} left, reserve ${budget.reserve}${wait}`;
  }
}

export const explainCommand = defineCommand({
  meta: {
    name: 'explain',
    description: 'Tell who may do what, which rule decides, and what would change it',
  },
  args: {
    who: {
      type: 'string',
      valueHint: 'somebody',
      required: true,
      description: 'anonymous, user:<id>, address:<0x...>, key:<id>, session:<sid> or token:<id>',
    },
    do: {
      type: 'string',
      valueHint: 'action',
      required: true,
      description: '"subscribe level2/ETH-USD", "query openOrders", "call POST /v1/user/update", ...',
    },
    from: { type: 'string', valueHint: 'address', description: 'Where they come from, for allow lists' },
    ...adminFlags,
    ...jsonFlag,
  },
  async run(context) {
    const io = ioOf(context);
    const { args } = context;
    const question = {
      who: whoOf(args.who),
      do: args.do,
      ...(args.from === undefined ? {} : { from: args.from }),
    };
    const { origin, bearer } = adminOf(args, io);
    const answer = await call<Explained>(origin, '/admin/v1/explain', {
      method: 'POST',
      bearer,
      body: question,
      signal: io.stop,
    });
    if (args.json) io.out(JSON.stringify(answer));
    else for (const line of linesOf(answer)) io.out(printable(line, 400));
  },
});
