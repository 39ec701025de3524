/** Chainworks requests: one event with one object in, `{success, result}` or `{success, error}` out. */
import { Refusal } from '@countersign/protocol';
import type { Route } from '../http/server.ts';
import type { Json } from '../publication.ts';
import { ChainworksError, type Parameters } from './parameters.ts';
import { quote } from './pool.ts';
import { type Approvals, approve, swap, transfer } from './transactions.ts';

export function chainworksRoutes(seed: string): Route[] {
  const approvals: Approvals = new Set();
  const events: { readonly [event: string]: (parameters: Parameters) => Json } = {
    '/evm/buy/quote': (parameters) => quote(seed, 'evm', true, parameters).result,
    '/evm/sell/quote': (parameters) => quote(seed, 'evm', false, parameters).result,
    '/svm/buy/quote': (parameters) => quote(seed, 'svm', true, parameters).result,
    '/svm/sell/quote': (parameters) => quote(seed, 'svm', false, parameters).result,
    '/evm/buy/transaction': (parameters) => swap(seed, 'evm', true, parameters, approvals),
    '/evm/sell/transaction': (parameters) => swap(seed, 'evm', false, parameters, approvals),
    '/svm/buy/transaction': (parameters) => swap(seed, 'svm', true, parameters, approvals),
    '/svm/sell/transaction': (parameters) => swap(seed, 'svm', false, parameters, approvals),
    '/evm/approve/transaction': (parameters) => approve(seed, parameters, approvals),
    '/svm/transfer/transaction': (parameters) => transfer(seed, 'native', parameters),
    '/svm/transfer/token/transaction': (parameters) => transfer(seed, 'token', parameters),
    '/svm/transfer/multi/transaction': (parameters) => transfer(seed, 'multi', parameters),
  };
  return [
    {
      method: 'POST',
      path: '/events',
      // A refusal is an answer of the API, not of HTTP: the gateway hands it on as it is.
      answer({ body }) {
        const event = String(body.event);
        const handler = Object.hasOwn(events, event) ? events[event] : undefined;
        if (handler === undefined) throw new Refusal('not_found', 'unknown event');
        const { params } = body;
        const given = typeof params === 'object' && params !== null && !Array.isArray(params) ? params : {};
        try {
          return { success: true, result: handler(given as Parameters) };
        } catch (error) {
          if (!(error instanceof ChainworksError)) throw error;
          return { success: false, error: { code: error.code, message: error.message } };
        }
      },
    },
  ];
}
