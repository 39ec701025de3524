/** A sign-in page: the wallet signs once, tabs share the session, a live price needs no sign-in at all. */
import {
  coinbaseDialect,
  createFeed,
  createWalletSession,
  type Eip1193Provider,
  localStorageStore,
} from '@countersign/client';

const element = (id: string): HTMLElement => {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no ${id}`);
  return found;
};
const signIn = element('sign-in');
const signOut = element('sign-out');
const who = element('who');
const price = element('price');

// What every browser wallet puts into the page (EIP-1193).
const { ethereum } = globalThis as { ethereum?: Eip1193Provider };
const session = createWalletSession({
  baseUrl: location.origin,
  store: localStorageStore(),
  ...(ethereum === undefined ? {} : { signer: ethereum }),
});

function show(): void {
  const signedIn = session.state === 'active' || session.state === 'retrying';
  signIn.hidden = signedIn;
  signOut.hidden = !signedIn;
  who.textContent = signedIn ? `Signed in as ${session.address}.` : 'Not signed in.';
}
session.on('state', show);

signIn.addEventListener('click', async () => {
  if (ethereum === undefined) {
    who.textContent = 'There is no wallet in this browser.';
    return;
  }
  try {
    // Only a click may ask the wallet: a page that asks by itself teaches people to sign anything.
    await session.login();
  } catch (error) {
    who.textContent = (error as Error).message;
  }
});
signOut.addEventListener('click', () => void session.logout());

// A session from before a reload, or from another tab, goes on by itself.
session.accessToken().then(show, show);

const feed = createFeed({ url: `${location.origin.replace(/^http/, 'ws')}/ws`, dialect: coinbaseDialect() });
const book = feed.orderBook('ETH-USD');
book.on('change', () => {
  price.textContent = `ETH-USD ${book.bestBid?.price ?? ''} / ${book.bestAsk?.price ?? ''}`;
});
