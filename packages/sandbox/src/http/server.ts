/** The venue's own HTTP service: what the gateway forwards queries and REST calls to. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ERRORS, errorBody, Refusal } from '@countersign/protocol';
import type { Log } from '../log.ts';
import type { Json } from '../publication.ts';
import { type Identity, readIdentity } from './identity.ts';

export interface Request {
  method: string;
  /** Without a leading `/api` and without the query. */
  path: string;
  query: URLSearchParams;
  /** JSON, or a form as an object of strings; `{}` without a body. */
  body: { readonly [name: string]: unknown };
  identity: Identity | null;
}

export interface Route {
  method: 'GET' | 'POST';
  /** `:name` matches one segment. */
  path: string;
  /** Answers 401 without an identity. */
  private?: boolean;
  answer(request: Request, parameters: { readonly [name: string]: string }): Json;
}

export interface HttpService {
  readonly url: string;
  close(): Promise<void>;
}

const BODY_MAX = 256 * 1024;

export async function listen(
  routes: readonly Route[],
  { host, port }: { host: string; port: number },
  log: Log,
): Promise<HttpService> {
  const table = routes.map((route) => ({ route, segments: route.path.split('/') }));
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 10_000 }, (incoming, outgoing) => {
    respond(table, incoming, outgoing, log).catch((error: unknown) => {
      log.warn({ why: error instanceof Error ? error.message : 'unknown' }, 'an answer failed');
      outgoing.destroy();
    });
  });
  server.maxConnections = 1000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  const address = server.address() as AddressInfo;
  const shown = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  let closing: Promise<void> | null = null;
  return {
    url: `http://${shown}:${address.port}`,
    close() {
      closing ??= new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
      return closing;
    },
  };
}

interface Entry {
  route: Route;
  segments: string[];
}

async function respond(
  table: Entry[],
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  log: Log,
): Promise<void> {
  let status = 200;
  let body: Json;
  try {
    body = await handle(table, incoming);
  } catch (error) {
    const refusal = error instanceof Refusal ? error : null;
    if (refusal === null) {
      log.warn(
        { why: error instanceof Error ? (error.stack ?? error.message) : 'unknown' },
        'a request failed',
      );
    }
    const code = refusal?.code ?? 'internal';
    status = ERRORS[code].status;
    body = { ...errorBody(code, refusal?.message) };
  }
  const text = JSON.stringify(body);
  outgoing.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
  });
  outgoing.end(text);
}

async function handle(table: Entry[], incoming: IncomingMessage): Promise<Json> {
  const url = new URL(incoming.url ?? '/', 'http://venue');
  const path = url.pathname.replace(/^\/api(?=\/v1\/)/, '');
  const method = incoming.method === 'HEAD' ? 'GET' : (incoming.method ?? 'GET');
  const segments = path.split('/');
  const found = table.filter((entry) => matches(entry, segments));
  if (found.length === 0) throw new Refusal('not_found', 'no such route');
  const entry = found.find(({ route }) => route.method === method);
  if (entry === undefined) throw new Refusal('method_not_allowed', 'wrong method');

  const identity = readIdentity(incoming.headers['x-countersign-identity']);
  if (entry.route.private === true && identity === null) throw new Refusal('unauthorized', 'no identity');
  const body = method === 'POST' ? await readBody(incoming) : {};
  const request: Request = { method, path, query: url.searchParams, body, identity };
  return entry.route.answer(request, parametersOf(entry, segments));
}

const matches = (entry: Entry, segments: string[]): boolean =>
  entry.segments.length === segments.length &&
  entry.segments.every((segment, i) =>
    segment.startsWith(':') ? segments[i] !== '' : segment === segments[i],
  );

function parametersOf(entry: Entry, segments: string[]): { [name: string]: string } {
  const parameters: { [name: string]: string } = {};
  entry.segments.forEach((segment, i) => {
    if (!segment.startsWith(':')) return;
    try {
      parameters[segment.slice(1)] = decodeURIComponent(segments[i]!);
    } catch {
      throw new Refusal('invalid_request', 'percent-encoding');
    }
  });
  return parameters;
}

async function readBody(incoming: IncomingMessage): Promise<{ readonly [name: string]: unknown }> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > BODY_MAX) throw new Refusal('too_large', 'body');
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString('utf8');
  if (text.trim() === '') return {};
  if (!/^\s*[{[]/.test(text)) return Object.fromEntries(new URLSearchParams(text));
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Refusal('invalid_request', 'body is not JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Refusal('invalid_request', 'body is not an object');
  }
  return value as { [name: string]: unknown };
}
