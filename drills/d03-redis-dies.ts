/**
 * D03: Redis dies. Two gateways on one PostgreSQL and one Redis; strict API-key tokens are spent on both, then Redis
 * is killed and starts again empty.
 *
 * Must hold: no token that was spent is accepted again, neither while Redis is away nor after it is back, on either
 * node; sessions go on throughout; what was revoked stays revoked; strict tokens are accepted again within ten seconds.
 *
 * Run: npm run drills -- d03 [--long]
 */
import { createHttpClient, createLoadWallets, type HttpClient, logIn } from '@countersign/testkit';
import { buildApiKeyJwt, importPrivateKey } from '@countersign/tokens/node';
import { pause, startDrillCluster } from './lib/gateway.ts';
import { report, summary } from './lib/report.ts';

const HOST = 'drill.example';
const PATH = '/v1/user/info';
const AT_ONCE = 16;
/** Seconds in which everything has to be as before. */
const PATIENCE = 10;

export async function d03({ long = false }: { long?: boolean } = {}): Promise<boolean> {
  const kills = long ? 10 : 2;
  const each = long ? 1000 : 300;
  const { cluster, stop } = await startDrillCluster({
    env: { COUNTERSIGN_KEYS_HOSTS: JSON.stringify([HOST]) },
  });
  const doors = cluster.nodes.map(({ process }) => createHttpClient(process.ready.rest, AT_ONCE));
  const [first, second] = doors as [HttpClient, HttpClient];
  try {
    const [wallet, gone] = await createLoadWallets(2);
    const { accessToken } = await logIn(first, wallet!);
    const revoked = await logIn(second, gone!);
    await second.request('POST', '/v1/user/logout', bearer(revoked.accessToken));
    const made = await first.request(
      'POST',
      '/v1/user/keys',
      `${bearer(accessToken)}Content-Type: application/json\r\n`,
      JSON.stringify({ scopes: ['view'], replay: 'strict' }),
    );
    const { key, privateKey } = (
      JSON.parse(made.body) as { data: { key: { name: string }; privateKey: string } }
    ).data;
    const signer = importPrivateKey(privateKey);
    const token = () => buildApiKeyJwt({ keyName: key.name, key: signer, uri: `GET ${HOST}${PATH}` });
    const accepted = async (door: HttpClient, jwt: string) =>
      (await door.request('GET', PATH, bearer(jwt))).status === 200;

    await secondsUntil(() => accepted(first, token()));
    let replays = 0;
    let sessionsLost = 0;
    let revokedAccepted = 0;
    const back: number[] = [];
    const spent: string[] = [];
    /** Every token that was spent, on both nodes, and sessions beside it. */
    const tryAll = async (): Promise<void> => {
      await inParts(spent, async (jwt, n) => {
        if (await accepted(doors[n % 2]!, jwt)) replays += 1;
        if (await accepted(doors[(n + 1) % 2]!, jwt)) replays += 1;
      });
      for (const door of doors) {
        if (!(await accepted(door, accessToken))) sessionsLost += 1;
        if (await accepted(door, revoked.accessToken)) revokedAccepted += 1;
      }
    };

    for (let kill = 1; kill <= kills; kill += 1) {
      const fresh = Array.from({ length: each }, token);
      let refused = 0;
      await inParts(fresh, async (jwt, n) => {
        if (!(await accepted(doors[n % 2]!, jwt))) refused += 1;
      });
      if (refused > 0) throw new Error(`${refused} fresh tokens were refused before the fault`);
      spent.push(...fresh);
      await cluster.redis.stop('SIGKILL');
      await tryAll();
      await cluster.redis.restart('empty');
      const waits = Promise.all(doors.map((door) => secondsUntil(() => accepted(door, token()))));
      await tryAll();
      back.push(...(await waits).map((seconds) => seconds * 1000));
      await tryAll();
      report(`kill ${kill}: ${spent.length} tokens spent, ${replays} replays accepted`);
    }
    const slowest = Math.max(...back);
    return summary(
      'D03',
      {
        kills,
        spent: spent.length,
        replaysAccepted: replays,
        sessionsLost,
        revokedAccepted,
        msToNormal: back,
      },
      replays === 0 && sessionsLost === 0 && revokedAccepted === 0 && slowest <= PATIENCE * 1000,
    );
  } finally {
    for (const door of doors) door.close();
    await stop();
  }
}

const bearer = (token: string) => `Authorization: Bearer ${token}\r\n`;

async function inParts<T>(all: readonly T[], work: (one: T, index: number) => Promise<void>): Promise<void> {
  for (let from = 0; from < all.length; from += AT_ONCE)
    await Promise.all(all.slice(from, from + AT_ONCE).map((one, n) => work(one, from + n)));
}

/** Seconds until it is so. @throws Error after three times the patience */
async function secondsUntil(so: () => Promise<boolean>): Promise<number> {
  const begun = performance.now();
  while (!(await so())) {
    if (performance.now() - begun > PATIENCE * 3000) throw new Error('strict tokens are not accepted');
    await pause(50);
  }
  return (performance.now() - begun) / 1000;
}
