/** Relays and their keys: `https://<key>@<host>`, where the key is the relay's public identity and no password. */
import { type Clock, systemClock } from './clock.ts';
import { RelayError } from './errors.ts';
import type { Fetch } from './http/caller.ts';

export interface Relay {
  readonly region: string;
  readonly environment: 'mainnet' | 'hoodi';
  readonly host: string;
  /** `0x` and 96 hex digits: a compressed BLS12-381 G1 point of 48 bytes. Bids are signed with it. */
  readonly publicKey: `0x${string}`;
}

export interface RelayUrl {
  readonly publicKey: `0x${string}`;
  /** With its port where it names one. */
  readonly host: string;
  /** The address to call: no key in it, because `fetch` refuses URLs that hold a user. No slash at the end. */
  readonly url: string;
}

const MAINNET =
  '0x88ef3061f598101ca713d556cf757763d9be93d33c3092d3ab6334a36855b6b4a4020528dd533a62d25ea6648251e62e';
const HOODI =
  '0xb20c3fe59db9c3655088839ef3d972878d182eb745afd8abb1dd2abf6c14f93cd5934ed4446a5fe1ba039e2bc0cf1011';

const table: readonly Relay[] = [
  { region: 'Tokyo', environment: 'mainnet', host: 'ap-relay.ethgas.com', publicKey: MAINNET },
  { region: 'Frankfurt', environment: 'mainnet', host: 'eu-relay.ethgas.com', publicKey: MAINNET },
  { region: 'Virginia', environment: 'mainnet', host: 'us-relay.ethgas.com', publicKey: MAINNET },
  { region: 'Tokyo', environment: 'hoodi', host: 'hoodi-relay.ethgas.com', publicKey: HOODI },
];

const bad = (why: string): RelayError => new RelayError('invalid_relay_url', `Not a relay URL: ${why}`);

/**
 * Reads `[http[s]://]<public key>@<host>[:port][/path]`. Without a scheme it is `http`, as mev-boost reads it.
 *
 * Checks the key's form (48 bytes, compressed, not the point at infinity), NOT that it is a point of the curve.
 *
 * @throws RelayError `invalid_relay_url`
 */
export function parseRelayUrl(text: string): RelayUrl {
  const full = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`;
  if (!URL.canParse(full)) throw bad('it is no URL');
  const url = new URL(full);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw bad('the scheme must be http or https');
  if (url.username === '') throw bad("the relay's public key is missing before the @");
  if (url.password !== '') throw bad('there is a password in it');
  const key = url.username.toLowerCase();
  if (!/^0x[0-9a-f]{96}$/.test(key)) throw bad('the public key must be 0x and 96 hex digits');
  const flags = Number.parseInt(key.slice(2, 4), 16);
  // The first three bits of a compressed point: compressed, infinity, sign (Zcash serialisation of BLS12-381).
  if ((flags & 0x80) === 0) throw bad('the public key is not a compressed point');
  if ((flags & 0x40) !== 0) throw bad('the public key is the point at infinity');
  if (url.search !== '' || url.hash !== '') throw bad('it has a query or a fragment');
  return {
    publicKey: key as `0x${string}`,
    host: url.host,
    url: `${url.protocol}//${url.host}${url.pathname.replace(/\/+$/, '')}`,
  };
}

export interface NearestOptions {
  /** Default: the table's relays of `environment`. URLs are read with `parseRelayUrl`. */
  candidates?: readonly (Relay | string)[];
  /** Default `mainnet`. */
  environment?: Relay['environment'];
  /** Calls to each, one after the other; the shortest counts. 1 to 10, default 3: the first one opens the connection. */
  samples?: number;
  /** Milliseconds until a relay that does not answer is left out. Default 3000. */
  timeout?: number;
  signal?: AbortSignal;
  fetch?: Fetch;
  clock?: Clock;
}

export interface MeasuredRelay extends RelayUrl {
  /** Empty for candidates that were given as URLs. */
  readonly region: string;
  /** Shortest round trip in milliseconds; null if it did not answer. */
  readonly roundTrip: number | null;
}

const STATUS = '/eth/v1/builder/status';

/** Measures candidates side by side. @returns all of them, the nearest first, those without an answer last */
async function measure(options: NearestOptions = {}): Promise<MeasuredRelay[]> {
  const { environment = 'mainnet', timeout = 3000, signal, clock = systemClock } = options;
  const fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
  const samples = Math.min(10, Math.max(1, Math.trunc(options.samples ?? 3)));
  const chosen = options.candidates ?? table.filter((relay) => relay.environment === environment);
  const measured = await Promise.all(
    chosen.map(async (candidate) => {
      const relay =
        typeof candidate === 'string'
          ? { ...parseRelayUrl(candidate), region: '' }
          : { ...candidate, url: `https://${candidate.host}` };
      const { publicKey, host, url, region } = relay;
      return { publicKey, host, url, region, roundTrip: await shortest(url) };
    }),
  );
  return measured.sort((a, b) => (a.roundTrip ?? Infinity) - (b.roundTrip ?? Infinity));

  async function shortest(url: string): Promise<number | null> {
    const controller = new AbortController();
    const abort = () => controller.abort(signal?.reason);
    if (signal?.aborted) abort();
    signal?.addEventListener('abort', abort, { once: true });
    const cancel = clock.after(timeout, () => controller.abort());
    let best: number | null = null;
    try {
      for (let n = 0; n < samples; n++) {
        const begun = clock.monotonic();
        const response = await fetch(`${url}${STATUS}`, { redirect: 'manual', signal: controller.signal });
        const took = clock.monotonic() - begun;
        await response.body?.cancel();
        // Whatever the status: the way there and back is what counts.
        best = Math.min(best ?? took, took);
      }
    } catch {
      if (signal?.aborted) throw signal.reason;
    } finally {
      cancel();
      signal?.removeEventListener('abort', abort);
    }
    return best;
  }
}

export const relays = {
  /** The published relays. */
  table,
  measure,
  /** The relay with the shortest round trip. @throws RelayError `no_relay` if none answers */
  async nearest(options: NearestOptions = {}): Promise<MeasuredRelay> {
    const [first] = await measure(options);
    if (first === undefined || first.roundTrip === null)
      throw new RelayError('no_relay', 'No relay answered');
    return first;
  },
};
