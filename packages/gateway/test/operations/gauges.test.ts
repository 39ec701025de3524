import { expect, it } from 'vitest';
import { createGauges, type GaugeSources } from '../../src/operations/gauges.ts';
import { createMetrics } from '../../src/operations/metrics.ts';

it('shows what is there at the moment of each scrape', async () => {
  const { registry } = createMetrics({ defaults: false });
  let connections: ReturnType<GaugeSources['connections']> = [
    { door: 'websocket', dialect: 'ethgas', state: 'signed-in', userId: 1 },
    { door: 'websocket', dialect: 'ethgas', state: 'signed-in', userId: 1 },
    { door: 'websocket', dialect: null, state: 'anonymous', userId: null },
    { door: 'socketio', dialect: 'chainworks', state: 'signed-in', userId: 2 },
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
    outboxes: () => ({ queuedBytes: 77, bytes: 500, frames: 9, overflows: 2 }),
    changesPosition: () => 12,
    pool: () => ({ size: 10, taken: 4, waiting: 1 }),
    readiness: () => ({ checks: { store: { ok: true, ms: 4 }, broker: { ok: false, ms: null } } }),
    connections: () => connections,
    hub: () => hub,
    draining: () => draining,
    living: () => 3,
    confirmedAge: () => 0.25,
    clockSkew: () => -1.5,
  });
  const shown = async () =>
    (await registry.metrics())
      .split('\n')
      .filter((line) => line.startsWith('countersign_'))
      .map((line) => line.replace('countersign_', ''));

  const first = [
    'connections{door="websocket",dialect="ethgas",state="signed-in"} 2',
    'connections{door="websocket",dialect="none",state="anonymous"} 1',
    'connections{door="socketio",dialect="chainworks",state="signed-in"} 1',
    'connected_users 2',
    'subscriptions 9',
    'streams 3',
    'access_confirmed_age_seconds 0.25',
    'clock_skew_seconds -1.5',
    'draining 0',
    'nodes_living 3',
    'outbox_queued_bytes 77',
    'sent_bytes_total 500',
    'sent_frames_total 9',
    'slow_readers_total{reason="overflowed"} 2',
    'changes_position 12',
    'store_pool_connections{state="taken"} 4',
    'store_pool_connections{state="free"} 6',
    'store_pool_waiting 1',
    'readiness_check_seconds{check="store"} 0.004',
    'readiness_check_seconds{check="broker"} Nan',
    'publications_total 10',
    'deliveries_total 40',
    'hub_faults_total 0',
    'slow_readers_total{reason="conflated"} 5',
    'slow_readers_total{reason="resynced"} 2',
    'slow_readers_total{reason="cut"} 1',
  ];
  expect(await shown()).toEqual(expect.arrayContaining(first));
  // A second look at the same state must not add anything up.
  expect(await shown()).toEqual(expect.arrayContaining(first));

  connections = [{ door: 'websocket', dialect: 'ethgas', state: 'signed-in', userId: 7 }];
  hub.published = 11;
  draining = true;
  const later = await shown();
  expect(later).toEqual(
    expect.arrayContaining([
      'connections{door="websocket",dialect="ethgas",state="signed-in"} 1',
      'connected_users 1',
      'publications_total 11',
      'draining 1',
    ]),
  );
  expect(later.some((line) => line.includes('socketio'))).toBe(false);
});
