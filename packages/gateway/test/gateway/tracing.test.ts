/** Traces, taken by the SDK's own provider into memory, through the doors, the store, the venue and the hub. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { startTestGateway, type TestGateway } from '@countersign/testkit';
import {
  type Context,
  type ContextManager,
  context,
  propagation,
  ROOT_CONTEXT,
  type TextMapPropagator,
  trace,
} from '@opentelemetry/api';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openTracing } from '../../src/operations/tracing.ts';
import { closeAll, connectTo } from './socket.ts';

/** What an SDK for Node brings along. */
class AsyncContext implements ContextManager {
  readonly #storage = new AsyncLocalStorage<Context>();
  active = () => this.#storage.getStore() ?? ROOT_CONTEXT;
  with<A extends unknown[], F extends (...args: A) => ReturnType<F>>(
    now: Context,
    work: F,
    thisArg?: ThisParameterType<F>,
    ...args: A
  ): ReturnType<F> {
    return this.#storage.run(now, () => work.call(thisArg, ...args));
  }
  bind = <T>(_: Context, target: T): T => target;
  enable = () => this;
  disable = () => this;
}

/** W3C Trace Context, section 3.2: as much of it as the tests need. */
const traceparent: TextMapPropagator = {
  inject(within, carrier, setter) {
    const span = trace.getSpanContext(within);
    if (span !== undefined) setter.set(carrier, 'traceparent', `00-${span.traceId}-${span.spanId}-01`);
  },
  extract(within, carrier, getter) {
    const [, traceId = '', spanId = ''] =
      /^00-([0-9a-f]{32})-([0-9a-f]{16})-01$/.exec(String(getter.get(carrier, 'traceparent'))) ?? [];
    return traceId === ''
      ? within
      : trace.setSpanContext(within, { traceId, spanId, traceFlags: 1, isRemote: true });
  },
  fields: () => ['traceparent'],
};

const exporter = new InMemorySpanExporter();
let open: TestGateway;
let venue: Server;
let asked: IncomingHttpHeaders[] = [];

const spans = (name: string | RegExp): ReadableSpan[] =>
  exporter
    .getFinishedSpans()
    .filter((span) => (typeof name === 'string' ? span.name === name : name.test(span.name)));
const idOf = (span: ReadableSpan | undefined) => span?.spanContext().spanId;
const traceOf = (span: ReadableSpan | undefined) => span?.spanContext().traceId;

beforeAll(async () => {
  // First without an SDK: then there is nothing.
  expect(openTracing()).toBeNull();
  context.setGlobalContextManager(new AsyncContext());
  propagation.setGlobalPropagator(traceparent);
  trace.setGlobalTracerProvider(
    new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }),
  );
  venue = createServer((request, response) => {
    asked.push(request.headers);
    request
      .resume()
      .on('end', () => response.setHeader('content-type', 'application/json').end('{"data":[]}'));
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => venue.once('listening', resolve));
  const url = `http://127.0.0.1:${(venue.address() as AddressInfo).port}`;
  open = await startTestGateway({ venue: { url } });
});
afterAll(async () => {
  await open.close();
  venue.close();
  trace.disable();
  context.disable();
  propagation.disable();
});
beforeEach(() => {
  exporter.reset();
  asked = [];
});

describe('traces', () => {
  it('show the stages of a login inside its request', async () => {
    await open.logIn(0);
    const [request] = spans('POST /v1/user/login/verify');
    const [login] = spans('login verify');
    expect(login?.parentSpanContext?.spanId).toBe(idOf(request));
    const [spent] = spans('store challenges.spend');
    expect(spent?.parentSpanContext?.spanId).toBe(idOf(login));
    expect(spans(/^store /).filter((span) => traceOf(span) === traceOf(request)).length).toBeGreaterThan(1);
    expect(request?.attributes).toMatchObject({ 'http.response.status_code': 200 });
  });

  it('are told to the venue, and not taken from a client', async () => {
    const { accessToken } = await open.logIn(0);
    exporter.reset();
    const stranger = '00-11111111111111111111111111111111-2222222222222222-01';
    const answer = await fetch(`${open.urls.rest}/v1/p/builders`, {
      headers: { authorization: `Bearer ${accessToken}`, traceparent: stranger },
    });
    await answer.text();
    expect(asked).toHaveLength(1);
    const [call] = spans(/^venue /);
    expect(asked[0]?.traceparent).toBe(`00-${traceOf(call)}-${idOf(call)}-01`);
    const [request] = spans(/^GET /);
    expect(traceOf(call)).toBe(traceOf(request));
    expect(traceOf(request)).not.toContain('1111');
  });

  it("go on with a client's where that was configured", async () => {
    const behind = await startTestGateway({ tracing: { inbound: true } });
    exporter.reset();
    const proxy = '00-11111111111111111111111111111111-2222222222222222-01';
    await (await fetch(`${behind.urls.rest}/v1/p/builders`, { headers: { traceparent: proxy } })).text();
    expect(traceOf(spans(/^GET /)[0])).toBe('1'.repeat(32));
    await behind.close();
  });

  it('show each command of a socket as a trace of its own, with the id of the connection', async () => {
    const { accessToken } = await open.logIn(0);
    exporter.reset();
    const socket = await connectTo(open.urls.websocket);
    socket.send({ op: 'login', args: [{ accessToken }] });
    await socket.hear(({ event }) => event === 'login');
    const [login] = spans('command login');
    expect(login?.parentSpanContext).toBeUndefined();
    expect(login?.attributes).toMatchObject({
      'countersign.dialect': 'ethgas',
      'countersign.door': 'websocket',
      'countersign.connection_id': expect.stringMatching(/^[0-9a-f]{8}$/),
    });
    closeAll();
  });

  it('follow a publication from the backend to the outboxes', async () => {
    await open.publish({ channel: 'ticker', key: 'ETH-USD', data: { price: '1' } });
    const [request] = spans('POST /backend/v1/publish');
    const [published] = spans('broker publish');
    const [delivered] = spans('deliver ticker');
    expect(published?.parentSpanContext?.spanId).toBe(idOf(request));
    expect(delivered?.parentSpanContext?.spanId).toBe(idOf(published));
  });

  it('hold no secret, and no path that somebody typed', async () => {
    const { accessToken, refreshToken } = await open.logIn(1);
    await fetch(`${open.urls.rest}/v1/p/builders/kanarienvogel?token=${accessToken}`).then((a) => a.text());
    await fetch(`${open.urls.rest}/v1/user/login/refresh?refreshToken=${refreshToken}`, {
      method: 'POST',
    }).then((a) => a.text());
    const all = JSON.stringify(
      exporter
        .getFinishedSpans()
        .map(({ name, attributes, status, events }) => [name, attributes, status, events]),
    );
    expect(exporter.getFinishedSpans().length).toBeGreaterThan(5);
    for (const secret of [accessToken, accessToken.split('.')[2] ?? '', refreshToken, 'kanarienvogel'])
      expect(all).not.toContain(secret);
  });
});
