import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DEAD_AFTER, type Received, World } from './lease-world.ts';

/** From the moment when a time is up, or a dead node could be known to be dead, to the first attempt to deliver. */
const BOUND = 2500;
/** From the last word of a node to its being given up by another that looks. */
const NOTICED = DEAD_AFTER + 2000;

interface Arming {
  id: string;
  user: string;
  seconds: number;
  eventId: string;
  armedAt: number;
  /** When it was armed again or removed. */
  until: number;
}

interface Event {
  id: string;
  lease: string;
  subject: string;
  goneSince: number;
}

let world: World;
let armings: Arming[];
beforeEach(async () => {
  world = await World.open();
  armings = [];
});
afterEach(() => world.close());

async function arm(id: string, user: string, seconds: number): Promise<void> {
  const eventId = `event-${armings.length}`;
  for (const before of armings)
    if (before.id === id && before.until > world.now()) before.until = world.now();
  await world.store.leases.arm({ id, kind: 'user', subject: user, seconds, data: '', eventId }, world.now());
  armings.push({ id, user, seconds, eventId, armedAt: world.now(), until: Number.POSITIVE_INFINITY });
}

const eventOf = ({ body }: Received): Event => JSON.parse(body);
const attempts = (eventId: string) => world.received.filter((each) => eventOf(each).id === eventId);

/** Nobody is told of somebody who was there, and nobody is told twice of one thing. */
function checkWhatWasSent(): void {
  for (const received of world.received) {
    const event = eventOf(received);
    const arming = armings.find(({ eventId }) => eventId === event.id);
    expect(arming, `an event that nobody armed: ${received.body}`).toBeDefined();
    const { user, seconds, armedAt } = arming as Arming;
    expect(event).toMatchObject({ lease: arming?.id, subject: user });
    expect(event.goneSince).toBeGreaterThanOrEqual(armedAt);
    const due = event.goneSince + seconds * 1000;
    expect(received.at).toBeGreaterThanOrEqual(due);
    for (const stay of world.stays) {
      if (stay.user !== user) continue;
      // What a node held after its last word, before it came back, is nobody's to know.
      const given = world.lapses.filter(({ slot }) => slot === stay.slot);
      const counted = intervalsWithout(Math.max(stay.from, event.goneSince), Math.min(stay.to, due), given);
      expect(counted, `${user} was at ${stay.slot} while ${received.body}`).toEqual([]);
    }
  }
  for (const { eventId } of armings) {
    expect(new Set(attempts(eventId).map(({ body }) => body)).size, 'retries are the same').toBeLessThan(2);
  }
}

/** What is left of (from, to) without the lapses; pieces of a millisecond are none. */
function intervalsWithout(
  from: number,
  to: number,
  lapses: { from: number; to: number }[],
): [number, number][] {
  let pieces: [number, number][] = [[from, to]];
  for (const lapse of lapses) {
    pieces = pieces.flatMap(([a, b]): [number, number][] => [
      [a, Math.min(b, lapse.from)],
      [Math.max(a, lapse.to), b],
    ]);
  }
  return pieces.filter(([a, b]) => b - a > 1);
}

/** Everything works again for long enough: whoever is away has been reported, and delivered. */
async function checkWhatHadToBeSent(): Promise<void> {
  world.outage = false;
  world.receiverUp = true;
  for (const slot of [0, 1, 2]) {
    const node = world.node(slot);
    if (node === undefined) continue;
    node.cut = false;
    node.clock.resume();
  }
  await world.start(0);
  await world.pass(NOTICED + 25_000);
  const settled = async () => {
    const all = await world.store.leases.list({ limit: 10 });
    return all.every(
      ({ state, subject }) => state === 'delivered' || (state === 'armed' && world.present(subject)),
    );
  };
  // As long as the longest wait between two attempts.
  for (let waited = 0; waited < 310_000 && !(await settled()); waited += 5_000) await world.pass(5_000);
  for (const { id, user, eventId, until } of armings) {
    if (until !== Number.POSITIVE_INFINITY) continue;
    const lease = await world.store.leases.find(id);
    if (world.present(user)) expect(['armed', 'delivered']).toContain(lease?.state);
    else {
      expect(lease, `${user} has gone`).toMatchObject({ state: 'delivered', eventId });
      expect(attempts(eventId).filter(({ taken }) => taken).length).toBeGreaterThan(0);
    }
  }
}

