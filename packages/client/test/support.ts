/** Shared by the tests of the client: a session against a real gateway, and waiting for its events. */
import { startTestGateway, type TestGateway, type TestGatewayOptions } from '@countersign/testkit';
import { afterEach } from 'vitest';
import type { Clock, SessionEvents, WalletSession, WalletSessionOptions } from '../src/index.ts';
import { createWalletSession, systemClock } from '../src/index.ts';

/** Private key of the n-th wallet of the testkit. */
export const keyOf = (n: number): string => (n + 1).toString(16).padStart(64, '0');

const open: { close(): Promise<void> }[] = [];

/** Closes it when the test is over, the last one first. */
export function closing<T extends { close(): Promise<void> }>(thing: T): T {
  open.push(thing);
  return thing;
}

afterEach(async () => {
  for (const thing of open.splice(0).reverse()) await thing.close();
});

export const gatewayWith = async (
  config: Parameters<typeof startTestGateway>[0] = {},
  options: TestGatewayOptions = {},
): Promise<TestGateway> => closing(await startTestGateway(config, options));

export const sessionAt = (baseUrl: string, options: Partial<WalletSessionOptions> = {}): WalletSession =>
  closing(createWalletSession({ baseUrl, signer: keyOf(0), chainId: 1, ...options }));

/** The next event of a kind that fits. Ask before causing it. */
export const next = <Name extends keyof SessionEvents>(
  session: WalletSession,
  name: Name,
  fits: (event: SessionEvents[Name]) => boolean = () => true,
): Promise<SessionEvents[Name]> =>
  new Promise((resolve) => {
    const off = session.on(name, (event) => {
      if (!fits(event)) return;
      off();
      resolve(event);
    });
  });

/** All events of a kind from now on. */
export function record<Name extends keyof SessionEvents>(
  session: WalletSession,
  name: Name,
): SessionEvents[Name][] {
  const seen: SessionEvents[Name][] = [];
  session.on(name, (event) => void seen.push(event));
  return seen;
}

/** The machine's clock, set wrong by so many milliseconds. */
export const clockOff = (by: number): Clock => ({ ...systemClock, now: () => Date.now() + by });

/** `fetch` that counts the calls to each path. */
export function countingFetch(inner: typeof fetch = fetch): typeof fetch & { calls: string[] } {
  const calls: string[] = [];
  const counted = (...args: Parameters<typeof fetch>) => {
    calls.push(new URL(String(args[0])).pathname);
    return inner(...args);
  };
  return Object.assign(counted as typeof fetch, { calls });
}

/** Answers carry the time of this clock, as those of a server whose machine it is. */
export function fetchAt(clock: { now(): number }): typeof fetch {
  return (async (...args: Parameters<typeof fetch>) => {
    const response = await fetch(...args);
    const headers = new Headers(response.headers);
    headers.set('date', new Date(clock.now()).toUTCString());
    return new Response(response.body, { status: response.status, headers });
  }) as typeof fetch;
}

/** Lets pending promises and sockets move on. */
export const settle = (turns = 20): Promise<void> =>
  turns === 0
    ? Promise.resolve()
    : new Promise<void>((resolve) => setImmediate(resolve)).then(() => settle(turns - 1));
