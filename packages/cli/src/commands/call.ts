/** `countersign call METHOD PATH`: one REST request with any credential. */
import { readFileSync } from 'node:fs';
import { defineCommand } from 'citty';
import { CliError } from '../cli-error.ts';
import { EXIT } from '../exit-codes.ts';
import { type Io, printable } from '../io.ts';
import { chosenOrigin } from '../session/address.ts';
import { exchange, urlBelow } from '../session/api.ts';
import { credentialFlags, restCredential } from '../session/rest-credential.ts';
import { loadSession, sessionPath } from '../session/session-file.ts';
import { ioOf, jsonFlag, urlFlag } from './shared.ts';
import { methodOf } from './token-jwt.ts';

const LONGEST_BODY = 1024 * 1024;

/** What `--data` names: text, `@file`, or `-` for what is piped in. @throws CliError */
async function bodyOf(text: string, io: Io): Promise<string> {
  let body = text;
  if (text === '-') {
    body = '';
    for await (const piece of io.input()) {
      body += piece;
      if (body.length > LONGEST_BODY) throw new CliError('usage', 'the body is longer than 1 MiB');
    }
  } else if (text.startsWith('@')) {
    try {
      body = readFileSync(text.slice(1), 'utf8');
    } catch (error) {
      throw new CliError('config', `cannot read ${text.slice(1)}: ${(error as NodeJS.ErrnoException).code}`);
    }
  }
  try {
    JSON.parse(body);
  } catch {
    throw new CliError('usage', '--data needs JSON');
  }
  return body;
}

function shown(text: string, pretty: boolean): string {
  if (!pretty) return text.trimEnd();
  try {
    return printableLines(JSON.stringify(JSON.parse(text), null, 2));
  } catch {
    return printable(text, 100_000);
  }
}

/** JSON.stringify leaves C1 controls and direction marks as they are; line breaks are its own. */
const printableLines = (text: string) =>
  text
    .split('\n')
    .map((line) => printable(line, 100_000))
    .join('\n');

export const callCommand = defineCommand({
  meta: {
    name: 'call',
    description:
      'Make one REST request. The answer goes to standard output; exit code 3 where it is a refusal',
  },
  args: {
    method: { type: 'positional', required: true, description: 'GET, POST, PUT, PATCH or DELETE' },
    path: { type: 'positional', required: true, description: 'From the root: /v1/user/info, /api/v3/...' },
    data: {
      type: 'string',
      valueHint: 'json',
      description: 'Body: JSON, @file, or - for what is piped in',
    },
    ...credentialFlags,
    ...urlFlag,
    ...jsonFlag,
  },
  async run(context) {
    const io = ioOf(context);
    const { args } = context;
    const method = methodOf(args.method);
    if (!/^\/(?![/\\])[\x21-\x7e]*$/.test(args.path))
      throw new CliError('usage', 'PATH begins with one slash, such as /v1/user/info');
    const saved = args.anonymous ? null : loadSession(sessionPath(io.env));
    const base = chosenOrigin(args.url, io.env, saved?.url);
    const body = args.data === undefined ? undefined : await bodyOf(args.data, io);
    const credential = await restCredential(args, io, base);
    const url = urlBelow(base, args.path);
    const bearer = await credential.bearer(method, url);
    const { response, text } = await exchange(url, {
      method,
      headers: {
        accept: 'application/json',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(bearer === null ? {} : { authorization: `Bearer ${bearer}` }),
      },
      ...(body === undefined ? {} : { body }),
      signal: io.stop,
    });
    const wait = response.headers.get('retry-after');
    if (args.json) {
      io.out(JSON.stringify({ status: response.status, as: credential.kind, body: parsed(text) }));
    } else {
      if (text !== '') io.out(shown(text, io.outIsTerminal));
      const later = wait === null ? '' : `; try again in ${printable(wait, 40)} s`;
      if (!response.ok || io.errIsTerminal) io.err(`${response.status} as ${credential.kind}${later}`);
    }
    return response.ok ? EXIT.ok.code : EXIT.refused.code;
  },
});

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
