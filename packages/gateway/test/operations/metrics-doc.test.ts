/** The page, the dashboard, the alerts and the program name the same metrics. */
import { readFileSync } from 'node:fs';
import type { Metric } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { createGauges } from '../../src/operations/gauges.ts';
import { closeLabel, createMetrics } from '../../src/operations/metrics.ts';

const root = new URL('../../../../', import.meta.url);
const read = (path: string) => readFileSync(new URL(path, root), 'utf8');

interface Described {
  name: string;
  type: string;
  labels: string[];
}

function made(): Described[] {
  const { registry } = createMetrics({ defaults: false });
  createGauges(registry, {
    connections: () => [],
    hub: () => ({
      ...{ streams: 0, subscriptions: 0, published: 0, delivered: 0 },
      ...{ conflated: 0, resynced: 0, cut: 0, faults: 0 },
    }),
    outboxes: () => ({ queuedBytes: 0, bytes: 0, frames: 0, overflows: 0 }),
    draining: () => false,
    living: () => 1,
    changesPosition: () => 0,
    confirmedAge: () => 0,
    clockSkew: () => 0,
    pool: () => null,
    readiness: () => null,
  });
  const inside = registry.getMetricsAsArray() as unknown as (Metric & {
    name: string;
    labelNames: readonly string[];
  })[];
  return inside.map((metric) => ({
    name: metric.name,
    type: metric.constructor.name.toLowerCase(),
    labels: [...metric.labelNames].filter((label) => label !== 'le').sort(),
  }));
}

const metrics = made();
const page = read('docs/operations/metrics.md');
const documented = [...page.matchAll(/^\| `(countersign_\w+)` \| (\w+) \|([^|]*)\|/gm)].map(
  ([, name = '', type = '', labels = '']): Described => ({
    name,
    type,
    labels: [...labels.matchAll(/`(\w+)`/g)].map(([, label]) => label ?? '').sort(),
  }),
);
const byName = (list: Described[]) => [...list].sort((a, b) => a.name.localeCompare(b.name));

describe('docs/operations/metrics.md', () => {
  it('has a row for every metric with its type and labels, and no other', () => {
    expect(byName(documented)).toEqual(byName(metrics));
  });
});

describe('the names', () => {
  it('end as Prometheus asks: counters in _total, times in _seconds, sizes in _bytes', () => {
    for (const { name, type } of metrics) {
      expect(name).toMatch(/^countersign_[a-z]+(?:_[a-z]+)*$/);
      expect(name.endsWith('_total'), name).toBe(type === 'counter');
      if (type === 'histogram') expect(name).toMatch(/_seconds$/);
    }
  });

  it('of labels are none that could name a user, a token or an address', () => {
    const allowed = ['door', 'method', 'route', 'status', 'outcome', 'code', 'kind', 'tier', 'by', 'dialect'];
    const more = ['command', 'service', 'operation', 'state', 'reason', 'check'];
    const used = new Set(metrics.flatMap(({ labels }) => labels));
    expect([...used].filter((label) => ![...allowed, ...more].includes(label))).toEqual([]);
  });

  it('of close codes are a short list, whatever codes peers send', () => {
    const labels = new Set(Array.from({ length: 65_536 }, (_, code) => closeLabel(code)));
    expect(labels.size).toBeLessThan(40);
    expect(closeLabel(3999)).toBe('other');
    expect(closeLabel(1006)).toBe('1006');
  });
});

// ------------------------------------------------------------------------------------ dashboard and alerts

const dashboard = JSON.parse(read('deploy/grafana/countersign.json')) as {
  panels: { id: number; targets?: { expr: string }[] }[];
};
const alerts = parse(read('deploy/prometheus/alerts.yml')) as {
  groups: { rules: { alert: string; expr: string; annotations: { summary: string; runbook: string } }[] }[];
};
const rules = alerts.groups.flatMap((group) => group.rules);
const shown = dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));

/** As they are scraped: a histogram is three series. */
const series = new Map<string, ReadonlySet<string>>();
for (const { name, type, labels } of [...metrics, ...ofTheProcess()]) {
  const own = new Set([...labels, 'instance', 'job']);
  if (type !== 'histogram') series.set(name, own);
  else for (const part of ['bucket', 'count', 'sum']) series.set(`${name}_${part}`, new Set([...own, 'le']));
}

