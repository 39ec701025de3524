/**
 * Traces by OpenTelemetry. The interface does nothing without an SDK, which an operator loads before the gateway
 * (`node --import ./otel.mjs`, docs/operations/tracing.md); then nothing here is called at all. Attributes are
 * names out of closed sets and ids that give no access: never a token, a signature, a body or a query.
 */
import {
  type Attributes,
  type Context,
  context,
  ProxyTracerProvider,
  propagation,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';

export type { Attributes };

/** Does `work` inside a span, which ends when `work` has returned or its promise has settled. */
export type Span = <T>(name: string, attributes: Attributes, work: () => T, options?: SpanOptions) => T;

export interface SpanOptions {
  kind?: 'server' | 'client' | 'consumer';
  /** Begins a trace of its own, whatever is under way. */
  root?: boolean;
  /** Headers of a caller whose trace is gone on with. */
  parent?: Record<string, unknown>;
}

export interface Tracing {
  span: Span;
  /** `traceparent` and what goes with it, name and value in turn, for a request that leaves within a span. */
  headers(): string[];
  /** Begins a span whose end is told; `run` makes it the parent of what happens inside. */
  begin(name: string, attributes: Attributes, options?: SpanOptions): OpenSpan;
}

export interface OpenSpan {
  run<T>(work: () => T): T;
  set(attributes: Attributes): void;
  rename(name: string): void;
  end(failed?: boolean): void;
}

const KINDS = { server: SpanKind.SERVER, client: SpanKind.CLIENT, consumer: SpanKind.CONSUMER } as const;

/** @returns null where no SDK has been registered by now: then the gateway is built without any of this */
export function openTracing(): Tracing | null {
  const provider = trace.getTracerProvider();
  const without = new ProxyTracerProvider().getDelegate();
  if (provider instanceof ProxyTracerProvider && provider.getDelegate() === without) return null;
  return tracingBy(trace.getTracer('countersign'));
}

function tracingBy(tracer: Tracer): Tracing {
  function begin(name: string, attributes: Attributes, { kind, root, parent }: SpanOptions = {}): OpenSpan {
    const outer = parentOf(root === true, parent);
    const span = tracer.startSpan(
      name,
      { attributes, ...(kind === undefined ? {} : { kind: KINDS[kind] }) },
      outer,
    );
    const inner = trace.setSpan(outer, span);
    return {
      run: (work) => context.with(inner, work),
      set: (more) => void span.setAttributes(more),
      rename: (better) => void span.updateName(better),
      end(failed = false) {
        if (failed) span.setStatus({ code: SpanStatusCode.ERROR });
        span.end();
      },
    };
  }

  return {
    begin,
    span(name, attributes, work, options) {
      const span = begin(name, attributes, options);
      let answer: ReturnType<typeof work>;
      try {
        answer = span.run(work);
      } catch (error) {
        span.set(kindOf(error));
        span.end(true);
        throw error;
      }
      if (!(answer instanceof Promise)) {
        span.end();
        return answer;
      }
      return answer.then(
        (value: unknown) => {
          span.end();
          return value;
        },
        (error: unknown) => {
          span.set(kindOf(error));
          span.end(true);
          throw error;
        },
      ) as typeof answer;
    },
    headers() {
      const carrier: Record<string, string> = {};
      propagation.inject(context.active(), carrier);
      return Object.entries(carrier).flat();
    },
  };
}

function parentOf(root: boolean, parent: Record<string, unknown> | undefined): Context {
  const outer = root ? ROOT_CONTEXT : context.active();
  return parent === undefined ? outer : propagation.extract(ROOT_CONTEXT, parent);
}

/** The code of a refusal or of a failed store, never a message: those may quote what came in. */
function kindOf(error: unknown): Attributes {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'other';
  return { 'countersign.code': /^[a-zA-Z0-9_-]{1,40}$/.test(code) ? code : 'other' };
}
