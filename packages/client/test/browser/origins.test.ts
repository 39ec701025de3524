/** What the gateway keeps pages from that nobody listed (R56, R72, R73), with a real browser asking. */
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { withoutChromium } from './chromium.ts';
import { browserKit, openPage } from './kit.ts';
import { type Site, startSite } from './site.ts';
import { installWallet } from './wallet.ts';

/** In the page: how opening a socket ends. */
const tryWebSocket = (url: string): Promise<string> =>
  new Promise((resolve) => {
    const { WebSocket } = globalThis as unknown as {
      WebSocket: new (url: string) => { onopen: () => void; onclose: (event: { code: number }) => void };
    };
    const socket = new WebSocket(url);
    socket.onopen = () => resolve('open');
    socket.onclose = ({ code }) => resolve(`closed ${code}`);
  });

describe.skipIf(withoutChromium)('pages that nobody listed [needs chromium]', () => {
  const kit = browserKit();
  let stranger: Site;
  beforeAll(async () => {
    stranger = await startSite();
  });
  afterAll(() => stranger?.close());

  /** Somebody who is signed in, with the refresh cookie in the browser. */
  async function signedIn() {
    const context = await kit.context();
    await installWallet(context, 0);
    const page = await openPage(context, kit.site.origin);
    await page.evaluate(async (base) => {
      globalThis.session = countersign.createWalletSession({
        baseUrl: base,
        signer: ethereum,
        credentials: 'include',
      });
      await session.login();
    }, kit.gateway.urls.rest);
    const cookies = async () =>
      (await context.cookies(kit.gateway.urls.rest)).map(({ name, value }) => `${name}=${value}`);
    expect(await cookies()).toHaveLength(2);
    return { context, page, cookies };
  }

  /** A POST of a form, as a page of any site can have a browser send it. @returns what the gateway answered */
  async function submitForm(page: Page, path: string): Promise<{ status: number; hadCookie: boolean }> {
    const answered = page.waitForResponse((response) => response.url().endsWith(path));
    await page.evaluate((action) => {
      const { document } = globalThis as unknown as {
        document: {
          createElement(name: string): { method: string; action: string; submit(): void };
          body: { append(form: unknown): void };
        };
      };
      const form = document.createElement('form');
      form.method = 'post';
      form.action = action;
      document.body.append(form);
      form.submit();
    }, `${kit.gateway.urls.rest}${path}`);
    const response = await answered;
    const headers = await response.request().allHeaders();
    return { status: response.status(), hadCookie: headers.cookie !== undefined };
  }

  test('get no socket, and listed ones do (R56)', async () => {
    const context = await kit.context();
    const { websocket, rest } = kit.gateway.urls;
    const sockets = [websocket, `${rest.replace(/^http/, 'ws')}/socket.io/?EIO=4&transport=websocket`];
    const from = async (origin: string) => {
      const page = await openPage(context, origin);
      return Promise.all(sockets.map((url) => page.evaluate(tryWebSocket, url)));
    };
    expect(await from(kit.site.origin)).toEqual(['open', 'open']);
    // Another port, and another name for the listed one.
    expect(await from(stranger.origin)).toEqual(['closed 1006', 'closed 1006']);
    expect(await from(kit.site.elsewhere)).toEqual(['closed 1006', 'closed 1006']);
  });

  test('get no feed: the client says that it has none, and does not loop without a pause', async () => {
    const page = await openPage(await kit.context(), stranger.origin);
    const { code, connects } = await page.evaluate(async (url) => {
      const feed = countersign.createFeed({ url, dialect: countersign.coinbaseDialect(), maxAttempts: 2 });
      const book = feed.orderBook('ETH-USD');
      const error = await book.ready.catch((failure: unknown) => failure);
      return { code: (error as { code: string }).code, connects: feed.stats.connects };
    }, kit.gateway.urls.websocket);
    expect({ code, connects }).toEqual({ code: 'unreachable', connects: 2 });
  });

  test('may send, but read nothing (R72)', async () => {
    const page = await openPage(await kit.context(), stranger.origin);
    const read = await page.evaluate(async (base) => {
      const outcome = (url: string, init?: RequestInit) =>
        fetch(url, init).then(
          ({ status }) => status,
          () => 'refused',
        );
      const session = countersign.createWalletSession({
        baseUrl: base,
        signer: '1'.padStart(64, '0'),
        patience: 0,
      });
      return [
        await outcome(`${base}/v1/user/login`, {
          method: 'POST',
          body: new URLSearchParams({ addr: `0x${'22'.repeat(20)}` }),
        }),
        await outcome(`${base}/v1/user/info`, { headers: { authorization: 'Bearer x' } }),
        await session.accessToken().catch((error: unknown) => (error as { code: string }).code),
      ];
    }, kit.gateway.urls.rest);
    expect(read).toEqual(['refused', 'refused', 'unreachable']);
  });

  test.each([
    ['another port of the same site', () => stranger.origin],
    ['another site', () => stranger.elsewhere],
  ])('cannot use the refresh cookie from %s, by form or by fetch (R73)', async (_what, origin) => {
    const { context, page, cookies } = await signedIn();
    const before = await cookies();
    const evil = await openPage(context, origin());
    for (const path of ['/v1/user/login/refresh', '/v1/user/logout']) {
      await evil.evaluate(
        (url) =>
          fetch(url, { method: 'POST', credentials: 'include', mode: 'no-cors' } as RequestInit).catch(
            () => null,
          ),
        `${kit.gateway.urls.rest}${path}`,
      );
    }
    // Of two origins on one site the browser does send the cookie along: the gateway alone stands in between.
    const refreshed = await submitForm(evil, '/v1/user/login/refresh');
    expect(refreshed).toEqual({ status: 403, hadCookie: origin() === stranger.origin });
    await submitForm(await openPage(context, origin()), '/v1/user/logout');
    expect(await cookies()).toEqual(before);
    expect(await page.evaluate(async () => (await session.fetch('/v1/user/info')).status)).toBe(200);
  });

  test('do not keep a listed one from using its cookie', async () => {
    const { page, cookies } = await signedIn();
    const before = await cookies();
    const status = await page.evaluate(
      async (url) => (await fetch(url, { method: 'POST', credentials: 'include' } as RequestInit)).status,
      `${kit.gateway.urls.rest}/v1/user/login/refresh`,
    );
    expect(status).toBe(200);
    expect(await cookies()).not.toEqual(before);
  });
});