function ofTheProcess(): Described[] {
  const { registry } = createMetrics();
  const names = registry.getMetricsAsArray() as unknown as { name: string; labelNames: string[] }[];
  const own = new Set(metrics.map(({ name }) => name));
  return names
    .filter(({ name }) => !own.has(name))
    .map(({ name, labelNames }) => ({ name, type: 'gauge', labels: labelNames }));
}

const CLOSES: Record<string, string> = { ')': '(', '}': '{', ']': '[' };
const FUNCTIONS =
  'sum|max|min|avg|count|rate|increase|histogram_quantile|by|without|and|or|unless|on|ignoring|offset|up|le';

/** Not a parser of PromQL: brackets that close, words that are functions, metrics or their labels, ranges for rates. */
function faultsOf(expr: string): string[] {
  const faults: string[] = [];
  const open: string[] = [];
  const bare = expr.replace(/"(?:[^"\\]|\\.)*"/g, '""');
  for (const character of bare) {
    if ('({['.includes(character)) open.push(character);
    else if (character in CLOSES && open.pop() !== CLOSES[character]) faults.push(`a ${character} too many`);
  }
  if (open.length > 0) faults.push(`${open.join('')} not closed`);
  const named = [...bare.matchAll(/countersign_\w+/g)].map(([name]) => name);
  const labels = new Set(named.flatMap((name) => [...(series.get(name) ?? [])]));
  for (const name of named) if (!series.has(name)) faults.push(`there is no ${name}`);
  const words = bare.replace(/\$\w+|\[[^\]]*\]|\b\d+[smhdwy]?\b/g, ' ').matchAll(/[a-zA-Z_]\w*/g);
  for (const [word] of words) {
    if (word.startsWith('countersign_') || new RegExp(`^(?:${FUNCTIONS})$`).test(word)) continue;
    if (!labels.has(word) && !(word === 'job' && bare.includes('up{')))
      faults.push(`${word} is no label there`);
  }
  for (const [, name = '', range] of bare.matchAll(/(?:rate|increase)\((\w+)(?:\{[^}]*\})?(\[)?/g)) {
    if (range === undefined) faults.push(`${name} has no range`);
    if (!/_(?:total|bucket|count|sum)$/.test(name)) faults.push(`${name} is no counter`);
  }
  return faults;
}

describe('the check of queries', () => {
  it.each([
    ['sum(rate(countersign_logins_total[5m])', 'not closed'],
    ['countersign_login_total', 'there is no'],
    ['sum by (user) (countersign_connections)', 'user is no label'],
    ['rate(countersign_logins_total)', 'has no range'],
    ['rate(countersign_connections[5m])', 'is no counter'],
    ['histogram_quantil(0.9, countersign_streams)', 'histogram_quantil is no label'],
  ])('finds what is wrong with %s', (expr, fault) => {
    expect(faultsOf(expr).join()).toContain(fault);
  });
});

describe('the dashboard', () => {
  it('asks only for what there is', () => {
    expect(shown.length).toBeGreaterThan(30);
    for (const expr of shown) expect(faultsOf(expr), expr).toEqual([]);
  });

  it('shows every metric of the page', () => {
    const absent = metrics.filter(({ name }) => !shown.some((expr) => expr.includes(name)));
    expect(absent.map(({ name }) => name)).toEqual([]);
  });

  it('gives each panel an id of its own', () => {
    const ids = dashboard.panels.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });
});

describe('the alerts', () => {
  it('ask only for what there is', () => {
    for (const { expr } of rules) expect(faultsOf(expr), expr).toEqual([]);
  });

  it('have a section each in docs/operations/alerts.md, and it has no other', () => {
    const sections = [...read('docs/operations/alerts.md').matchAll(/^## (\w+)$/gm)].map(([, name]) => name);
    expect(sections).toEqual(rules.map(({ alert }) => alert));
    for (const { alert, annotations } of rules)
      expect(annotations.runbook).toBe(`docs/operations/alerts.md#${alert.toLowerCase()}`);
  });
});
