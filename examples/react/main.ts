/** Two live prices. One feed for the whole page, made outside of the components. */
import { coinbaseDialect, createFeed } from '@countersign/client';
import { createElement, StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { useOrderBook } from './use-order-book.ts';

const feed = createFeed({
  url: `${location.origin.replace(/^http/, 'ws')}/ws`,
  dialect: coinbaseDialect(),
});

function Price({ product }: { product: string }) {
  const { bestBid, bestAsk, stale } = useOrderBook(feed, product);
  const text = `${product} ${bestBid?.price ?? '...'} / ${bestAsk?.price ?? '...'}`;
  // A price that may be old is shown as one.
  return createElement('p', { id: product, className: stale ? 'stale' : 'live' }, text);
}

const root = document.getElementById('root');
if (root === null) throw new Error('the page has no root');
createRoot(root).render(
  createElement(
    StrictMode,
    null,
    ['ETH-USD', 'BTC-USD'].map((product) => createElement(Price, { key: product, product })),
  ),
);
