/**
 * Everything that is counted as it happens, in one place, under the names that dashboards use; gauges.ts has what
 * is looked up instead. Names follow the conventions of Prometheus: base units, `_total` for counters. Labels are
 * small closed sets: never a user, a token, an address or a URL. docs/operations/metrics.md says what each one is for.
 */
import { CLOSE, ERRORS, type ErrorCode } from '@countersign/protocol';
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { Histogram } from './histogram.ts';

export type Metrics = ReturnType<typeof createMetrics>;

export const PREFIX = 'countersign_';

const FAST = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** For what is done inside the process many times a second. */
const INSIDE = [0.00001, 0.00005, 0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5];

/** @param defaults also measure the process itself (CPU, memory, event-loop lag). One registry per process may. */
export function createMetrics({ defaults = true }: { defaults?: boolean } = {}) {
  const registry = new Registry();
  const registers = [registry];
  const counter = <L extends string>(short: string, help: string, labelNames: readonly L[] = []) =>
    new Counter({ name: PREFIX + short, help, labelNames, registers });
  const seconds = <L extends string>(
    short: string,
    help: string,
    labelNames: readonly L[] = [],
    bounds: readonly number[] = FAST,
  ) => new Histogram<L>(registry, { name: PREFIX + short, help, labelNames, bounds });

  if (defaults) collectDefaultMetrics({ register: registry, prefix: PREFIX });

  return {
    registry,

    httpDuration: seconds('http_request_duration_seconds', 'HTTP requests by route pattern', [
      'door',
      'method',
      'route',
      'status',
    ]),
    logins: counter('logins_total', 'Wallet logins that were completed or refused', ['outcome']),
    refreshes: counter('refreshes_total', 'Refreshes of a session', ['outcome']),
    failedAuths: counter('failed_auths_total', 'Credentials that were refused', ['door', 'code']),
    revocations: counter(
      'revocations_total',
      'Changes that ended or narrowed access, as applied on this node',
      ['kind'],
    ),
    revocationLatency: seconds(
      'revocation_latency_seconds',
      'From the moment a change became durable to its being applied on this node',
    ),
    accessUnconfirmed: counter(
      'access_unconfirmed_total',
      'Times that this node could not confirm access for 30 s and stopped private work',
    ),
    rateLimited: counter('budget_refusals_total', 'Requests refused by a budget or limit', ['kind', 'tier']),

    connectionsAccepted: counter('connections_accepted_total', 'Connections opened', ['door']),
    connectionsRefused: counter('connections_refused_total', 'Connections refused before they opened', [
      'door',
      'code',
    ]),
    disconnects: counter('connections_closed_total', 'Connections closed, by close code or reason', [
      'door',
      'code',
      'by',
    ]),
    commands: counter('commands_total', 'Commands of connections, by what was asked', ['dialect', 'command']),

    fanout: seconds(
      'fanout_duration_seconds',
      'From receiving a publication to all outboxes having it',
      [],
      INSIDE,
    ),
    leasesArmed: new Gauge({
      name: `${PREFIX}leases_armed`,
      help: 'Leases that wait for somebody to be gone, over all nodes',
      registers,
    }),
    leaseEvents: counter('lease_events_total', 'Events of leases, by what became of them on this node', [
      'outcome',
    ]),
    nodesGivenUp: counter('nodes_given_up_total', 'Nodes that this one found dead'),

    venueCircuit: new Gauge({
      name: `${PREFIX}venue_circuit_state`,
      help: 'Services of the venue: 0 in use, 1 being tried, 2 left alone',
      labelNames: ['service'],
      registers,
    }),
    venueDuration: seconds('venue_request_duration_seconds', 'Calls to the venue', [
      'service',
      'kind',
      'outcome',
    ]),
    storeDuration: seconds('store_operation_duration_seconds', 'Calls to the store that succeeded', [
      'operation',
    ]),
    storeErrors: counter('store_errors_total', 'Calls to the store that failed', ['operation', 'code']),
    brokerDuration: seconds('broker_operation_duration_seconds', 'Calls to the broker that succeeded', [
      'operation',
    ]),
    brokerErrors: counter('broker_errors_total', 'Calls to the broker that failed', ['operation']),
  };
}

/** Counts the refusals that mean that a credential was not good. `door`: `public` or `internal`. */
export function refusalCounter(metrics: Metrics, door: string) {
  return (code: ErrorCode): void => {
    if (ERRORS[code].remedy === 'sign-in') metrics.failedAuths.inc({ door, code });
  };
}

/** Close codes of RFC 6455 section 7.4.1 that a peer has a use for, and ours. A peer may send 3,000 others. */
const CODES: ReadonlySet<number> = new Set([
  ...[1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013],
  ...Object.values(CLOSE).map(({ code }) => code),
]);

/** A close code as a label: a peer must not be able to make as many labels as it likes. */
export const closeLabel = (code: number): string => (CODES.has(code) ? String(code) : 'other');

/** Counts answered HTTP requests, and what they say about logins and refreshes. `door`: `public` or `internal`. */
export function httpObserver(metrics: Metrics, door: string) {
  return ({
    method,
    route,
    status,
    seconds,
  }: {
    method: string;
    route: string;
    status: number;
    seconds: number;
  }) => {
    metrics.httpDuration.labels(door, method, route, String(status)).observe(seconds);
    const outcome = status < 300 ? 'ok' : status === 429 ? 'limited' : status < 500 ? 'refused' : 'failed';
    if (route.endsWith('/user/login/verify')) metrics.logins.inc({ outcome });
    else if (route.endsWith('/user/login/refresh')) metrics.refreshes.inc({ outcome });
  };
}
