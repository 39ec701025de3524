/** `countersign lease`: what the venue's backend asks of leases, from a shell. */
import { defineCommand } from 'citty';
import { CliError } from '../cli-error.ts';
import { type Io, printable } from '../io.ts';
import { type Call, call } from '../session/api.ts';
import { type AdminArgs, backendFlags, backendOf } from './key-access.ts';
import { instant, ioOf, jsonFlag } from './shared.ts';

/** As the API shows a lease; times in milliseconds. */
interface LeaseAnswer {
  id: string;
  user?: number;
  session?: string;
  seconds: number;
  data: string;
  state: string;
  eventId: string;
  absentSince: number | null;
  dueAt: number | null;
  goneAt: number | null;
  delivery: { attempts: number; outcome: string | null } | null;
}

const sharedFlags = { ...backendFlags, ...jsonFlag } as const;
const subjectFlags = {
  user: { type: 'string', valueHint: 'id', description: 'Id of a user' },
  session: { type: 'string', valueHint: 'sid', description: 'Id of a session' },
} as const;
const idArg = { type: 'positional', required: true, description: 'Id of the lease' } as const;

function asker(args: AdminArgs, io: Io) {
  const { origin, bearer } = backendOf(args, io);
  return <Data>(path: string, options: Pick<Call, 'method' | 'body'> = {}) =>
    call<Data>(origin, `/backend/v1/leases${path}`, { ...options, bearer, signal: io.stop });
}

const at = (milliseconds: number) => instant(Math.floor(milliseconds / 1000));

function lineOf({ id, user, session, seconds, state, absentSince, dueAt, goneAt, delivery }: LeaseAnswer) {
  const who = user === undefined ? `session ${session}` : `user ${user}`;
  const where =
    goneAt !== null
      ? `gone ${at(goneAt)}, ${delivery?.attempts ?? 0} attempts, last: ${delivery?.outcome ?? 'none'}`
      : dueAt !== null && absentSince !== null
        ? `absent since ${at(absentSince)}, due ${at(dueAt)}`
        : 'connected';
  return printable(`${id}  ${who}  ${seconds} s  ${state}  ${where}`, 400);
}

function show(io: Io, lease: LeaseAnswer, json: boolean | undefined): void {
  io.out(json ? JSON.stringify(lease) : lineOf(lease));
}

function userOf(text: string): number {
  if (!/^[1-9]\d{0,14}$/.test(text)) throw new CliError('usage', '--user needs the id of a user');
  return Number(text);
}

const setCommand = defineCommand({
  meta: {
    name: 'set',
    description: 'Arm a lease: the webhook says when its subject has been gone for so long',
  },
  args: {
    id: { ...idArg, description: 'Id of the lease; one that is there is armed anew' },
    ...subjectFlags,
    seconds: { type: 'string', valueHint: 'n', required: true, description: '5 to 86400' },
    data: { type: 'string', valueHint: 'text', description: 'Given back with the event, 1 KiB at most' },
    ...sharedFlags,
  },
  async run(context) {
    const io = ioOf(context);
    const { args } = context;
    const { id, user, session, data } = args;
    if ((user === undefined) === (session === undefined))
      throw new CliError('usage', 'a lease needs --user or --session');
    if (!/^\d{1,5}$/.test(args.seconds)) throw new CliError('usage', '--seconds needs a whole number');
    const { lease, superseded } = await asker(args, io)<{ lease: LeaseAnswer; superseded: string | null }>(
      `/${encodeURIComponent(id)}`,
      {
        method: 'PUT',
        body: {
          ...(user === undefined ? { session } : { user: userOf(user) }),
          seconds: Number(args.seconds),
          ...(data === undefined ? {} : { data }),
        },
      },
    );
    if (superseded !== null) io.err(`event ${printable(superseded)} was not delivered yet, and will not be`);
    show(io, lease, args.json);
  },
});

const listCommand = defineCommand({
  meta: { name: 'list', description: 'List leases, a page at a time' },
  args: {
    ...subjectFlags,
    state: { type: 'string', valueHint: 'word', description: 'armed, gone, delivered or failed' },
    after: { type: 'string', valueHint: 'id', description: 'Go on behind this lease' },
    ...sharedFlags,
  },
  async run(context) {
    const io = ioOf(context);
    const { args } = context;
    const query = new URLSearchParams();
    for (const name of ['user', 'session', 'state', 'after'] as const)
      if (args[name] !== undefined) query.set(name, args[name]);
    if (args.user !== undefined) userOf(args.user);
    const answer = await asker(args, io)<{ leases: LeaseAnswer[]; next: string | null }>(`?${query}`);
    for (const lease of answer.leases) show(io, lease, args.json);
    if (answer.next !== null) io.err(`there are more: --after ${printable(answer.next)}`);
  },
});

const deleteCommand = defineCommand({
  meta: { name: 'delete', description: 'Remove a lease, and its event if that is not delivered yet' },
  args: { id: idArg, ...sharedFlags },
  async run(context) {
    const io = ioOf(context);
    const { args } = context;
    await asker(args, io)(`/${encodeURIComponent(args.id)}`, { method: 'DELETE' });
    io.out(args.json ? JSON.stringify({ deleted: args.id }) : `deleted ${printable(args.id)}`);
  },
});

const redeliverCommand = defineCommand({
  meta: { name: 'redeliver', description: 'Deliver the event of a lease once more, under the same id' },
  args: { id: idArg, ...sharedFlags },
  async run(context) {
    const io = ioOf(context);
    const { args } = context;
    const { lease } = await asker(args, io)<{ lease: LeaseAnswer }>(
      `/${encodeURIComponent(args.id)}/redeliver`,
      { method: 'POST', body: {} },
    );
    show(io, lease, args.json);
  },
});

export const leaseCommand = defineCommand({
  meta: { name: 'lease', description: 'Be told when a user or a session has been gone for so long' },
  subCommands: { set: setCommand, list: listCommand, delete: deleteCommand, redeliver: redeliverCommand },
});
