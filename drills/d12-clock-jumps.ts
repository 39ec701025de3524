/**
 * D12: the wall clock of one of two gateways, then of both, is set forward and back under sockets and sessions; the
 * database's stays right. Needs libfaketime (`apt-get install faketime`).
 *
 * Must hold: a node that is more than two seconds off issues nothing within two seconds, and is not ready; no token and no socket
 * outlives `exp` and its leeway where it was seen before, nor anywhere by more than the jump; public streams go on without
 * a pause, and no socket closes for the jump; everything is as before when the clock is right again, and no session is lost.
 *
 * Run: npm run drills -- d12 [--long]
 */
import { createHttpClient, createLoadWallets, type HttpClient, logIn, postForm } from '@countersign/testkit';
import { type DrillCluster, pause, startDrillCluster } from './lib/gateway.ts';
import { type LogReader, openLogReader } from './lib/log-readers.ts';
import { report, summary } from './lib/report.ts';
import { createWrongClock, missingForClocks, type WrongClock } from './lib/wrong-clock.ts';

const MARKET = 'inclusionPreconf';
const SECOND = 1000;
const HOUR = 3600 * SECOND;
/** Of access tokens, in seconds. */
const LIFE = 5;
const LEEWAY = 1;
/** Milliseconds that the library may take to notice, the gateway to look, and a busy machine to do either. */
const NOTICE = 2500;
/** Longest that a public push may take or a stream may pause, in milliseconds. */
const PAUSE = 1500;
const toYear = (year: number) => Date.UTC(year, 0, 2) - Date.now();

type Case = { name: string; ahead: number; both: boolean };
const cases = (long: boolean): Case[] => {
  const jumps: [string, number][] = [
    ['+5 s', 5 * SECOND],
    ['-5 s', -5 * SECOND],
    ['+2 min', 120 * SECOND],
    ['-2 min', -120 * SECOND],
    ['+1 h', HOUR],
    ['-1 h', -HOUR],
    ['1970', toYear(1970)],
    ['2038', toYear(2038)],
  ];
  const on = (both: boolean) => jumps.map(([name, ahead]) => ({ name, ahead, both }));
  if (long) return [...on(false), ...on(true)];
  const few = ['-5 s', '+1 h', '-1 h', '2038'];
  return [
    ...on(false).filter(({ name }) => few.includes(name)),
    ...on(true).filter(({ name }) => name === '1970'),
  ];
};

export async function d12({ long = false }: { long?: boolean } = {}): Promise<boolean> {
  const missing = missingForClocks();
  if (missing !== null) {
    report(`D12 was not run: it needs ${missing} (apt-get install ${missing})`);
    return process.env.REQUIRE_SERVICES !== '1';
  }
  const clocks = [createWrongClock(), createWrongClock()];
  const stage = await startDrillCluster({
    nodes: 2,
    env: {
      COUNTERSIGN_TOKENS_ACCESS_TTL: String(LIFE),
      COUNTERSIGN_TOKENS_LEEWAY: String(LEEWAY),
      COUNTERSIGN_WALLET_CHALLENGES_PER_ADDRESS: '10000',
      COUNTERSIGN_WALLET_CHALLENGES_PER_SOURCE: '10000',
    },
    envOf: (node) => clocks[node]!.env,
  });
  const doors = stage.cluster.nodes.map(({ process }) => createHttpClient(process.ready.rest, 4));
  const total = {
    wronglyAccepted: 0,
    wronglyIssued: 0,
    wronglyRefused: 0,
    asked: 0,
    socketsTooLong: 0,
    problems: 0,
  };
  const detectMs: number[] = [];
  const healMs: number[] = [];
  try {
    const [wallet] = await createLoadWallets(1);
    let { refreshToken } = await logIn(doors[0]!, wallet!);
    for (const each of cases(long)) {
      const found = await jump(stage, clocks, doors, each);
      for (const name of Object.keys(total) as (keyof typeof total)[]) total[name] += found[name];
      detectMs.push(found.detectMs);
      healMs.push(found.healMs);
      report(`${each.name} on ${each.both ? 'both' : 'one'}: ${JSON.stringify(found)}`);
      // The session of the beginning goes on through all of it.
      const refreshed = await postForm(doors[0]!, '/v1/user/login/refresh', { refreshToken });
      if (refreshed.status === 200) {
        refreshToken = (JSON.parse(refreshed.body) as { data: { refreshToken: string } }).data.refreshToken;
      } else total.problems += 1;
    }
    return summary(
      'D12',
      {
        cases: detectMs.length,
        wronglyAccepted: total.wronglyAccepted,
        wronglyIssued: total.wronglyIssued,
        wronglyRefusedPercent: Math.round((100 * total.wronglyRefused) / total.asked),
        socketsTooLong: total.socketsTooLong,
        problems: total.problems,
        detectMs,
        healMs,
      },
      total.wronglyAccepted + total.wronglyIssued + total.socketsTooLong + total.problems === 0 &&
        Math.max(...detectMs, ...healMs) <= NOTICE,
    );
  } finally {
    for (const door of doors) door.close();
    await stage.stop();
    for (const clock of clocks) clock.close();
  }
}

