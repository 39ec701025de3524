/** Tabs of one origin share one session through `localStorage` and the Web Locks API. */
import type { BrowserContext, Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { withoutChromium } from './chromium.ts';
import { browserKit, openPage, until } from './kit.ts';
import { installWallet } from './wallet.ts';

describe.skipIf(withoutChromium)('two tabs [needs chromium]', () => {
  // A token lives so short that refreshes happen while the test looks on.
  const kit = browserKit({ tokens: { accessTtl: 3 } });

  const join = async (page: Page): Promise<void> =>
    page.evaluate((base) => {
      globalThis.session = countersign.createWalletSession({
        baseUrl: base,
        signer: ethereum,
        store: countersign.localStorageStore(),
      });
    }, kit.gateway.urls.rest);
  const call = (page: Page): Promise<number> =>
    page.evaluate(async () => (await session.fetch('/v1/user/info')).status);

  /** Two tabs with one session; the first one logged in. */
  async function open(): Promise<{ context: BrowserContext; first: Page; second: Page; sent: string[] }> {
    const context = await kit.context();
    const wallet = await installWallet(context, 0);
    const sent: string[] = [];
    context.on('request', (request) => void sent.push(new URL(request.url()).pathname));
    const first = await openPage(context, kit.site.origin);
    const second = await openPage(context, kit.site.origin);
    await join(first);
    await first.evaluate(() => session.login());
    await join(second);
    expect([await call(first), await call(second)]).toEqual([200, 200]);
    expect(wallet.asked.filter((method) => method === 'eth_signTypedData_v4')).toHaveLength(1);
    return { context, first, second, sent };
  }
  const refreshes = (sent: string[]) => sent.filter((path) => path === '/v1/user/login/refresh').length;

  test('refresh once for each token between them, and both go on', async () => {
    const { first, second, sent } = await open();
    const total = async () => {
      const of = (page: Page) => page.evaluate(() => session.stats());
      const [one, two] = [await of(first), await of(second)];
      return { refreshes: one.refreshes + two.refreshes, adopted: one.adopted + two.adopted };
    };
    // Both have seen the third token: the login's, and two more.
    for (const page of [first, second])
      await until(page, () => session.stats().refreshes + session.stats().adopted >= 2, undefined);
    expect([await call(first), await call(second)]).toEqual([200, 200]);
    const { refreshes: renewed, adopted } = await total();
    // Each token was fetched by one tab and taken over by the other; one refresh may be under way just now.
    expect(refreshes(sent) - renewed).toBeLessThanOrEqual(1);
    expect(Math.abs(adopted - 1 - renewed)).toBeLessThanOrEqual(1);
  });

  test('survive that one of them is closed in the middle of its refresh', async () => {
    const { first, second, sent } = await open();
    // The second tab refreshes only if the first one has gone: nothing it does is late enough to be first.
    let carriedOut = () => {};
    const spent = new Promise<void>((resolve) => {
      carriedOut = resolve;
    });
    await first.route('**/v1/user/login/refresh', async (route) => {
      // The server has carried it out; the tab will never hear of it.
      await route.fetch();
      carriedOut();
    });
    await second.route('**/v1/user/login/refresh', async (route) => {
      await spent;
      await route.continue();
    });
    const token = await second.evaluate(() => session.accessToken());
    // Holds the lock first, whatever moment the second one has chosen.
    await first.evaluate((held) => void session.invalidate(held, 'refused'), token);
    await spent;
    const renewed = second.evaluate(
      (held) =>
        new Promise<string>((resolve) => {
          session.on('token', (event) => event.token !== held && resolve(event.how));
        }),
      token,
    );
    await first.close();
    // The token that the closed tab had spent answers once more, with the very successor that got lost.
    expect(await renewed).toBe('refresh');
    expect(await call(second)).toBe(200);
    expect(await second.evaluate(() => session.stats().logins)).toBe(0);
    expect(refreshes(sent)).toBeGreaterThanOrEqual(2);
  });

  test('end together when one of them logs out', async () => {
    const { first, second } = await open();
    await first.evaluate(() => session.logout());
    await until(second, () => session.state === 'ended', undefined);
    const code = await second.evaluate(() =>
      session.accessToken().catch((error: unknown) => (error as { code: string }).code),
    );
    expect(code).toBe('logged_out');
  });
});
