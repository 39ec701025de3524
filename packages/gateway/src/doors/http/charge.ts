/** Charges requests to budgets, and tells every caller how much is left. */
import { Refusal } from '@countersign/protocol';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { BudgetView, Charged } from '../../access/budget.ts';
import type { Charge, Cost } from '../../access/limits.ts';
import type { MaybePromise } from '../../session/maybe-promise.ts';
import type { Sources } from '../source.ts';
import type { LimitService } from './services.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** What is left of the budget that this request was charged to; null if it was charged to none. */
    budget: BudgetView | null;
  }
}

/**
 * Charges a request to whoever is signed in on it, else to its source.
 *
 * @throws Refusal `rate_limited` with the seconds to wait, at once or by the promise
 */
export type ChargeRequest = (request: FastifyRequest, kind: Charge, cost?: Cost) => MaybePromise<void>;

export function createChargeRequest(limits: LimitService, sources: Sources): ChargeRequest {
  return (request, kind, cost) => {
    const principal = request.authentication?.principal ?? null;
    const charged = limits.charge(kind, sources.source(request.raw), principal, cost);
    if (charged instanceof Promise) return charged.then((one) => settle(request, one));
    settle(request, charged);
  };
}

function settle(request: FastifyRequest, charged: Charged | null): void {
  request.budget = charged;
  if (charged !== null && !charged.admitted) {
    throw new Refusal('rate_limited', charged.by, { retryAfter: charged.retryAfter ?? 1 });
  }
}

/**
 * Puts `RateLimit-*` (draft-ietf-httpapi-ratelimit-headers-05, section 3) on every reply of the public listener.
 * What was charged to nobody shows what is left for its source.
 */
export function useBudgetHeaders(fastify: FastifyInstance, limits: LimitService, sources: Sources): void {
  fastify.decorateRequest('budget', null);
  fastify.addHook('onSend', (request, reply, payload, done) => {
    const send = (budget: BudgetView | null) => {
      if (budget !== null) {
        reply
          .header('ratelimit-limit', String(budget.limit))
          .header('ratelimit-remaining', String(budget.remaining))
          .header('ratelimit-reset', String(Math.ceil(budget.reset)));
      }
      done(null, payload);
    };
    if (request.budget !== null) return send(request.budget);
    const foreseen = limits.foresee('public', sources.source(request.raw), null, { weight: 0 });
    if (foreseen instanceof Promise) foreseen.then(send, () => send(null));
    else send(foreseen);
  });
}

/** The names of the coinbase API, in lower case: its SDK looks them up in a plain dictionary. */
export function useBrokerageBudgetHeaders(fastify: FastifyInstance): void {
  fastify.addHook('onSend', (request, reply, payload, done) => {
    const { budget } = request;
    if (budget !== null) {
      reply
        .header('x-ratelimit-limit', String(budget.limit))
        .header('x-ratelimit-remaining', String(budget.remaining))
        .header('x-ratelimit-reset', String(Math.ceil(budget.reset)));
    }
    done(null, payload);
  });
}
