import type { Metric, Registry } from 'prom-client';

/** The observations of one set of labels. */
export interface Series {
  observe(value: number): void;
}

/**
 * A histogram of prom-client's shape whose series are found by their labels in a few look-ups. prom-client checks
 * the labels of every observation and joins them to a key, which costs some of the most frequent calls here more than
 * what they measure.
 */
export class Histogram<L extends string = never> {
  readonly name: string;
  readonly help: string;
  readonly type = 'histogram';
  readonly aggregator = 'sum';
  readonly labelNames: readonly L[];
  readonly #bounds: readonly number[];
  readonly #all: Tally[] = [];
  /** One level for each label. */
  readonly #tree: Branch = new Map();

  /** @param bounds upper ends of the buckets, ascending; one without end is added */
  constructor(
    registry: Registry,
    described: { name: string; help: string; labelNames: readonly L[]; bounds: readonly number[] },
  ) {
    this.name = described.name;
    this.help = described.help;
    this.labelNames = described.labelNames;
    this.#bounds = described.bounds;
    if (this.labelNames.length === 0) this.#all.push(new Tally([], this.#bounds));
    // The registry asks for nothing but a name and `get`; its type names its own classes only.
    registry.registerMetric(this as unknown as Metric);
  }

  /**
   * The series of these labels, made when it is first asked for. Series are never forgotten: labels must be from small
   * closed sets.
   *
   * @param values in the order of `labelNames`
   */
  labels(...values: readonly string[]): Series {
    let branch = this.#tree;
    const last = this.labelNames.length - 1;
    if (last < 0 || values.length !== last + 1) throw new TypeError(`${this.name} has other labels`);
    for (let n = 0; n < last; n += 1) {
      let next = branch.get(values[n]!) as Branch | undefined;
      if (next === undefined) {
        next = new Map();
        branch.set(values[n]!, next);
      }
      branch = next;
    }
    const known = branch.get(values[last]!) as Tally | undefined;
    if (known !== undefined) return known;
    const made = new Tally(values, this.#bounds);
    branch.set(values[last]!, made);
    this.#all.push(made);
    return made;
  }

  /** Of a histogram without labels. */
  observe(value: number): void {
    if (this.labelNames.length > 0) throw new TypeError(`${this.name} has labels`);
    this.#all[0]!.observe(value);
  }

  /** As prom-client's registry prints it. */
  async get() {
    const { name, help, type, aggregator } = this;
    return { name, help, type, aggregator, values: this.#all.flatMap((one) => this.#exported(one)) };
  }

  #exported({ values, counts, sum, count }: Tally) {
    const { name } = this;
    const own = Object.fromEntries(this.labelNames.map((label, n) => [label, values[n]!]));
    let below = 0;
    return [
      ...this.#bounds.map((bound, n) => {
        below += counts[n]!;
        return { metricName: `${name}_bucket`, labels: { le: bound, ...own }, value: below };
      }),
      { metricName: `${name}_bucket`, labels: { le: '+Inf', ...own }, value: count },
      { metricName: `${name}_sum`, labels: own, value: sum },
      { metricName: `${name}_count`, labels: own, value: count },
    ];
  }
}

type Branch = Map<string, Tally | Branch>;

class Tally implements Series {
  readonly values: readonly string[];
  /** By bucket, each by itself. */
  readonly counts: Float64Array;
  sum = 0;
  count = 0;
  readonly #bounds: readonly number[];

  constructor(values: readonly string[], bounds: readonly number[]) {
    this.values = values;
    this.counts = new Float64Array(bounds.length);
    this.#bounds = bounds;
  }

  observe(value: number): void {
    const bounds = this.#bounds;
    let n = 0;
    while (n < bounds.length && value > bounds[n]!) n += 1;
    if (n < bounds.length) this.counts[n]! += 1;
    this.sum += value;
    this.count += 1;
  }
}
