/**
 * The least that is needed of an Ethereum JSON-RPC endpoint: read-only calls with hard bounds on time, size
 * and number, to a URL that the operator pinned. A slow or hostile endpoint costs one caller two seconds.
 */
import type { Clock } from '../operations/clock.ts';

export interface ChainRpc {
  /**
   * The `result` of a method when it is text.
   *
   * @returns null if the endpoint answered with an error: for `eth_call`, the call reverted
   * @throws Error if it did not answer properly in time, answered with more than {@link REPLY_LIMIT} bytes,
   *   redirected, or serves another chain
   */
  call(method: string, params: unknown[]): Promise<string | null>;
}

/** Bytes of a reply, 32-byte results with generous room for an error text. */
export const REPLY_LIMIT = 1024;
const MAX_IN_FLIGHT = 32;

/** @param timeoutMs for each request, connection and body included */
export function createChainRpc({
  url,
  chainId,
  clock,
  timeoutMs = 2000,
}: {
  url: string;
  chainId: number;
  clock: Clock;
  timeoutMs?: number;
}): ChainRpc {
  let chainConfirmed = false;
  let inFlight = 0;

  async function request(method: string, params: unknown[]): Promise<string | null> {
    if (inFlight >= MAX_IN_FLIGHT) throw new Error('too many JSON-RPC requests at once');
    inFlight += 1;
    const abort = new AbortController();
    const cancelTimeout = clock.after(timeoutMs, () => abort.abort());
    try {
      const response = await fetch(url, {
        method: 'POST',
        // Without this a small body could unpack to a large one.
        headers: { 'content-type': 'application/json', 'accept-encoding': 'identity' },
        body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
        redirect: 'error',
        signal: abort.signal,
      });
      return resultOf(await readLimited(response, abort));
    } finally {
      cancelTimeout();
      inFlight -= 1;
    }
  }

  return {
    async call(method, params) {
      if (!chainConfirmed) {
        // A signature for one chain must not be judged by the contracts of another (R38).
        const served = await request('eth_chainId', []);
        if (served === null || !/^0x[0-9a-fA-F]{1,14}$/.test(served) || Number(served) !== chainId)
          throw new Error(`the JSON-RPC endpoint of chain ${chainId} serves another chain`);
        chainConfirmed = true;
      }
      return request(method, params);
    },
  };
}

async function readLimited(response: Response, abort: AbortController): Promise<string> {
  if (!response.ok || response.body === null) {
    abort.abort();
    throw new Error(`the JSON-RPC endpoint answered with status ${response.status}`);
  }
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body) {
    length += chunk.length;
    if (length > REPLY_LIMIT) {
      abort.abort();
      throw new Error(`the JSON-RPC endpoint answered with more than ${REPLY_LIMIT} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function resultOf(body: string): string | null {
  const reply: unknown = JSON.parse(body);
  if (typeof reply !== 'object' || reply === null) throw new Error('the JSON-RPC reply is not an object');
  if ('error' in reply && reply.error !== null) return null;
  if ('result' in reply && typeof reply.result === 'string') return reply.result;
  throw new Error('the JSON-RPC reply has no result');
}
