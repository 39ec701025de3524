/** What a connection needs of the rest of the gateway, and what it knows of its peer. */
import type { ErrorCode, Refusal } from '@countersign/protocol';
import type { Command, Dialect } from '../dialects/dialect.ts';
import type { Clock } from '../operations/clock.ts';
import type { Authentication, Credential, Permission, Principal } from '../session/principal.ts';
import type { Hub } from '../streams/hub.ts';
import type { JsonObject } from '../streams/publication.ts';
import type { Connection } from './connection.ts';
import type { MessageRates } from './message-rates.ts';
import type { MeterServices } from './meter.ts';
import type { ProbationLimits } from './probation.ts';

export interface Peer {
  /** Shown to the peer as `connId` and written to the log. */
  readonly id: string;
  readonly door: 'websocket' | 'socketio';
  /** The exact address. */
  readonly address: string;
  /** The address as limits count it. */
  readonly source: string;
  /** Wall-clock milliseconds. */
  readonly since: number;
  /** The peer asked to be shown its budget in every answer. */
  readonly showsLimits?: boolean;
}

/** An authentication that knows how old it is. */
export interface Proof extends Authentication {
  /** How many changes of access this node had applied when the check began. */
  readonly asOf: number;
}

export interface ConnectionServices {
  readonly hub: Hub;
  /** By which proofs end: not set back (`createSteadyClock`). */
  readonly clock: Clock;
  /** The first one answers a peer whose dialect is not known yet. */
  readonly dialects: readonly [Dialect, ...Dialect[]];
  readonly limits: {
    messagesPerSecond: number;
    /** Messages at once, and commands that may wait behind one that is being carried out. */
    messageBurst: number;
    subscriptionsPerConnection: number;
    /** The same while nobody has signed in. */
    anonymousSubscriptions: number;
    /** What a new connection may send until it has signed in or asked for a public channel. */
    probation: ProbationLimits;
    /** Milliseconds that a private subscription waits for a login. */
    privateHold: number;
    /** Milliseconds before the end of a proof at which its token expires and the peer is told. */
    leeway: number;
    /** Queries of one connection that may be under way at once. */
    queriesInFlight: number;
  };
  /** How often those who have signed in may speak. */
  readonly messageRates: MessageRates;
  /** Who pays for commands, and how much. */
  readonly meter: MeterServices;
  /** Carries out a command by `work`; for whoever counts or traces. Absent: nobody does. */
  around?(
    command: Command,
    peer: Peer,
    dialect: string,
    work: () => Promise<void> | undefined,
  ): Promise<void> | undefined;
  /** How many more connections and streams a user may have, over all doors. */
  roomFor(who: Principal): { connections: number; subscriptions: number };
  /** Verifies a token that came in a message. @throws Refusal */
  authenticate(token: string, peer: Peer): Proof | Promise<Proof>;
  /** How many changes of access this node has applied: what a proof from before them says may not hold any more. */
  changesApplied(): number;
  /** False while this node cannot know what was revoked: private work is refused, and private streams rest (R47). */
  accessConfirmed(): boolean;
  /** Who a credential stands for now; null when it gives no access any more. Rejects if that cannot be found out. */
  principal(userId: number, credential: Credential, peer: Peer): Promise<Principal | null>;
  /** Answers a query from the venue. @throws Refusal */
  query(name: string, args: JsonObject, who: Principal | null): Promise<JsonObject>;
  /** The permission that a request needs, null if it needs none; undefined if there is no such request. */
  permissionFor(request: string): Permission | null | undefined;
  /** Has the venue carry out a request. @throws Refusal */
  request(name: string, args: JsonObject, who: Principal | null): Promise<JsonObject>;
  /** True if a stream of this public channel may be joined: the venue serves that product or market. */
  knows(channel: string, key: string): boolean;
  /** Told of every change of identity, so that a revocation finds its connections. */
  identityChanged(connection: Connection): void;
  /** Told of every credential that was refused, with the reason that the peer is not told. */
  refused(connection: Connection, refusal: Refusal): void;
  /** Told of everything that a peer was refused, as it was told. */
  commandRefused(connection: Connection, code: ErrorCode): void;
  /** A fault of ours; `connectionId` where it is about one. */
  fault(event: string, error: unknown, connectionId?: string): void;
}