describe('leases over several nodes', () => {
  it('are kept in any order of events: told of who is away and never of who is there', async () => {
    const slot = fc.integer({ min: 0, max: 2 });
    const user = fc.constantFrom('1', '2', '3');
    const action = fc.oneof(
      { weight: 6, arbitrary: fc.tuple(fc.constant('connect' as const), slot, user) },
      { weight: 6, arbitrary: fc.tuple(fc.constant('disconnect' as const), slot, user) },
      { weight: 2, arbitrary: fc.tuple(fc.constant('arm' as const), fc.constantFrom(5, 8, 20), user) },
      {
        weight: 1,
        arbitrary: fc.tuple(
          fc.constantFrom('kill', 'start', 'leave', 'stop', 'resume', 'cut', 'join'),
          slot,
          user,
        ),
      },
      { weight: 1, arbitrary: fc.tuple(fc.constantFrom('outage', 'back', 'deaf', 'hear'), slot, user) },
    );
    const wait = fc.constantFrom(0, 0, 250, 500, 1000, 3000, 7000, 12_000);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(action, wait), { minLength: 5, maxLength: 45 }),
        async (schedule) => {
          await world.close();
          world = await World.open();
          armings = [];
          for (const each of [0, 1, 2]) await world.start(each);
          for (const each of ['1', '2', '3']) await arm(`lease-${each}`, each, 8);
          for (const [[what, where, who], ms] of schedule) {
            const node = world.node(where);
            if (what === 'connect') world.connect(where, who);
            else if (what === 'disconnect') world.disconnect(where, who);
            else if (what === 'arm') await arm(`lease-${who}`, who, where);
            else if (what === 'kill') world.kill(where);
            else if (what === 'start') await world.start(where);
            else if (what === 'leave') await world.leave(where);
            else if (what === 'stop') node?.clock.stop();
            else if (what === 'resume') node?.clock.resume();
            else if (what === 'cut' && node !== undefined) node.cut = true;
            else if (what === 'join' && node !== undefined) node.cut = false;
            else if (what === 'outage' || what === 'back') world.outage = what === 'outage';
            else if (what === 'deaf' || what === 'hear') world.receiverUp = what === 'hear';
            await world.settle();
            await world.pass(ms);
          }
          checkWhatWasSent();
          await checkWhatHadToBeSent();
          checkWhatWasSent();
          expect(world.problems).toEqual([]);
        },
      ),
      {
        numRuns: Number(process.env.LEASE_RUNS ?? 25),
        ...(process.env.LEASE_SEED ? { seed: Number(process.env.LEASE_SEED) } : {}),
      },
    );
  }, 600_000);

  it('tell within seconds when the last connection goes, on whatever node it was', async () => {
    for (const slot of [0, 1, 2]) await world.start(slot);
    await arm('l', '1', 10);
    world.connect(0, '1');
    world.connect(2, '1');
    await world.pass(20_000);
    world.disconnect(0, '1');
    await world.pass(20_000);
    const left = world.now();
    world.disconnect(2, '1');
    await world.pass(15_000);
    expect(world.received).toHaveLength(1);
    const [{ at }] = world.received as [Received];
    expect(at - left).toBeGreaterThanOrEqual(10_000);
    expect(at - left).toBeLessThanOrEqual(10_000 + BOUND);
  });

  it('tell within eight seconds and a bit of a node that was killed, from when it was last heard of', async () => {
    for (const seconds of [5, 30]) {
      await world.close();
      world = await World.open();
      armings = [];
      for (const slot of [0, 1]) await world.start(slot);
      await arm('l', '1', seconds);
      world.connect(0, '1');
      await world.pass(20_000);
      const killed = world.now();
      world.kill(0);
      await world.pass(60_000);
      const [{ at }] = world.received as [Received];
      expect(world.received).toHaveLength(1);
      expect(at - killed).toBeGreaterThanOrEqual(seconds * 1000 - 2000);
      expect(at - killed).toBeLessThanOrEqual(Math.max(NOTICED, seconds * 1000) + BOUND);
    }
  });

  it('do not take an outage of the store for the death of every node', async () => {
    for (const slot of [0, 1, 2]) await world.start(slot);
    for (const user of ['1', '2', '3']) await arm(`l${user}`, user, 5);
    for (const [slot, user] of [
      [0, '1'],
      [1, '2'],
    ] as const)
      world.connect(slot, user);
    await world.pass(4_000);
    // Who is due just when the store goes, and comes back where nobody can be told.
    world.connect(2, '3');
    await world.pass(1_000);
    world.outage = true;
    world.disconnect(2, '3');
    await world.pass(4_000);
    world.connect(1, '3');
    await world.pass(60_000);
    world.outage = false;
    await world.pass(30_000);
    expect(world.lapses).toEqual([]);
    expect(world.received).toEqual([]);
  });

  it('wait for a node that stands still, as long as it may, and then no longer', async () => {
    for (const slot of [0, 1]) await world.start(slot);
    await arm('l', '1', 5);
    await world.pass(2_000);
    world.connect(1, '1');
    world.node(1)?.clock.stop();
    await world.pass(5_000);
    expect(world.received).toEqual([]);
    world.node(1)?.clock.resume();
    await world.pass(20_000);
    expect(world.received).toEqual([]);
    world.node(1)?.clock.stop();
    await world.pass(5_000 + NOTICED + BOUND);
    expect(world.received).toHaveLength(1);
  });
});
