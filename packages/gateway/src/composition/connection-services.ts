/** What a connection is given of the rest of the gateway, whichever door it came through. */
import { type ErrorCode, Refusal } from '@countersign/protocol';
import { MessageLimit } from '../connection/message-limit.ts';
import { MessageRates } from '../connection/message-rates.ts';
import type { ConnectionServices } from '../connection/services.ts';
import type { Metrics } from '../operations/metrics.ts';
import type { Core } from './core.ts';
import type { Venue } from './venue.ts';

const QUERIES_IN_FLIGHT = 32;

export function createConnectionServices(core: Core, { routes, forwarder }: Venue): ConnectionServices {
  const { config, clock, log, hub, dialects, channels, registry, limits, metrics, identity, tracing } = core;
  const { changes, authenticator } = identity;
  const productChannels = [...channels.values()].filter(({ keyedBy }) => keyedBy === 'product');
  const { messagesPerSecond, messageBurst, subscriptionsPerConnection, anonymousSubscriptions } =
    config.websocket;
  const { beforeLogin, messageLimit, privateHold } = config.websocket;

  const counted = commandCounter(metrics);

  return {
    around: (command, peer, dialect, work) => {
      counted(dialect, command.kind);
      if (tracing === null) return work();
      const about = {
        'countersign.connection_id': peer.id,
        'countersign.door': peer.door,
        'countersign.dialect': dialect,
      };
      return tracing.span(`command ${command.kind}`, about, work, { kind: 'server', root: true });
    },
    hub,
    clock: core.proofClock,
    dialects,
    limits: {
      messagesPerSecond,
      messageBurst,
      subscriptionsPerConnection,
      anonymousSubscriptions,
      // A login, or the first subscribe, may be as large as any message, and others may wait for it.
      probation: { ...beforeLogin, whole: beforeLogin.bytes + messageLimit },
      privateHold,
      leeway: config.tokens.leeway * 1000,
      queriesInFlight: QUERIES_IN_FLIGHT,
    },
    authenticate(token, { address, source }) {
      const asOf = changes.position();
      const proof = authenticator.bearer(token, { door: 'websocket', address, source });
      return proof instanceof Promise ? proof.then((later) => ({ ...later, asOf })) : { ...proof, asOf };
    },
    messageRates: new MessageRates((who) => {
      const { name, messages } = limits.tierOf(who);
      // As budgets are: a key or token with a tier of its own has a rate of its own.
      return config.limits.enabled && messages !== null
        ? { ...messages, payer: `${who.userId}/${name}` }
        : null;
    }, clock),
    meter: {
      limits,
      weights: config.limits.weights,
      costOf: (command) =>
        (command.kind === 'query' ? routes.query(command.query) : routes.event(command.request)) ?? {
          weight: 1,
        },
    },
    roomFor: (who) => {
      const { connections, subscriptions } = limits.tierOf(who);
      const held = registry.heldBy(who.userId);
      const elsewhere = core.shared.elsewhere(who.userId);
      return {
        connections: connections - held.connections - elsewhere.connections,
        subscriptions: subscriptions - held.subscriptions - elsewhere.subscriptions,
      };
    },
    changesApplied: () => changes.position(),
    accessConfirmed: () => changes.fresh(),
    principal: core.principalOf,
    // Async, because without a venue both must reject, not throw.
    async query(name, args, who) {
      if (forwarder === null) throw new Refusal('unavailable', 'no venue is configured');
      return forwarder.query(name, args, who);
    },
    permissionFor: (request) => routes.requests.get(request),
    async request(name, args, who) {
      if (forwarder === null || who === null) throw new Refusal('unavailable', 'no venue is configured');
      return forwarder.event(name, args, who);
    },
    knows: (channel, key) =>
      channels.get(channel)?.keyedBy !== 'product' || productChannels.some(({ name }) => hub.has(name, key)),
    identityChanged: (connection) => registry.identityChanged(connection),
    refused: ({ peer }, { code, reason }) => {
      metrics.failedAuths.inc({ door: peer.door, code });
      log.info(
        { event: 'connection.refused', connectionId: peer.id, source: peer.source, code, reason },
        'refused',
      );
    },
    commandRefused: refusalLog(core),
    fault: core.fault,
  };
}

/** What says something about a peer; a slip of the pen, and what is reported as a fault, does not. */
const TELLING: ReadonlySet<ErrorCode> = new Set([
  'forbidden',
  'rate_limited',
  'too_many_subscriptions',
  'too_many_connections',
]);

/** Lines per second for a whole node: a flood of refusals is not to become a flood of lines. */
const LINES = { perSecond: 20, burst: 100 };

function refusalLog({ clock, log }: Core): ConnectionServices['commandRefused'] {
  const lines = new MessageLimit(LINES.perSecond, LINES.burst, clock.monotonic());
  let unsaid = 0;
  return ({ peer, dialect, userId }, code) => {
    if (!TELLING.has(code)) return;
    if (!lines.pass(clock.monotonic())) {
      unsaid += 1;
      return;
    }
    const { id: connectionId, source } = peer;
    log.info(
      { event: 'command.refused', connectionId, dialect, userId, source, code, dropped: unsaid },
      'refused',
    );
    unsaid = 0;
  };
}

/** Counts without looking labels up each time: what there is to count is a short list. */
function commandCounter({ commands }: Metrics): (dialect: string, command: string) => void {
  const children = new Map<string, { inc(): void }>();
  return (dialect, command) => {
    const name = `${dialect} ${command}`;
    let child = children.get(name);
    if (child === undefined) {
      child = commands.labels({ dialect, command });
      children.set(name, child);
    }
    child.inc();
  };
}
