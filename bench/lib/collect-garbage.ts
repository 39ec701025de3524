/** Makes another Node process collect its garbage, through its inspector: nothing in that process knows of it. */
import { WebSocket } from 'ws';

/** @param log lines that the process wrote when it was started with `--inspect=127.0.0.1:0` */
export function inspectorOf(log: readonly string[]): string {
  const url = log.map((line) => /Debugger listening on (ws:\S+)/.exec(line)?.[1]).find(Boolean);
  if (url === undefined) throw new Error('the process has no inspector');
  return url;
}

export async function collectGarbage(inspector: string): Promise<void> {
  const socket = new WebSocket(inspector);
  try {
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
    for (let id = 1; id <= 2; id += 1) {
      const answered = new Promise((resolve, reject) =>
        socket.once('message', resolve).once('close', reject),
      );
      socket.send(JSON.stringify({ id, method: 'HeapProfiler.collectGarbage' }));
      await answered;
    }
  } finally {
    socket.terminate();
  }
}
