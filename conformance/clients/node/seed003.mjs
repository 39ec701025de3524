/**
 * The samples of the API-key page that make a token: each is run as its readers would run it, with only the name
 * and the secret of a key filled in, and the token that it prints is used in a subscribe.
 */
import { readFileSync } from 'node:fs';
import WebSocket from 'ws';
import { readSeed, substitute } from './seed-program.mjs';
import { env, expect, step, until } from './steps.mjs';

const key = JSON.parse(readFileSync(process.env.API_KEY_FILE, 'utf8'));
const NAME = 'organizations/{org_id}/apiKeys/{key_id}';
const SECRET = '-----BEGIN EC PRIVATE KEY-----\nYOUR PRIVATE KEY\n-----END EC PRIVATE KEY-----';

/** The page's sample in a language, with the key in place of its placeholders. */
export function sample(language) {
  const [, program] = new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``).exec(readSeed('003')) ?? [];
  expect(program, `the page has no sample in ${language}`);
  const secret = key.privateKey.trim();
  // Some samples hold the secret with real line ends and some with escaped ones.
  const replacements = program.includes(SECRET)
    ? { [SECRET]: secret }
    : { [SECRET.replaceAll('\n', '\\n')]: secret.replaceAll('\n', '\\n') };
  return substitute(program, { [NAME]: key.name, ...replacements });
}

/** The token in what a sample printed: alone, or as the command that the page tells its readers to run. */
export function tokenIn(printed) {
  const token = printed.trim().replace(/^export JWT=/, '');
  expect(/^[\w-]+\.[\w-]+\.[\w-]+$/.test(token), `no token in: ${printed.slice(0, 200)}`);
  return token;
}

async function connect() {
  const socket = new WebSocket(env.websocket);
  const frames = [];
  socket.on('message', (text) => frames.push(JSON.parse(text)));
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  const ask = async (type, channel, jwt, products = []) => {
    const before = frames.length;
    socket.send(JSON.stringify({ type, channel, product_ids: products, jwt }));
    return until(`answer to ${type} ${channel}`, 5000, () =>
      frames.slice(before).find((frame) => frame.type === 'error' || frame.channel === 'subscriptions'),
    );
  };
  return { frames, ask, close: () => socket.close() };
}

/** @param print runs the sample. @returns its output */
export async function withSample(print) {
  let token;
  await step('token', async () => {
    token = tokenIn(await print());
    return Buffer.from(token.split('.')[0], 'base64url').toString().replace(key.name, '...');
  });
  const socket = await connect();
  await step('private_channel', async () => {
    const ack = await socket.ask('subscribe', 'user', token);
    expect(ack.events?.[0].subscriptions.user?.length === 1, JSON.stringify(ack));
    expect(
      socket.frames.some(({ channel, events }) => channel === 'user' && events[0].type === 'snapshot'),
      'no snapshot',
    );
  });
  await step('same_token_again', async () => {
    const book = await socket.ask('subscribe', 'level2', token, ['ETH-USD', 'ETH-EUR']);
    expect(book.events?.[0].subscriptions.level2?.length === 2, JSON.stringify(book));
    const left = await socket.ask('unsubscribe', 'level2', token, ['ETH-USD', 'ETH-EUR']);
    expect(left.events?.[0].subscriptions.level2 === undefined, JSON.stringify(left));
  });
  await step('not_for_rest', async () => {
    // A token that names no method and path opens no REST call.
    const headers = { authorization: `Bearer ${token}` };
    const { status } = await fetch(`${env.rest}/api/v3/brokerage/accounts`, { headers });
    expect(status === 401, `answered ${status}`);
  });
  await step('changed_token_refused', async () => {
    const [header, claims, signature] = token.split('.');
    const first = signature[0] === 'A' ? 'B' : 'A';
    const answer = await socket.ask(
      'subscribe',
      'user',
      [header, claims, first + signature.slice(1)].join('.'),
    );
    expect(
      JSON.stringify(answer) === '{"type":"error","message":"authentication failure"}',
      JSON.stringify(answer),
    );
  });
  socket.close();
}
