/**
 * Everything that is counted as it happens, in one place, under the names that dashboards use; gauges.ts has what
 * is looked up instead. Labels are small closed sets: never a user, a token or a URL.
 */
import { ERRORS, type ErrorCode } from '@countersign/protocol';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

export type Metrics = ReturnType<typeof createMetrics>;

const FAST = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** @param defaults also measure the process itself (CPU, memory, event-loop lag). One registry per process may. */
export function createMetrics({ defaults = true }: { defaults?: boolean } = {}) {
  const registry = new Registry();
  const registers = [registry];
  const name = (short: string) => `countersign_${short}`;
  const counter = <L extends string>(short: string, help: string, labelNames: readonly L[] = []) =>
    new Counter({ name: name(short), help, labelNames, registers });
  const seconds = <L extends string>(short: string, help: string, labelNames: readonly L[] = []) =>
    new Histogram({ name: name(short), help, labelNames, registers, buckets: FAST });

  if (defaults) collectDefaultMetrics({ register: registry, prefix: 'countersign_' });

  return {
    registry,

    httpDuration: seconds('http_request_duration_seconds', 'HTTP requests by route pattern', [
      'door',
      'method',
      'route',
      'status',
    ]),
    logins: counter('logins_total', 'Wallet logins that were completed or refused', ['result']),
    refreshes: counter('refreshes_total', 'Refreshes of a session', ['result']),
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
    rateLimited: counter('rate_limited_total', 'Requests refused by a limit', ['kind', 'tier']),

    connectionsAccepted: counter('connections_accepted_total', 'Connections opened', ['door']),
    connectionsRefused: counter('connections_refused_total', 'Connections refused before they opened', [
      'door',
      'code',
    ]),
    disconnects: counter('client_disconnects_total', 'Connections closed, by close code and side', [
      'code',
      'by',
    ]),
    tokenExpiries: counter('token_expiries_total', 'Connections whose proof ran out while they were open'),
    commands: seconds('command_duration_seconds', 'Commands of connections', [
      'dialect',
      'command',
      'result',
    ]),
    recoveries: counter('recoveries_total', 'Subscriptions that named a position', ['recovered']),

    publishRefused: counter('publish_refused_total', 'Publications of the venue that were not valid'),
    broadcastDuration: seconds(
      'broadcast_duration_seconds',
      'From receiving a publication to all outboxes having it',
    ),
    publishLag: seconds('pub_sub_lag_seconds', 'From publish to receipt on this node'),
    bytesSent: counter('sent_bytes_total', 'Bytes written to sockets', ['door']),
    framesSent: counter('sent_frames_total', 'Frames written to sockets', ['door']),

    venueCircuit: new Gauge({
      name: name('venue_circuit_state'),
      help: 'Services of the venue: 0 in use, 1 being tried, 2 left alone',
      labelNames: ['service'],
      registers,
    }),
    venueDuration: seconds('venue_request_duration_seconds', 'Calls to the venue', ['kind', 'outcome']),
    storeErrors: counter('store_errors_total', 'Calls to the store that failed'),
    brokerErrors: counter('broker_errors_total', 'Calls to the broker that failed'),
  };
}

/** Counts the refusals that mean that a credential was not good. `door`: `public` or `internal`. */
export function refusalCounter(metrics: Metrics, door: string) {
  return (code: ErrorCode): void => {
    if (ERRORS[code].remedy === 'sign-in') metrics.failedAuths.inc({ door, code });
  };
}

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
    metrics.httpDuration.observe({ door, method, route, status: String(status) }, seconds);
    const result = status < 300 ? 'ok' : status === 429 ? 'limited' : status < 500 ? 'refused' : 'failed';
    if (route.endsWith('/user/login/verify')) metrics.logins.inc({ result });
    else if (route.endsWith('/user/login/refresh')) metrics.refreshes.inc({ result });
  };
}
