/** A real gateway inside the test's own process: real sockets on free ports, a real store in a folder of its own. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type Clock,
  type ConfigInput,
  createGateway,
  createLog,
  type Gateway,
  type GatewayUrls,
  type Logger,
} from '@countersign/gateway';
import { createHttpClient, type HttpClient } from './http-client.ts';
import { type LoggedIn, logIn } from './login.ts';
import { createLoadWallets, type LoadWallet } from './wallet.ts';

export interface TestGatewayOptions {
  /** Default: the machine's. */
  clock?: Clock;
  /** Default: one that writes nothing. */
  log?: Logger;
  /** Default: a new temporary folder, removed on close. A given one is kept. */
  dataDir?: string;
}

/** An answer of the internal listener. */
export interface InternalAnswer {
  status: number;
  // biome-ignore lint/suspicious/noExplicitAny: answers are looked into freely by tests
  body: any;
}

export interface TestGateway {
  readonly gateway: Gateway;
  readonly urls: GatewayUrls;
  readonly dataDir: string;
  /** Keep-alive client of the public listener. */
  readonly http: HttpClient;
  /** Publishes as the venue's backend does. @throws Error unless all were taken */
  publish(...publications: object[]): Promise<void>;
  /** A private event for a user: on the user's stream, or on those of the user's accounts. @throws Error unless taken */
  sendEvent(userId: number, event: object): Promise<void>;
  /** Asks the admin API; `path` as in `/users/1`. A body makes it a POST unless `method` says otherwise. */
  adminFetch(path: string, body?: object, method?: string): Promise<InternalAnswer>;
  /** Asks the backend API; `path` as in `/publish`. */
  backendFetch(path: string, body?: object, method?: string): Promise<InternalAnswer>;
  /** The n-th wallet, from 0: the same one in every run. */
  wallet(n: number): Promise<LoadWallet>;
  /** Logs the n-th wallet in over REST. */
  logIn(n: number): Promise<LoggedIn & { userId: number; sid: string }>;
  /** Idempotent. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts a gateway on port 0 of loopback. `config` overrides the defaults; ports and data folder are set here. */
export async function startTestGateway(
  config: ConfigInput = {},
  options: TestGatewayOptions = {},
): Promise<TestGateway> {
  const dataDir = options.dataDir ?? mkdtempSync(join(tmpdir(), 'countersign-test-'));
  const gateway = await createGateway(
    { ...config, port: 0, internalPort: 0, dataDir },
    {
      log: options.log ?? createLog({ level: 'silent' }),
      ...(options.clock === undefined ? {} : { clock: options.clock }),
    },
  );
  const urls = await gateway.start();
  const http = createHttpClient(urls.rest, 16);
  const wallets: LoadWallet[] = [];

  async function internal(
    area: 'admin' | 'backend',
    path: string,
    body?: object,
    method = body === undefined ? 'GET' : 'POST',
  ): Promise<InternalAnswer> {
    const token = readFileSync(gateway.credentials[area].tokenFile, 'utf8').trim();
    const answer = await fetch(`${urls.internal}/${area}/v1${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: answer.status, body: await answer.json() };
  }

  function taken({ status, body }: InternalAnswer): void {
    if (status !== 200) throw new Error(`the backend API answered ${status}: ${JSON.stringify(body)}`);
  }

  async function wallet(n: number): Promise<LoadWallet> {
    if (wallets.length <= n) wallets.splice(0, wallets.length, ...(await createLoadWallets(n + 1)));
    return wallets[n] as LoadWallet;
  }

  let closing: Promise<void> | null = null;
  function close(): Promise<void> {
    closing ??= (async () => {
      http.close();
      await gateway.close();
      if (options.dataDir === undefined) rmSync(dataDir, { recursive: true, force: true });
    })();
    return closing;
  }

  return {
    gateway,
    urls,
    dataDir,
    http,
    publish: async (...publications) => taken(await internal('backend', '/publish', { publications })),
    sendEvent: async (userId, event) => taken(await internal('backend', `/users/${userId}/events`, event)),
    adminFetch: (path, body, method) => internal('admin', path, body, method),
    backendFetch: (path, body, method) => internal('backend', path, body, method),
    wallet,
    async logIn(n) {
      const done = await logIn(http, await wallet(n));
      const claims = JSON.parse(Buffer.from(done.accessToken.split('.')[1] ?? '', 'base64url').toString());
      return { ...done, userId: Number(claims.sub), sid: String(claims.sid) };
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
