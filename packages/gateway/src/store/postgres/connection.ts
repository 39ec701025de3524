/** One connection to the server, which is never made again behind its user's back. */
import { connect, type Socket } from 'node:net';
import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import postgres from 'postgres';
import type { Result } from '../engine.ts';
import { StoreError } from '../store-error.ts';
import type { PostgresAddress } from './address.ts';

export interface ConnectionOptions {
  address: PostgresAddress;
  /** Milliseconds until connecting, with TLS and sign-in, has failed. */
  connectMs: number;
  /** Settings of the server for this connection. */
  settings: Readonly<Record<string, string>>;
}

/** Numbers that we store are whole and safe; the driver would give them as text. */
const int8 = { to: 20, from: [20], serialize: String, parse: Number };

type Place = PostgresAddress['hosts'][number];

/** The driver would have an IP address checked against a certificate as if it were called `localhost`. */
const tlsTo = (place: Place, tls: PostgresAddress['tls']) =>
  tls === false || 'path' in place
    ? false
    : {
        ...tls,
        checkServerIdentity: (_: string, certificate: PeerCertificate) =>
          tls.rejectUnauthorized ? checkServerIdentity(place.host, certificate) : undefined,
      };

const clientOn = (
  socket: Socket,
  place: Place,
  { address, settings }: ConnectionOptions,
  on: { warned(): void; closed(): void },
) => {
  let taken = false;
  return postgres({
    // The driver connects again by itself when a connection is lost. What should have been the rest of a
    // transaction would then run, and stay, outside any: so it is given this one socket and no other.
    socket: () => {
      if (taken) throw Object.assign(new Error('the connection was lost'), { code: 'CONNECTION_CLOSED' });
      taken = true;
      return socket;
    },
    // Not used, since the socket is there; but with several the driver would hide why one failed.
    host: 'localhost',
    ...(address.user === undefined ? {} : { user: address.user }),
    ...(address.password === undefined ? {} : { password: address.password }),
    ...(address.database === undefined ? {} : { database: address.database }),
    ssl: tlsTo(place, address.tls),
    max: 1,
    idle_timeout: 0,
    max_lifetime: null,
    connect_timeout: 0,
    fetch_types: false,
    types: { int8 },
    connection: { application_name: 'countersign', ...settings },
    onnotice: ({ severity }) => {
      if (severity === 'WARNING') on.warned();
    },
    // Over TLS the driver takes our listeners off the socket.
    onclose: on.closed,
  } as postgres.Options<{ int8: postgres.PostgresType<number> }>);
};

export class Connection {
  readonly #socket: Socket;
  readonly #sql: postgres.Sql;
  #alive = true;
  #warned = false;
  #onLost: () => void = () => undefined;
  readonly #pending = new Set<(error: Error) => void>();

  private constructor(socket: Socket, place: Place, options: ConnectionOptions) {
    this.#socket = socket;
    socket.on('error', () => undefined).once('close', () => this.#lose());
    this.#sql = clientOn(socket, place, options, {
      warned: () => {
        this.#warned = true;
      },
      closed: () => this.#lose(),
    }) as unknown as postgres.Sql;
  }

  /**
   * Connects to the first host that takes writes.
   *
   * @throws the error of the driver, the server or the network; StoreError `cannot-open` after `connectMs`
   */
  static async open(options: ConnectionOptions): Promise<Connection> {
    const until = performance.now() + options.connectMs;
    let last: unknown;
    for (const place of options.address.hosts) {
      try {
        return await Connection.#openAt(place, options, until);
      } catch (error) {
        last = error;
      }
    }
    throw last;
  }

  static async #openAt(place: Place, options: ConnectionOptions, until: number): Promise<Connection> {
    const socket = connect(place);
    // Where the driver looks for the name that the server's certificate must have.
    if ('host' in place) Object.assign(socket, { host: place.host });
    socket.setNoDelay(true).setKeepAlive(true, 5_000);
    let late = false;
    const timer = setTimeout(
      () => {
        late = true;
        socket.destroy();
      },
      Math.max(0, until - performance.now()),
    );
    try {
      await new Promise<void>((resolve, reject) => {
        socket
          .once('connect', resolve)
          .once('error', reject)
          .once('close', () => reject(lost()));
      });
      socket.removeAllListeners();
      const connection = new Connection(socket, place, options);
      const { rows } = await connection.run('show transaction_read_only', []);
      const [mode] = rows as { transaction_read_only: string }[];
      if (mode?.transaction_read_only === 'off') return connection;
      connection.destroy();
      throw new StoreError('cannot-open', 'the database takes no writes: it is a standby');
    } catch (error) {
      socket.destroy();
      throw late ? new StoreError('cannot-open', 'the database did not answer in time') : error;
    } finally {
      clearTimeout(timer);
    }
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** The driver, for a library that wants it. */
  get driver(): postgres.Sql {
    return this.#sql;
  }

  /** Whether the server has warned of something since this was last asked. */
  takeWarning(): boolean {
    const warned = this.#warned;
    this.#warned = false;
    return warned;
  }

  /** Calls back once when the connection has gone, whoever ended it. */
  onLost(callback: () => void): void {
    if (this.#alive) this.#onLost = callback;
    else callback();
  }

  /** Sends a statement; those sent in one turn of the event loop travel together and are run in their order. */
  async run(text: string, values: readonly (string | number | Uint8Array | null)[]): Promise<Result> {
    if (!this.#alive) throw lost();
    // The driver does not hear of a socket that closes before it has begun to listen.
    let fail: (error: Error) => void = () => undefined;
    const closed = new Promise<never>((_, reject) => {
      fail = reject;
    });
    this.#pending.add(fail);
    try {
      const sent = this.#sql.unsafe(text, [...values], { prepare: values.length > 0 });
      const answer = await Promise.race([sent, closed]);
      return { rows: [...answer], changes: answer.count ?? 0 };
    } finally {
      this.#pending.delete(fail);
    }
  }

  /** Whatever is under way fails now. */
  destroy(): void {
    this.#socket.destroy();
    this.#lose();
  }

  /** Says goodbye to the server. */
  async end(): Promise<void> {
    await this.#sql.end({ timeout: 1 });
    this.#socket.destroy();
  }

  #lose(): void {
    if (!this.#alive) return;
    this.#alive = false;
    // What the server said before it went says more, and is heard first.
    setImmediate(() => {
      for (const fail of this.#pending) fail(lost());
    });
    this.#onLost();
  }
}

const lost = () => Object.assign(new Error('the connection was lost'), { code: 'CONNECTION_CLOSED' });
