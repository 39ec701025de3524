/**
 * D06: Redis forgets, is full, or would forget by itself. While strict API-key tokens are spent on two gateways and
 * clients of the SDK read through both, everything is flushed twice; then its memory is made so small that it takes
 * no writes; at last a gateway is started on a Redis that evicts.
 *
 * Must hold (R22, R47): no token that was spent is accepted again, sessions go on and what was revoked stays revoked;
 * readers of every stream are told and given a new snapshot, never a silent hole; a full Redis refuses publications with
 * 503 and spends nothing, the gateways live, and all is as before when there is room; a Redis that evicts is refused
 * at the start in one line.
 *
 * Run: npm run drills -- d06 [--nodes 2] [--seed N]
 */
import { createLoadWallets, findRedis, logIn, startGatewayProcess, startRedis } from '@countersign/testkit';
import { pause, startDrillCluster } from './lib/gateway.ts';
import { startReaders } from './lib/readers.ts';
import { report, summary } from './lib/report.ts';
import { createStrictKey, STRICT_HOST } from './lib/strict-keys.ts';

const READERS = 12;
const EACH = 300;
const FLUSHES = 2;
/** Seconds in which everything has to be as before. */
const PATIENCE = 15;

export async function d06({ nodes, seed }: { nodes: number; seed: number }): Promise<boolean> {
  const stage = await startDrillCluster({
    nodes,
    env: { COUNTERSIGN_KEYS_HOSTS: JSON.stringify([STRICT_HOST]) },
  });
  const { cluster, operators } = stage;
  const rest = cluster.nodes.map(({ process }) => process.ready.rest);
  const wallets = (await createLoadWallets(102)).slice(100);
  try {
    const key = await createStrictKey(rest, wallets[0]!);
    const readers = await startReaders(cluster, { seed, count: READERS });
    try {
      const revoked = await logIn(key.doors[0]!, wallets[1]!);
      const living = await logIn(key.doors[0]!, wallets[1]!);
      const asks = (token: string) =>
        Promise.all(
          key.doors.map(
            async (door) =>
              (await door.request('GET', '/v1/user/info', `Authorization: Bearer ${token}\r\n`)).status,
          ),
        );
      await key.doors[0]!.request(
        'POST',
        '/v1/user/logout',
        `Authorization: Bearer ${revoked.accessToken}\r\n`,
      );
      await key.accepted(PATIENCE);

      let replays = 0;
      const msToNormal: number[] = [];
      for (let flush = 1; flush <= FLUSHES; flush += 1) {
        await key.spend(EACH);
        // Under load: tokens are being spent while everything goes.
        const meanwhile = key.spend(EACH);
        cluster.redis.cli('flushall');
        await meanwhile;
        replays += await key.replay();
        msToNormal.push(await key.accepted(PATIENCE));
        replays += await key.replay();
        report(`flush ${flush}: ${key.spent.length} tokens spent, ${replays} replays accepted`);
      }
      const epochs = readers.publisher.epochs;

      cluster.redis.cli('config', 'set', 'maxmemory', '1mb');
      await pause(500);
      const full = await operators[0]!
        .publish([{ channel: 'market_trades', key: 'SOL-USD', data: { trades: [] } }])
        .then(
          () => 'taken',
          ({ message }: Error) => /answered (\d+)/.exec(message)?.[1] ?? message,
        );
      const spentWhileFull = await key.spend(20);
      const sessions = await asks(living.accessToken);
      const ended = await asks(revoked.accessToken);
      const sockets = await operators[0]!.metric('countersign_connections{');
      await pause(2000);
      cluster.redis.cli('config', 'set', 'maxmemory', '0');
      const msToRoom = await key.accepted(PATIENCE);
      replays += await key.replay();

      const { figures, failures } = await readers.finish(PATIENCE);
      for (const failure of failures) report(failure);
      const refusal = await startOnEvicting();
      report(`on a Redis that evicts: ${refusal}`);
      const figure = {
        seed,
        nodes,
        flushes: FLUSHES,
        spent: key.spent.length,
        replaysAccepted: replays,
        msToNormal,
        newEpochsSeenByPublisher: epochs,
        publishToFull: full,
        spentWhileFull,
        socketsWhileFull: sockets,
        msToNormalWithRoom: Math.round(msToRoom),
        sessionsLost: sessions.filter((status) => status !== 200).length,
        revokedAccepted: ended.filter((status) => status === 200).length,
        evictingRefused: refusal.split('\n').length === 1 && refusal.includes('maxmemory-policy'),
        ...figures,
      };
      const held =
        failures.length === 0 &&
        replays === 0 &&
        epochs >= FLUSHES &&
        figures.logsToldOfLoss !== 0 &&
        full === '503' &&
        spentWhileFull === 0 &&
        sockets > 0 &&
        figure.sessionsLost === 0 &&
        figure.revokedAccepted === 0 &&
        figure.evictingRefused;
      return summary('D06', figure, held);
    } finally {
      await readers.close();
      key.close();
    }
  } finally {
    await stage.stop();
  }
}

/** @returns what the gateway says, without the lines of its log that say other things; `started` if it did */
async function startOnEvicting(): Promise<string> {
  const redis = await startRedis(findRedis()!, { 'maxmemory-policy': 'allkeys-lru' });
  const stage = await startDrillCluster({ nodes: 0 });
  const { cluster } = stage;
  try {
    const gateway = await startGatewayProcess({
      dataDir: cluster.dataDir,
      flags: [
        '--no-sandbox',
        '--log-level',
        'error',
        '--store',
        cluster.postgres.url('countersign'),
        '--broker',
        redis.url(),
      ],
    });
    await gateway.stop('SIGKILL');
    return 'started';
  } catch (error) {
    return (error as Error).message.split('\n').slice(1).join('\n').trim();
  } finally {
    await redis.close();
    await stage.stop();
  }
}
