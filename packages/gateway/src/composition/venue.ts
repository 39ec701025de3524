/** The way to the venue's own services, where one is configured. */
import { createForwarder } from '../backend/forward.ts';
import { createRouteTable } from '../backend/routes.ts';
import { createIdentitySigner } from '../backend/venue-identity.ts';
import type { Core } from './core.ts';

export type Venue = ReturnType<typeof openVenue>;

/** Values of the gauge. */
const CIRCUIT = { closed: 0, 'half-open': 1, open: 2 } as const;

export function openVenue({ config, clock, log, metrics, identity, tracing }: Core) {
  const routes = createRouteTable(config.routes);
  const { url, timeoutMs, breaker } = config.venue;
  if (url === null) return { routes, forwarder: null };
  const forwarder = createForwarder({
    baseUrl: url,
    timeoutMs,
    clock,
    signIdentity: createIdentitySigner({ signingKeys: identity.signingKeys, clock, issuer: config.issuer }),
    routes,
    breaker,
    ...(tracing === null
      ? {}
      : {
          tracing: {
            headers: tracing.headers,
            span: ({ service, kind, method }, work) =>
              tracing.span(
                `venue ${kind}`,
                { 'server.address': service, 'http.request.method': method },
                work,
                { kind: 'client' },
              ),
          },
        }),
    circuit: (service, state) => {
      metrics.venueCircuit.set({ service }, CIRCUIT[state]);
      log.warn({ event: 'venue.circuit', service, state }, 'circuit');
    },
    observe: ({ service, kind, outcome, seconds }) =>
      metrics.venueDuration.labels(service, kind, outcome).observe(seconds),
  });
  return { routes, forwarder };
}
