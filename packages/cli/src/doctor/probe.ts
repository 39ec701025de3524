/** A WebSocket that is listened to step by step, with a limit to every wait. */
import { WebSocket } from 'ws';
import { CliError } from '../cli-error.ts';
import { printable } from '../io.ts';
import { whyUnreachable } from '../session/api.ts';

type Frame = Record<string, unknown>;

export interface Probe {
  send(frame: object): void;
  /** The next frame that is the one looked for. Rejects after five seconds, on an error frame, and when closed. */
  hear(matches: (frame: Frame) => boolean): Promise<Frame>;
  /** Fulfilled when the server closed the connection; rejects after five seconds of asking. */
  readonly closed: Promise<number>;
  close(): void;
}

const WAIT_MS = 5000;

/** @throws CliError `unreachable`, `refused` */
export async function openProbe(url: string, stop: AbortSignal): Promise<Probe> {
  const socket = new WebSocket(url, {
    handshakeTimeout: WAIT_MS,
    followRedirects: false,
    maxPayload: 1024 * 1024,
  });
  const listeners = new Set<(frame: Frame | Error) => void>();
  const tell = (what: Frame | Error) => {
    for (const listener of [...listeners]) listener(what);
  };
  let closedWith: number | null = null;
  const end = () => socket.terminate();
  stop.addEventListener('abort', end, { once: true });
  socket.on('message', (data) => {
    try {
      tell(JSON.parse(String(data)) as Frame);
    } catch {
      tell(new Error('the server sent what is no JSON'));
    }
  });
  socket.on('close', (code) => {
    closedWith = code;
    stop.removeEventListener('abort', end);
    tell(new CliError('unreachable', `the server closed the connection (${code})`));
  });
  await new Promise<void>((resolve, reject) => {
    socket.once('open', resolve);
    socket.on('error', (error) => {
      reject(new CliError('unreachable', `cannot connect to ${url}: ${whyUnreachable(error)}`));
    });
  });

  function wait<T>(what: string, take: (heard: Frame | Error) => T | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      const done = () => {
        clearTimeout(timer);
        listeners.delete(listener);
      };
      const timer = setTimeout(() => {
        done();
        reject(new CliError('unreachable', `${what} did not come within ${WAIT_MS / 1000} s`));
      }, WAIT_MS);
      const listener = (heard: Frame | Error) => {
        try {
          const taken = take(heard);
          if (taken === undefined) return;
          done();
          resolve(taken);
        } catch (error) {
          done();
          reject(error);
        }
      };
      listeners.add(listener);
    });
  }

  return {
    send: (frame) => socket.send(JSON.stringify(frame)),
    hear: (matches) =>
      wait('the answer', (heard) => {
        if (heard instanceof Error) throw heard;
        if (heard.event === 'error')
          throw new CliError('refused', `refused: ${printable(String(heard.msg))}`);
        return matches(heard) ? heard : undefined;
      }),
    get closed() {
      if (closedWith !== null) return Promise.resolve(closedWith);
      return wait('the end of the connection', () => closedWith ?? undefined);
    },
    close: end,
  };
}
