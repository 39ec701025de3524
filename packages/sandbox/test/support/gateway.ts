import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Publication } from '../../src/publication.ts';

export interface Received {
  publications: Publication[];
  idempotencyKey: string;
}

/** A tiny gateway: takes publications, and fails when told to. */
export async function tinyGateway(port = 0) {
  const batches: Received[] = [];
  const waiters: { done: () => boolean; resolve: () => void }[] = [];
  const state = {
    /** Statuses of the next answers; 0 cuts the connection; -1 takes the batch and then cuts. */
    failures: [] as number[],
    principals: [] as unknown[],
    authorizations: new Set<string | undefined>(),
    attempts: 0,
    /** The epoch of the receipts; null answers without receipts. */
    epoch: null as string | null,
    /** Refuses publications of these channels, each for itself. */
    refuses: new Set<string>(),
  };
  const check = () => {
    for (const waiter of waiters.splice(0)) {
      if (waiter.done()) waiter.resolve();
      else waiters.push(waiter);
    }
  };
  const server = createServer(async (request, response) => {
    let text = '';
    for await (const chunk of request) text += chunk;
    state.authorizations.add(request.headers.authorization);
    if (request.url === '/backend/v1/principals') {
      response.end(JSON.stringify({ success: true, data: { principals: state.principals } }));
      return;
    }
    state.attempts += 1;
    const failure = state.failures.shift();
    const batch = JSON.parse(text) as Received;
    if (failure === undefined || failure === -1) batches.push(batch);
    if (failure === 0 || failure === -1) request.socket.destroy();
    else {
      const { epoch, refuses } = state;
      const results = batch.publications.map(({ channel, key }) =>
        refuses.has(channel)
          ? { error: 'not like this' }
          : { stream: `${channel}/${key}`, epoch, sequence: 1, duplicate: false },
      );
      const data = epoch === null ? {} : { success: true, data: { results } };
      response.writeHead(failure ?? 200).end(JSON.stringify(data));
    }
    check();
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const internalUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    state,
    batches,
    gateway: { internalUrl, backendToken: 'backend-token' },
    all: () => batches.flatMap((batch) => batch.publications),
    /** Resolves as soon as `done` holds after a request. */
    until(done: () => boolean): Promise<void> {
      return new Promise((resolve) => {
        waiters.push({ done, resolve });
        check();
      });
    },
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