/** One case: signs in, sets clocks, looks until the tokens must be dead, and sets the clocks right. */
async function jump(
  { cluster, operators }: DrillCluster,
  clocks: readonly WrongClock[],
  doors: readonly HttpClient[],
  { ahead, both }: Case,
) {
  const [wallet] = await createLoadWallets(1);
  const wrong = both ? [0, 1] : [1];
  const [right, off] = doors as [HttpClient, HttpClient];
  const known = await logIn(right, wallet!);
  const unseen = await logIn(right, wallet!);
  const dies = performance.now() + (LIFE + LEEWAY) * SECOND;
  const accepts = async (door: HttpClient, token: string) =>
    (await door.request('GET', '/v1/user/info', `Authorization: Bearer ${token}\r\n`)).status === 200;
  for (const door of doors) await accepts(door, known.accessToken);
  const found = {
    wronglyAccepted: 0,
    wronglyIssued: 0,
    wronglyRefused: 0,
    asked: 0,
    socketsTooLong: 0,
    problems: 0,
  };
  const url = cluster.nodes[1]!.process.ready.websocket.replace('/ws', '');
  const common = { url, protocol: 'websocket' as const, marketType: MARKET, comeBack: null };
  const open: LogReader[] = [
    await openLogReader({ ...common, channel: 'recentTradeUpdate' }),
    await openLogReader({ ...common, channel: 'accountOrderUpdate', token: known.accessToken }),
  ];
  const [pub, own] = open as [LogReader, LogReader];
  let quiet = 0;
  let going = true;
  const publishing = (async () => {
    while (going) {
      const before = performance.now();
      await operators[1]!.publish([
        { channel: 'recentTradeUpdate', key: MARKET, item: 'ETH-PC-1', data: { n: 0 }, time: 1 },
        { channel: 'accountOrderUpdate', key: `${MARKET}/${own.account}`, data: { n: 0 }, time: 1 },
      ]);
      await pause(200);
      quiet = Math.max(quiet, performance.now() - Math.max(pub.lastPushAt, before - PAUSE));
    }
  })();
  try {
    await pause(300);
    const begun = performance.now();
    for (const node of wrong) clocks[node]!.set(ahead);
    const issues = async (door: HttpClient): Promise<boolean> => {
      const form = { addr: wallet!.address, chainId: '1' };
      const { status } = await postForm(door, '/v1/user/login', form);
      if (status !== 200 && status !== 503) throw new Error(`a login was answered ${status}`);
      return status === 200;
    };
    const until = async (so: () => Promise<boolean>): Promise<number> => {
      const from = performance.now();
      while (!(await so()) && performance.now() - from < 2 * NOTICE) await pause(50);
      return Math.round(performance.now() - from);
    };
    const all = async (what: boolean) =>
      (await Promise.all(wrong.map((node) => issues(doors[node]!)))).every((issued) => issued === what);
    const detectMs = await until(() => all(false));
    if (performance.now() < dies - 1500) {
      // Tokens that are good, asked of those that are wrong.
      for (const node of wrong)
        for (const { accessToken } of [known, unseen]) {
          found.asked += 1;
          // The first look of a node that is wrong counts only in cases where nothing hangs on its not having looked.
          if (accessToken === unseen.accessToken && ahead < 0) continue;
          if (!(await accepts(doors[node]!, accessToken))) found.wronglyRefused += 1;
        }
    }
    const { internal } = cluster.nodes[1]!.process.ready;
    // A round of checks counts for a quarter of a second.
    await pause(300);
    if ((await fetch(`${internal}/readyz`)).status === 200) found.problems += 1;
    for (const node of wrong) {
      const { status } = await postForm(doors[node]!, '/v1/user/login/refresh', {
        refreshToken: known.refreshToken,
      });
      if (status === 200) found.wronglyIssued += 1;
    }
    // A token counts whole seconds, and a socket is looked at four times a second.
    await pause(Math.max(0, dies + SECOND - performance.now()));
    if (own.lastPushAt > dies + SECOND || !own.notices.some(({ name }) => name === 'token_expired'))
      found.socketsTooLong += 1;
    for (const door of doors) if (await accepts(door, known.accessToken)) found.wronglyAccepted += 1;
    if (!both && (await accepts(right, unseen.accessToken))) found.wronglyAccepted += 1;
    // Never seen by a node that is slow: it may live there as much longer as the clock is behind, and no more.
    if (ahead > -10 * SECOND) {
      await pause(Math.max(0, dies + SECOND - ahead - performance.now()));
      if (await accepts(off, unseen.accessToken)) found.wronglyAccepted += 1;
    }
    if (open.some((reader) => !reader.open) || pub.gaps > 0 || quiet > PAUSE) found.problems += 1;
    for (const node of wrong) clocks[node]!.set(0);
    const healMs = await until(() => all(true));
    return {
      ...found,
      detectMs,
      healMs,
      quietMs: Math.round(quiet),
      ms: Math.round(performance.now() - begun),
    };
  } finally {
    for (const clock of clocks) clock.set(0);
    going = false;
    await publishing;
    for (const reader of open) reader.close();
  }
}
