/** Who takes part in the tests of connections, and what they say and hear. */
import { Refusal } from '@countersign/protocol';
import type { Proof } from '../../src/connection/services.ts';
import type { Credential, Permission } from '../../src/session/principal.ts';
import { createKit, draft, type Kit, type KitOptions, type Line, principalOf, START } from './kit.ts';

export const MARKET = 'inclusionPreconf';
export const ORDERS = `accountOrderUpdate`;
export const wants = (channel: string, more: object = {}) => ({ channel, marketType: MARKET, ...more });

export const proofs: Record<string, Omit<Proof, 'asOf'>> = {};
function proof(
  name: string,
  userId: number,
  credential: Credential,
  life: number | null,
  permissions: readonly Permission[] = ['market_data', 'account_updates'],
): void {
  const expiresAt = life === null ? null : START + life;
  proofs[name] = { principal: principalOf(userId, credential, permissions), expiresAt };
}
proof('ada', 1, { kind: 'session', sid: 'a1' }, 10_000);
proof('ada-later', 1, { kind: 'session', sid: 'a1' }, 60_000);
proof('ada-again', 1, { kind: 'session', sid: 'a2' }, 20_000);
proof('bob', 2, { kind: 'session', sid: 'b1' }, 10_000);
proof('key', 1, { kind: 'api-key', keyId: 'k1' }, null);
proof('other-key', 1, { kind: 'api-key', keyId: 'k2' }, null);
proof('narrow-key', 1, { kind: 'api-key', keyId: 'k3' }, null, ['market_data']);

/** A gateway to connections that knows them all. */
export function kit(options: Partial<KitOptions> = {}): Kit {
  const made: Kit = createKit({
    authenticate: (token) => {
      const found = proofs[token];
      if (found === undefined) throw new Refusal('unauthorized', 'the test says so');
      return { ...found, asOf: made.applied };
    },
    principal: async (userId, credential) => principalOf(userId, credential),
    ...options,
  });
  return made;
}

// biome-ignore lint/suspicious/noExplicitAny: messages are looked into freely
export const heard = (line: Line): any[] => line.said.map((text) => JSON.parse(text));
export const pushes = (line: Line, channel: string) =>
  heard(line).filter(({ e, channel: named }) => (e ?? named) === channel);
export const login = (token: string) => ({ op: 'login', args: [{ accessToken: token }], id: 1 });
export const subscribe = (arg: object, id = 2) => ({ op: 'subscribe', args: [arg], id });
export const order = (account: number, n: number) => draft(ORDERS, `${MARKET}/${account}`, { n });
