import { describe, expect, it } from 'vitest';
import { createFakeClock } from '../../../testkit/src/fake-clock.ts';
import { createMemoryBroker } from '../../src/broker/memory.ts';
import { systemClock } from '../../src/operations/clock.ts';
import { channelTable } from '../../src/streams/channel.ts';
import { createHub } from '../../src/streams/hub.ts';
import { createStreamProbe, PROBE_CHANNEL } from '../../src/streams/probe.ts';

const channels = channelTable([PROBE_CHANNEL]);

describe('the probe of the streams', () => {
  it('publishes and reads through the hub, any number of times, and leaves nobody behind', async () => {
    const broker = createMemoryBroker({ clock: systemClock, channels });
    const hub = createHub({ broker, channels, clock: systemClock });
    const probe = createStreamProbe({ hub, broker, clock: systemClock, node: 'n1' });
    for (let i = 0; i < 5; i += 1) expect(await probe()).toBeGreaterThanOrEqual(0);
    const together = await Promise.all([probe(), probe(), probe()]);
    expect(together.every((ms) => ms >= 0)).toBe(true);
    expect(hub.stats()).toMatchObject({ published: 8, subscriptions: 0, streams: 1 });
    hub.close();
    await broker.close();
  });

  it('fails when the broker takes a publication and never delivers it', async () => {
    const clock = createFakeClock();
    const memory = createMemoryBroker({ clock, channels });
    const hub = createHub({ broker: { ...memory, onPublication() {} }, channels, clock });
    const failed = expect(
      createStreamProbe({ hub, broker: memory, clock, node: 'n1', patienceMs: 500 })(),
    ).rejects.toThrow('nothing came out');
    clock.advance(499);
    expect(hub.stats().subscriptions).toBe(1);
    clock.advance(1);
    await failed;
    expect(hub.stats().subscriptions).toBe(0);
  });

  it('fails in time when the broker does not answer at all', async () => {
    const clock = createFakeClock();
    const memory = createMemoryBroker({ clock, channels });
    const silent = { ...memory, publish: () => new Promise<never>(() => {}) };
    const hub = createHub({ broker: silent, channels, clock });
    const failed = expect(createStreamProbe({ hub, broker: silent, clock, node: 'n1' })()).rejects.toThrow(
      'nothing came out',
    );
    clock.advance(2000);
    await failed;
  });

  it('fails at once when the hub or the broker is closed', async () => {
    const clock = createFakeClock();
    const broker = createMemoryBroker({ clock, channels });
    const hub = createHub({ broker, channels, clock });
    const probe = createStreamProbe({ hub, broker, clock, node: 'n1' });
    await broker.close();
    await expect(probe()).rejects.toMatchObject({ code: 'unavailable' });
    hub.close();
    await expect(probe()).rejects.toMatchObject({ code: 'unavailable' });
  });
});
