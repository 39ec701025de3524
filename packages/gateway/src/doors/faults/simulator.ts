/**
 * Faults on purpose: what a developer needs to see a client survive them. Only where the gateway runs as a
 * sandbox; everywhere else a connection that asks for them is refused.
 */
import { CLOSE, type CloseCode, ERRORS, Refusal } from '@countersign/protocol';
import type { Connection } from '../../connection/connection.ts';
import type { ConnectionServices, Proof } from '../../connection/services.ts';
import type { Transport } from '../../connection/transport.ts';
import type { Command, Dialect } from '../../dialects/dialect.ts';
import type { Clock } from '../../operations/clock.ts';
import { type Config, ConfigError } from '../../operations/config.ts';
import { createDice, type Dice } from './dice.ts';
import { createFaultyTransport } from './faulty-transport.ts';
import { type FaultSpec, FaultSpecError, parseFaults } from './spec.ts';

/** What a connection is made of. */
export interface Parts {
  transport: Transport;
  services: ConnectionServices;
  proof: Proof | null;
}

/** The faults of one connection. */
export interface Faults {
  /** Puts the faults between a connection and what it is made of. Once. */
  into(parts: Parts): Parts;
  /** Starts the clock of those that end the connection. Once, after `into`. */
  begin(connection: Pick<Connection, 'peer' | 'closed' | 'close' | 'end'>): void;
}

export interface FaultSimulator {
  /**
   * The faults that a new connection shall have: those that its URL names, else those for all; null for none.
   *
   * @param url of the upgrade or the handshake, with its query: `?faults=drop:0.01&seed=7`
   * @throws Refusal `forbidden` if the gateway is no sandbox, `invalid_request` naming the part that is wrong
   */
  of(url: string): Faults | null;
}

export interface FaultSimulatorOptions {
  config: Pick<Config, 'sandbox' | 'websocket' | 'tokens'>;
  clock: Clock;
  /** Makes a seed for whoever gave none; the log tells which it was. */
  randomSeed: () => string;
  log: { info(entry: object, message: string): void };
}

const SEED = /^[A-Za-z0-9._-]{1,64}$/;

/** @throws ConfigError about `sandbox.everywhere` or `sandbox.seed` */
export function createFaultSimulator(options: FaultSimulatorOptions): FaultSimulator {
  const { sandbox } = options.config;
  const forAll = specOf(sandbox.everywhere, (problem) => new ConfigError(`sandbox.everywhere: ${problem}`));
  if (forAll !== null && !sandbox.faults) {
    throw new ConfigError('sandbox.everywhere: faults need sandbox.faults to be true');
  }
  if (sandbox.seed !== '' && !SEED.test(sandbox.seed)) {
    throw new ConfigError('sandbox.seed: up to 64 letters, digits, ".", "_" and "-"');
  }

  return {
    of(url) {
      const mark = url.indexOf('?');
      const query = new URLSearchParams(mark < 0 ? '' : url.slice(mark + 1));
      const asked = query.get('faults');
      if (asked !== null && !sandbox.faults) {
        throw new Refusal('forbidden', 'faults outside a sandbox', {
          message: 'faults: this gateway is no sandbox and makes no faults.',
        });
      }
      const spec = asked === null ? forAll : specOf(asked, refused);
      if (spec === null) return null;
      const seed = query.get('seed') ?? (sandbox.seed || options.randomSeed());
      if (!SEED.test(seed)) throw refused('seed: up to 64 letters, digits, ".", "_" and "-"');
      return createFaults(spec, seed, asked ?? sandbox.everywhere, options);
    },
  };
}

const refused = (problem: string) =>
  new Refusal('invalid_request', 'faults', { message: `faults: ${problem}.` });

function specOf(text: string, wrong: (problem: string) => Error): FaultSpec | null {
  try {
    return parseFaults(text);
  } catch (error) {
    throw error instanceof FaultSpecError ? wrong(error.message) : error;
  }
}

function createFaults(spec: FaultSpec, seed: string, words: string, options: FaultSimulatorOptions): Faults {
  const { clock, config, log } = options;
  const { softBacklog: soft, hardBacklog: hard } = config.websocket;
  const cancels: (() => void)[] = [];
  // A proof counts for its leeway longer than its token says (`Standing`).
  const expiresAt =
    spec.expire === undefined ? null : clock.now() + (spec.expire + config.tokens.leeway) * 1000;
  const over = () => expiresAt !== null && clock.now() >= expiresAt - config.tokens.leeway * 1000;

  const shortened = (proof: Proof): Proof =>
    // A proof that never expires is one that its dialect does not hold against a connection.
    expiresAt === null || proof.expiresAt === null || over()
      ? proof
      : { ...proof, expiresAt: Math.min(proof.expiresAt, expiresAt) };

  return {
    into({ transport: inner, services, proof }) {
      const transport = createFaultyTransport({ inner, spec, seed, clock, limits: { soft, hard } });
      cancels.push(transport.release);
      const { rateLimited } = spec;
      const dice = createDice(seed, '429');
      const [first, ...others] = services.dialects;
      const limited = (dialect: Dialect) =>
        rateLimited === undefined ? dialect : limitedDialect(dialect, rateLimited, dice);
      return {
        transport,
        proof: proof === null ? null : shortened(proof),
        services: {
          ...services,
          dialects: [limited(first), ...others.map(limited)],
          authenticate(token, peer) {
            const given = services.authenticate(token, peer);
            return given instanceof Promise ? given.then(shortened) : shortened(given);
          },
          identityChanged(connection) {
            services.identityChanged(connection);
            if (!connection.closed) return;
            // Not before the close itself has let go what is only late.
            queueMicrotask(() => {
              for (const cancel of cancels.splice(0)) cancel();
            });
          },
        },
      };
    },

    begin(connection) {
      log.info(
        { event: 'faults', connectionId: connection.peer.id, faults: words, seed },
        'faults for a connection',
      );
      if (connection.closed) return;
      const { close, revoke } = spec;
      if (revoke !== undefined) cancels.push(clock.after(revoke * 1000, () => connection.end()));
      if (close !== undefined) {
        const { code, at } = close;
        // A Socket.IO client is not shown the code, only whether it may come back.
        const then = Object.values(CLOSE).find((known) => known.code === code)?.then ?? 'reconnect';
        const fault: CloseCode = { code, reason: 'fault', then };
        cancels.push(clock.after(at * 1000, () => connection.close(fault)));
      }
    },
  };
}

/** A dialect in which some requests turn out to be too many. */
function limitedDialect(dialect: Dialect, chance: number, dice: Dice): Dialect {
  return {
    ...dialect,
    open(connectionId) {
      const conversation = dialect.open(connectionId);
      const parse = conversation.parse.bind(conversation);
      conversation.parse = (text) => parse(text).map((command) => limited(command, chance, dice));
      return conversation;
    },
  };
}

function limited(command: Command, chance: number, dice: Dice): Command {
  if (command.kind === 'invalid' || command.kind === 'ping' || !dice.chance(chance)) return command;
  const { phrase } = command;
  return { kind: 'invalid', code: 'rate_limited', message: ERRORS.rate_limited.message, phrase };
}
