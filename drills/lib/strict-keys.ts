/** A strict API key on a cluster, its tokens, and what became of those that were spent. */
import { createHttpClient, type HttpClient, type LoadWallet, logIn } from '@countersign/testkit';
import { buildApiKeyJwt, importPrivateKey } from '@countersign/tokens/node';
import { pause } from './gateway.ts';

/** To be one of the gateways' `keys.hosts`. */
export const STRICT_HOST = 'drill.example';
const PATH = '/v1/user/info';
const AT_ONCE = 16;

export interface StrictKey {
  readonly doors: readonly HttpClient[];
  /** Tokens that were accepted, once. */
  readonly spent: string[];
  /** Status of each answer to a fresh token, and how often it was given; 0 = the connection was lost. */
  readonly answers: Record<number, number>;
  /** Spends fresh tokens, on the nodes by turns. @returns those that were accepted */
  spend(count: number): Promise<number>;
  /** Shows every token that was spent to every node, at the same time. @returns how many were accepted again */
  replay(tokens?: readonly string[]): Promise<number>;
  /** Shows one fresh token to all nodes, several times each, at once. @returns how many accepted it */
  race(): Promise<number>;
  /** Milliseconds until every node accepts a fresh token. @throws Error after `patience` seconds */
  accepted(patience: number): Promise<number>;
  close(): void;
}

/** @param rest of every node */
export async function createStrictKey(rest: readonly string[], wallet: LoadWallet): Promise<StrictKey> {
  const doors = rest.map((url) => createHttpClient(url, AT_ONCE));
  const { accessToken } = await logIn(doors[0]!, wallet);
  const made = await doors[0]!.request(
    'POST',
    '/v1/user/keys',
    `${bearer(accessToken)}Content-Type: application/json\r\n`,
    JSON.stringify({ scopes: ['view'], replay: 'strict' }),
  );
  const { key, privateKey } = (
    JSON.parse(made.body) as { data: { key: { name: string }; privateKey: string } }
  ).data;
  const signer = importPrivateKey(privateKey);
  const fresh = () => buildApiKeyJwt({ keyName: key.name, key: signer, uri: `GET ${STRICT_HOST}${PATH}` });
  const show = async (door: HttpClient, token: string): Promise<number> =>
    (await door.request('GET', PATH, bearer(token)).catch(() => ({ status: 0 }))).status;
  const spent: string[] = [];
  const answers: Record<number, number> = {};
  let turn = 0;
  const doorOf = (n: number) => doors[n % doors.length]!;

  return {
    doors,
    spent,
    answers,
    async spend(count) {
      let accepted = 0;
      await inParts(Array.from({ length: count }, fresh), async (token) => {
        const status = await show(doorOf(turn++), token);
        answers[status] = (answers[status] ?? 0) + 1;
        if (status !== 200) return;
        accepted += 1;
        spent.push(token);
      });
      return accepted;
    },
    async replay(tokens = spent) {
      let again = 0;
      await inParts([...tokens], async (token) => {
        const all = await Promise.all(doors.map((door) => show(door, token)));
        again += all.filter((status) => status === 200).length;
      });
      return again;
    },
    async race() {
      const token = fresh();
      const all = await Promise.all([...doors, ...doors, ...doors].map((door) => show(door, token)));
      const accepted = all.filter((status) => status === 200).length;
      if (accepted > 0) spent.push(token);
      return accepted;
    },
    async accepted(patience) {
      const begun = performance.now();
      for (const door of doors) {
        while ((await show(door, fresh())) !== 200) {
          if (performance.now() - begun > patience * 1000) throw new Error('strict tokens are not accepted');
          await pause(50);
        }
      }
      return performance.now() - begun;
    },
    close() {
      for (const door of doors) door.close();
    },
  };
}

const bearer = (token: string) => `Authorization: Bearer ${token}\r\n`;

async function inParts<T>(all: readonly T[], work: (one: T) => Promise<void>): Promise<void> {
  for (let from = 0; from < all.length; from += AT_ONCE)
    await Promise.all(all.slice(from, from + AT_ONCE).map(work));
}
