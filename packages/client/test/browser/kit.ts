/** One browser, one site and one gateway that lists it, for a suite; a fresh profile for each test. */
import { startTestGateway, type TestGateway } from '@countersign/testkit';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll } from 'vitest';
import type { Feed, FeedUpdate, WalletSession } from '../../src/index.ts';
import { startChromium } from './chromium.ts';
import { type Site, startSite } from './site.ts';

declare global {
  /** In the page: what the test left there. */
  var session: WalletSession;
  var feed: Feed;
  var seen: FeedUpdate[];
}

export interface Kit {
  readonly gateway: TestGateway;
  readonly site: Site;
  /** A profile of its own: no cookies, no storage. */
  context(): Promise<BrowserContext>;
}

/** Registers what starts before the tests of the file and stops after them. */
export function browserKit(config: Parameters<typeof startTestGateway>[0] = {}): Kit {
  let browser: Browser;
  let site: Site;
  let gateway: TestGateway;
  const contexts: BrowserContext[] = [];
  beforeAll(async () => {
    browser = await startChromium();
    site = await startSite();
    gateway = await startTestGateway({ ...config, http: { ...config.http, origins: [site.origin] } });
  });
  afterEach(async () => {
    for (const context of contexts.splice(0)) await context.close();
  });
  afterAll(async () => {
    await browser?.close();
    await gateway?.close();
    await site?.close();
  });
  return {
    get gateway() {
      return gateway;
    },
    get site() {
      return site;
    },
    async context() {
      const context = await browser.newContext();
      contexts.push(context);
      return context;
    },
  };
}

/** The page with the client in it. */
export async function openPage(context: BrowserContext, origin: string): Promise<Page> {
  const page = await context.newPage();
  await page.goto(`${origin}/`);
  await page.waitForFunction(() => globalThis.countersign !== undefined, null, { polling: 20 });
  return page;
}

/** Waits for something in the page; polling goes on in tabs that are not in front. */
export const until = async <Given>(
  page: Page,
  test: (given: Given) => unknown,
  given: Given,
): Promise<void> => {
  await (await page.waitForFunction(test as never, given, { polling: 20, timeout: 10_000 })).dispose();
};
