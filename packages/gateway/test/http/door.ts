/** A door on a real socket over tiny stand-ins for the services, for tests of the routing itself. */
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { Refusal } from '@countersign/protocol';
import { pino } from 'pino';
import type { Charged } from '../../src/access/budget.ts';
import { createRouteTable } from '../../src/backend/routes.ts';
import { createHttpDoor, type HttpDoor, type HttpDoorOptions } from '../../src/doors/http/server.ts';
import { systemClock } from '../../src/operations/clock.ts';
import { type ConfigInput, parseConfig } from '../../src/operations/config.ts';
import { type Authentication, PERMISSIONS } from '../../src/session/principal.ts';
import type { SignedIn } from '../../src/session/sessions.ts';
import type { Session, User } from '../../src/store/store.ts';

export const ADDRESS = '0x2c7536e3605d9c16a7a3d7b1898e529396a65c23';
export const GOOD_ACCESS = 'good.access.token';
export const GOOD_REFRESH = 'good.refresh.token';

export const USER: User = {
  userId: 78,
  address: ADDRESS,
  displayName: 'ada',
  status: 1,
  userType: 1,
  userClass: 1,
  roles: ['ROLE_USER'],
  permissions: ['market_data', 'account_updates', 'trading'],
  tier: 'free',
  payoutAddress: null,
  createdAt: 1_698_000_000_000,
  accounts: [
    { accountId: 242, userId: 78, type: 1, name: 'Current', status: 1, updateDate: 1_698_127_521_000 },
    { accountId: 243, userId: 78, type: 2, name: 'Trading', status: 1, updateDate: 1_698_127_521_000 },
  ],
};

export const SESSION: Session = {
  sid: 'sid-1',
  userId: 78,
  chainId: 1,
  wallet: 'eoa',
  rotation: 'adaptive',
  createdAt: 1_698_000_000_000,
  expiresAt: 1_698_604_800_000,
  revokedAt: null,
  revokeReason: null,
  lastRefreshAt: null,
  source: '127.0.0.1',
  userAgent: null,
};

export const signedIn = (now = Math.floor(Date.now() / 1000)): SignedIn => ({
  user: USER,
  session: SESSION,
  access: {
    token: GOOD_ACCESS,
    expiresAt: now + 3600,
    header: { alg: 'ES256', typ: 'JWT', kid: 'k1' },
    payload: {
      user: { userId: 78, address: ADDRESS, roles: ['ROLE_USER'] },
      access_type: 'access_token',
      iat: now,
      exp: now + 3600,
      iss: 'countersign',
      aud: 'countersign',
      sub: '78',
      sid: 'sid-1',
      jti: 'jti-1',
    },
  },
  refresh: { token: GOOD_REFRESH, expiresAt: now + 604_800 },
});

export const authentication = (overrides: Partial<Authentication['principal']> = {}): Authentication => ({
  principal: {
    userId: 78,
    address: ADDRESS,
    displayName: 'ada',
    roles: ['ROLE_USER'],
    permissions: new Set(PERMISSIONS),
    tier: 'free',
    accounts: USER.accounts,
    credential: { kind: 'session', sid: 'sid-1' },
    ...overrides,
  },
  expiresAt: null,
});

/** What a budget answers that is used up. */
export const spent = (retryAfter: number): Charged => ({
  admitted: false,
  by: 'limit',
  limit: 30,
  remaining: 0,
  reset: 59.2,
  retryAfter,
  reserve: 0,
});

/** What the stand-ins were called with, in order. */
/** What a venue would have sent for this. */
export const answered = ({ status, body }: { status: number; body: unknown }) => ({
  status,
  body,
  text: body === null ? '' : JSON.stringify(body),
});

export type Calls = [name: string, ...args: unknown[]][];

export interface OpenDoor {
  door: HttpDoor;
  port: number;
  calls: Calls;
  ask(options: AskOptions): Promise<Answer>;
  close(): Promise<void>;
}

export interface AskOptions {
  method?: string;
  path: string;
  headers?: Record<string, string | string[]>;
  body?: string | Buffer;
}

export interface Answer {
  status: number;
  headers: IncomingMessage['headers'];
  rawHeaders: string[];
  text: string;
  // biome-ignore lint/suspicious/noExplicitAny: bodies of answers are looked into freely by tests
  json: any;
}

export async function openDoor(
  overrides: Partial<Omit<HttpDoorOptions, 'config'>> & {
    config?: ConfigInput;
    /** Told of the door before it listens. */
    made?: (door: HttpDoor) => void;
  } = {},
): Promise<OpenDoor> {
  const calls: Calls = [];
  const { config: input, made, ...services } = overrides;
  const door = createHttpDoor({
    walletLogin: {
      begin: async (request) => {
        calls.push(['begin', request]);
        return { status: 'verify', eip712Message: '{"primaryType":"data"}', nonceHash: '52a90c73' };
      },
      complete: async (request) => {
        calls.push(['complete', request]);
        if (request.signature === 'bad') throw new Refusal('login_refused', 'signature');
        return signedIn();
      },
    },
    sessions: {
      refresh: async (candidates, context) => {
        calls.push(['refresh', candidates, context]);
        if (!candidates.includes(GOOD_REFRESH)) throw new Refusal('refresh_refused', 'no candidate');
        return signedIn();
      },
      logout: async (sid) => {
        calls.push(['logout', sid]);
        return true;
      },
      sidOfRefreshToken: (token) => (token === GOOD_REFRESH ? 'sid-of-refresh' : null),
      logoutAll: async (userId, except) => {
        calls.push(['logoutAll', userId, except]);
        return 1;
      },
      list: async () => [SESSION],
      revoke: async (userId, sid) => {
        calls.push(['revoke', userId, sid]);
        return sid === 'sid-1';
      },
    },
    profiles: {
      find: async () => USER,
      updateProfile: async (_userId, profile) => ({ ...USER, ...profile }),
    },
    authenticator: {
      bearer: (token, context) => {
        calls.push(['bearer', token, context]);
        if (token !== GOOD_ACCESS) throw new Refusal('unauthorized', 'unknown');
        return authentication();
      },
    },
    signingKeys: { jwks: () => ({ keys: [{ kty: 'EC', crv: 'P-256' }] }) },
    limits: { charge: () => null, foresee: () => null },
    venue: null,
    routes: createRouteTable(parseConfig(input ?? {}).routes),
    clock: systemClock,
    log: pino({ level: 'silent' }),
    ...services,
    config: parseConfig({ port: 0, ...input }),
  });
  made?.(door);
  const { port } = await door.listen();
  return {
    door,
    port,
    calls,
    ask: (options) => ask(port, options),
    close: () => door.close(),
  };
}

export function ask(
  port: number,
  { method = 'POST', path, headers = {}, body }: AskOptions,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing: ClientRequest = httpRequest(
      { host: '127.0.0.1', port, method, path, headers, agent: false },
      (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
        incoming.on('end', () => {
          const text = Buffer.concat(chunks).toString();
          let json: unknown;
          try {
            json = JSON.parse(text);
          } catch {
            json = undefined;
          }
          resolve({
            status: incoming.statusCode ?? 0,
            headers: incoming.headers,
            rawHeaders: incoming.rawHeaders,
            text,
            json,
          });
        });
        incoming.on('error', reject);
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}
