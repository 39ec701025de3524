import { expect, test } from 'vitest';
import { createFakeClock } from '../../../testkit/src/fake-clock.ts';
import { createMemoryBroker } from '../../src/broker/memory.ts';
import { brokerContract, contractChannels as channels } from './contract.ts';

brokerContract('the in-memory broker', async () => {
  const clock = createFakeClock();
  return { broker: createMemoryBroker({ clock, channels }), pass: (ms) => clock.advance(ms) };
});

const clock = createFakeClock();
const draft = (key: string) => ({ channel: 'trades', key, time: 0, data: {} });

test('every process has its own epoch', async () => {
  const [a] = await createMemoryBroker({ clock, channels }).publish([draft('a')]);
  const [b] = await createMemoryBroker({ clock, channels }).publish([draft('a')]);
  expect(a!.epoch).not.toBe(b!.epoch);
});

test('a publish has been delivered when it returns, before anyone awaits it', () => {
  const broker = createMemoryBroker({ clock, channels });
  const heard: number[] = [];
  broker.onPublication(({ sequence }) => heard.push(sequence));
  void broker.publish([draft('a'), draft('a')]);
  expect(heard).toEqual([1, 2]);
});

test('a stream that was forgotten comes back in another epoch, so no position of before is taken', async () => {
  const broker = createMemoryBroker({ clock, channels, streams: 4 });
  const [first] = await broker.publish([draft('quiet')]);
  for (const key of ['a', 'b', 'c', 'd', 'e']) await broker.publish([draft(key)]);
  expect(broker.history('trades/quiet', first!)).toMatchObject({ complete: false, tail: [] });
  const [again] = await broker.publish([draft('quiet')]);
  expect(again).toMatchObject({ sequence: 1 });
  expect(again!.epoch).not.toBe(first!.epoch);
});

test('a stream in use is not forgotten, however many others pass by', async () => {
  const broker = createMemoryBroker({ clock, channels, streams: 4 });
  const [first] = await broker.publish([draft('busy')]);
  for (let i = 0; i < 100; i++) {
    await broker.publish([draft(`passing ${i}`)]);
    const [receipt] = await broker.publish([draft('busy')]);
    expect(receipt).toMatchObject({ epoch: first!.epoch, sequence: i + 2 });
  }
});

test('idempotency keys are bounded: the oldest goes first', async () => {
  const broker = createMemoryBroker({ clock, channels, idempotencyKeys: 3 });
  for (const key of ['1', '2', '3', '4']) await broker.publish([draft('a')], { idempotencyKey: key });
  const repeat = async (idempotencyKey: string) =>
    (await broker.publish([draft('a')], { idempotencyKey }))[0]!.duplicate;
  expect(await repeat('4')).toBe(true);
  expect(await repeat('2')).toBe(true);
  expect(await repeat('1')).toBe(false);
});

test('a listener that throws does not make a publisher believe that nothing was published', async () => {
  const broker = createMemoryBroker({ clock, channels });
  broker.onPublication(() => {
    throw new Error('broken');
  });
  expect(await broker.publish([draft('a'), draft('a')])).toHaveLength(2);
});
