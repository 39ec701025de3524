/** Signing in from a page of another origin, with a wallet that somebody put into it. */
import { describe, expect, test } from 'vitest';
import { keyOf } from '../support.ts';
import { withoutChromium } from './chromium.ts';
import { browserKit, openPage } from './kit.ts';
import { installWallet } from './wallet.ts';

describe.skipIf(withoutChromium)('a page with a browser wallet [needs chromium]', () => {
  const kit = browserKit();

  const signIn = (base: string) => {
    globalThis.session = countersign.createWalletSession({
      baseUrl: base,
      signer: ethereum,
      store: countersign.localStorageStore(),
    });
    return session.login().then(
      () => session.address,
      (error: unknown) => (error as { code: string }).code,
    );
  };

  test('asks the wallet only when login() is called, and then calls the API', async () => {
    const context = await kit.context();
    const wallet = await installWallet(context, 0);
    const page = await openPage(context, kit.site.origin);
    const early = await page.evaluate(async (base) => {
      const quiet = countersign.createWalletSession({ baseUrl: base, signer: ethereum });
      return quiet.accessToken().catch((error: unknown) => (error as { code: string }).code);
    }, kit.gateway.urls.rest);
    expect([early, wallet.asked]).toEqual(['sign_in_needed', []]);

    expect(await page.evaluate(signIn, kit.gateway.urls.rest)).toBe(wallet.address);
    expect(wallet.asked.filter((method) => method === 'eth_signTypedData_v4')).toHaveLength(1);
    const user = await page.evaluate(async () => {
      const answer = await session.fetch('/v1/user/info');
      return [answer.status, await answer.text()] as const;
    });
    expect(user[0]).toBe(200);
    expect(user[1].toLowerCase()).toContain(wallet.address);
  });

  test('goes on with its session after a reload, without the wallet', async () => {
    const context = await kit.context();
    const wallet = await installWallet(context, 0);
    const page = await openPage(context, kit.site.origin);
    await page.evaluate(signIn, kit.gateway.urls.rest);
    const before = wallet.asked.length;
    await page.reload();
    const again = await openPage(context, kit.site.origin);
    const status = await again.evaluate(async (base) => {
      const kept = countersign.createWalletSession({
        baseUrl: base,
        signer: ethereum,
        store: countersign.localStorageStore(),
      });
      return (await kept.fetch('/v1/user/info')).status;
    }, kit.gateway.urls.rest);
    expect([status, wallet.asked.length]).toEqual([200, before]);
  });

  test('keeps nothing readable in an encrypted store', async () => {
    const context = await kit.context();
    await installWallet(context, 0);
    const page = await openPage(context, kit.site.origin);
    const [token, kept] = await page.evaluate(async (base) => {
      const area = globalThis as unknown as { localStorage: { getItem(name: string): string } };
      const store = countersign.encryptedStore(countersign.localStorageStore(), {
        passphrase: 'correct horse',
        iterations: 1000,
      });
      const own = countersign.createWalletSession({ baseUrl: base, signer: ethereum, store });
      await own.login();
      return [await own.accessToken(), area.localStorage.getItem('countersign.session')] as const;
    }, kit.gateway.urls.rest);
    expect(kept).toContain('"iv"');
    expect(kept).not.toContain(token.slice(0, 20));
  });

  const lies: [string, (typed: Record<string, Record<string, unknown>>) => void][] = [
    ['another chain than the wallet is on', (typed) => Object.assign(typed.domain!, { chainId: 137 })],
    ['another site', (typed) => Object.assign(typed.domain!, { name: 'evil.example' })],
    [
      'a contract that verifies',
      (typed) => Object.assign(typed.domain!, { verifyingContract: `0x${'11'.repeat(20)}` }),
    ],
    ['another text', (typed) => Object.assign(typed.message!, { message: 'I give everything away' })],
    ['one member more', (typed) => Object.assign(typed.message!, { spender: `0x${'11'.repeat(20)}` })],
  ];
  test('asks the wallet to sign nothing when the server wants something else signed than a login', async () => {
    const context = await kit.context();
    const wallet = await installWallet(context, 0);
    const page = await openPage(context, kit.site.origin);
    let tell = lies[0]![1];
    await page.route('**/v1/user/login', async (route) => {
      const response = await route.fetch();
      const body = await response.json();
      const typed = JSON.parse(body.data.eip712Message);
      tell(typed);
      body.data.eip712Message = JSON.stringify(typed);
      await route.fulfill({ response, json: body });
    });
    const said: [string, unknown][] = [];
    for (const [what, lie] of lies) {
      tell = lie;
      said.push([what, await page.evaluate(signIn, kit.gateway.urls.rest)]);
    }
    expect(said).toEqual(lies.map(([what]) => [what, 'unexpected_login_message']));
    expect(wallet.asked).not.toContain('eth_signTypedData_v4');
  });

  test('says that the person declined, and asks again only when told to', async () => {
    const context = await kit.context();
    const wallet = await installWallet(context, 0);
    wallet.declines = true;
    const page = await openPage(context, kit.site.origin);
    expect(await page.evaluate(signIn, kit.gateway.urls.rest)).toBe('signer_rejected');
    wallet.declines = false;
    const asked = wallet.asked.length;
    const later = await page.evaluate(() =>
      session.accessToken().catch((error: unknown) => (error as { code: string }).code),
    );
    expect([later, wallet.asked.length]).toEqual(['signer_rejected', asked]);
    await page.evaluate(() => session.login());
    expect(await page.evaluate(() => session.state)).toBe('active');
  });

  test('signs with a private key as well, which loads its cryptography when it is needed', async () => {
    const page = await openPage(await kit.context(), kit.site.origin);
    const loaded: string[] = [];
    page.on('request', (request) => void loaded.push(new URL(request.url()).pathname));
    const state = await page.evaluate(
      async ([base, key]) => {
        const own = countersign.createWalletSession({ baseUrl: base!, signer: key!, chainId: 1 });
        await own.login();
        return own.state;
      },
      [kit.gateway.urls.rest, keyOf(1)],
    );
    expect(state).toBe('active');
    expect(loaded.some((path) => path.endsWith('.js'))).toBe(true);
  });

  test('learns from the answers that the clock of its machine is ten minutes off', async () => {
    const context = await kit.context();
    await installWallet(context, 0);
    const page = await openPage(context, kit.site.origin);
    const offset = await page.evaluate(async (base) => {
      const clock = { ...countersign.systemClock, now: () => Date.now() - 600_000 };
      const own = countersign.createWalletSession({ baseUrl: base, signer: ethereum, clock });
      await own.login();
      return own.stats().clockOffset;
    }, kit.gateway.urls.rest);
    expect(Math.abs(offset - 600_000)).toBeLessThan(5000);
  });
});
