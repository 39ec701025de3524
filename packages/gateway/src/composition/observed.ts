/** The store and the broker, with a clock beside every call: how long it took, and whether it failed. */
import type { Broker } from '../broker/broker.ts';
import type { Clock } from '../operations/clock.ts';
import type { Metrics } from '../operations/metrics.ts';
import type { Span } from '../operations/tracing.ts';
import type { Store } from '../store/store.ts';
import { StoreError } from '../store/store-error.ts';

interface Watch {
  clock: Pick<Clock, 'monotonic'>;
  metrics: Metrics;
  /** Null: nobody traces. */
  span: Span | null;
}

type Method = (...args: unknown[]) => unknown;

/** Counts every call of every table. Other members are as they were. */
export function observedStore(store: Store, watch: Watch): Store {
  const tables = Object.entries(store).map(([name, table]) => {
    if (typeof table !== 'object' || table === null) return [name, table];
    const methods = Object.entries(table as Record<string, Method>).map(([method, call]) => [
      method,
      timed(call, `${name}.${method}`, watch),
    ]);
    return [name, Object.fromEntries(methods)];
  });
  return Object.fromEntries(tables) as Store;
}

/** A method of the store that gives back a promise, timed. */
function timed(call: Method, operation: string, { clock, metrics, span }: Watch): Method {
  const histogram = metrics.storeDuration.labels(operation);
  const asked: Method = (...args) => {
    const started = clock.monotonic();
    const answer = call(...args);
    if (!(answer instanceof Promise)) return answer;
    return answer.then(
      (value) => {
        histogram.observe((clock.monotonic() - started) / 1000);
        return value;
      },
      (error: unknown) => {
        const code = error instanceof StoreError ? error.code : 'other';
        metrics.storeErrors.inc({ operation, code });
        throw error;
      },
    );
  };
  if (span === null) return asked;
  return (...args) => span(`store ${operation}`, {}, () => asked(...args));
}

/** Counts what is asked of the broker, and how long a publication takes from it to all outboxes of this node. */
export function observedBroker(broker: Broker, { clock, metrics, span }: Watch): Broker {
  function asked<T>(operation: string, work: () => T): T {
    const started = clock.monotonic();
    const done = () => {
      metrics.brokerDuration.labels(operation).observe((clock.monotonic() - started) / 1000);
    };
    const failed = (error: unknown): never => {
      metrics.brokerErrors.inc({ operation });
      throw error;
    };
    let answer: T;
    try {
      answer = work();
    } catch (error) {
      return failed(error);
    }
    // What an in-process broker answers at once is not worth a look at the clock.
    if (!(answer instanceof Promise)) return answer;
    return answer.then((value) => {
      done();
      return value;
    }, failed) as T;
  }

  return {
    publish: (drafts, options) => {
      const work = () => asked('publish', () => broker.publish(drafts, options));
      return span === null
        ? work()
        : span('broker publish', { 'countersign.publications': drafts.length }, work);
    },
    history: (stream, since) => asked('history', () => broker.history(stream, since)),
    head: (stream) => asked('head', () => broker.head(stream)),
    signal: (signal) => asked('signal', () => broker.signal(signal)),
    onSignal: (listener) => broker.onSignal(listener),
    knows: (channel, key) => broker.knows(channel, key),
    onGap: (listener) => broker.onGap(listener),
    close: () => broker.close(),
    onPublication(listener) {
      const { fanout } = metrics;
      broker.onPublication((publication) => {
        const started = clock.monotonic();
        if (span === null) listener(publication);
        else span(`deliver ${publication.channel}`, {}, () => listener(publication));
        fanout.observe((clock.monotonic() - started) / 1000);
      });
    },
  };
}
