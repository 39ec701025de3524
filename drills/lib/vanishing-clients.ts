/**
 * A process with sockets that read and answer pings, until it is gone. Reads one line of JSON: `{urls, tokens, messages,
 * perSecond}`; opens a socket for each token, at the URLs by turns, and sends the messages on each; says `ready` when all
 * have had an answer to each.
 */
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { WebSocket } from 'ws';

const [line] = (await once(createInterface({ input: process.stdin }), 'line')) as [string];
const { urls, tokens, messages, perSecond } = JSON.parse(line) as {
  urls: string[];
  tokens: string[];
  messages: string[];
  perSecond: number;
};

await Promise.all(
  tokens.map(async (token, n) => {
    await new Promise((resolve) => setTimeout(resolve, (n * 1000) / perSecond));
    const headers = { authorization: `Bearer ${token}` };
    const socket = new WebSocket(urls[n % urls.length]!, { headers, perMessageDeflate: false });
    await once(socket, 'open');
    let answers = 0;
    await new Promise<void>((resolve) => {
      socket.on('message', () => {
        answers += 1;
        if (answers === messages.length) resolve();
      });
      for (const message of messages) socket.send(message);
    });
  }),
);
process.stdout.write('ready\n');
