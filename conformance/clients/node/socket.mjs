/** The WebSocket half: a socket that remembers what it was sent. */
import WebSocket from 'ws';
import { env, expect, until } from './steps.mjs';

export const PRIVATE = 'accountOrderUpdate';
export const PUBLIC = 'orderBookUpdate';
const MARKETS = ['inclusionPreconf', 'wholeBlock'];

export async function openSocket({ bearer, url = env.websocket } = {}) {
  const headers = bearer ? { authorization: `Bearer ${bearer}` } : {};
  const ws = new WebSocket(url, { headers });
  const socket = {
    messages: [],
    events: [],
    pushes: 0,
    expired: 0,
    closed: null,
    send: (message) => ws.send(typeof message === 'string' ? message : JSON.stringify(message)),
    answer: (what, matches, ms = 4000) => until(`answer to ${what}`, ms, () => socket.messages.find(matches)),
    close: () => ws.close(),
  };
  ws.on('message', (data) => {
    const text = String(data);
    const message = text === 'pong' ? { pong: true } : JSON.parse(text);
    const at = Date.now();
    if (message.e === PUBLIC) socket.pushes += 1;
    else if (message.e === PRIVATE) socket.events.push({ ...message, at });
    else socket.messages.push(message);
    if (message.cmd === 'token_expired' || message.event === 'token_expired') socket.expired = at;
  });
  ws.on('close', (code) => {
    socket.closed = { code, at: Date.now() };
  });
  await new Promise((resolve, reject) => {
    ws.once('open', resolve);
    ws.once('error', reject);
  });
  ws.on('error', () => {});
  return socket;
}

/** Logs in with `cmd`, as the seeds show it, and waits for the answer. */
export async function loginOn(socket, accessToken, field = 'data') {
  const before = socket.messages.length;
  socket.send({ cmd: 'login', [field]: { accessToken } });
  const answer = await until('login answer', 4000, () =>
    socket.messages.slice(before).find((message) => message.cmd === 'login'),
  );
  expect(answer.status === 'success', `login: ${JSON.stringify(answer)}`);
  return answer;
}

/** Subscribes to the private channel of both markets. @returns 'allowed' or the error code */
export async function subscribePrivate(socket) {
  const before = socket.messages.length;
  for (const marketType of MARKETS) {
    socket.send({ cmd: 'subscribe', args: { channel: PRIVATE, marketType } });
  }
  const answers = await until('answers to subscribe', 5000, () => {
    const found = socket.messages
      .slice(before)
      .filter((one) => one.cmd === 'subscribe' || one.cmd === 'error');
    return found.length >= MARKETS.length && found;
  });
  return answers.find((one) => one.error)?.error.code ?? 'allowed';
}

export function subscribePublic(socket) {
  socket.send({ cmd: 'subscribe', args: { channel: PUBLIC, marketType: 'inclusionPreconf' } });
}

/** What is wrong with the order of the events, or null: in each stream the sequence goes up by one. */
export function disorder(events) {
  const last = new Map();
  for (const { key, sequence } of events) {
    const before = last.get(key);
    if (before !== undefined && sequence !== before + 1) return `${key}: ${sequence} after ${before}`;
    last.set(key, sequence);
  }
  return null;
}
