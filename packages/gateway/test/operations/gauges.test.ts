import { expect, it } from 'vitest';
import { createGauges, type GaugeSources } from '../../src/operations/gauges.ts';
import { createMetrics } from '../../src/operations/metrics.ts';

it('shows what is there at the moment of each scrape', async () => {
  const { registry } = createMetrics({ defaults: false });
  let connections: ReturnType<GaugeSources['connections']> = [
    { door: 'websocket', dialect: 'ethgas', userId: 1 },
    { door: 'websocket', dialect: 'ethgas', userId: 1 },
    { door: 'websocket', dialect: null, userId: null },
    { door: 'socketio', dialect: 'chainworks', userId: 2 },
  ];
  const hub = {
    streams: 3,
    subscriptions: 9,
    published: 10,
    delivered: 40,
    conflated: 5,
    resynced: 2,
    cut: 1,
    faults: 0,
  };
  let draining = false;
  createGauges(registry, {
    connections: () => connections,
    hub: () => hub,
    draining: () => draining,
    confirmedAge: () => 0.25,
  });
  const shown = async () =>
    (await registry.metrics())
      .split('\n')
      .filter((line) => line.startsWith('countersign_'))
      .map((line) => line.replace('countersign_', ''));

  const first = [
    'num_clients{door="websocket",dialect="ethgas"} 2',
    'num_clients{door="websocket",dialect="none"} 1',
    'num_clients{door="socketio",dialect="chainworks"} 1',
    'num_users 2',
    'num_subscriptions 9',
    'num_channels 3',
    'access_confirmed_age_seconds 0.25',
    'draining 0',
    'publications_total 10',
    'deliveries_total 40',
    'hub_faults_total 0',
    'slow_readers_total{policy="conflate"} 5',
    'slow_readers_total{policy="resync"} 2',
    'slow_readers_total{policy="cut"} 1',
  ];
  expect(await shown()).toEqual(expect.arrayContaining(first));
  // A second look at the same state must not add anything up.
  expect(await shown()).toEqual(expect.arrayContaining(first));

  connections = [{ door: 'websocket', dialect: 'ethgas', userId: 7 }];
  hub.published = 11;
  draining = true;
  const later = await shown();
  expect(later).toEqual(
    expect.arrayContaining([
      'num_clients{door="websocket",dialect="ethgas"} 1',
      'num_users 1',
      'publications_total 11',
      'draining 1',
    ]),
  );
  expect(later.some((line) => line.includes('socketio'))).toBe(false);
});
