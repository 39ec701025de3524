/** What a socket costs before it is one: asked by every door that takes upgrades. */
import { Refusal } from '@countersign/protocol';
import type { Principal } from '../session/principal.ts';
import type { ConnectionServices } from './services.ts';

type Services = Pick<ConnectionServices, 'meter' | 'roomFor'>;

/**
 * Counts a handshake of a source, before any credential is looked at (R27).
 *
 * @param withCredential it brings a credential, which will be checked
 * @throws Refusal `rate_limited`
 */
export async function admitHandshake(
  { meter: { limits, weights } }: Services,
  source: string,
  withCredential: boolean,
): Promise<void> {
  const opened = await limits.charge('handshake', source, null);
  const shown =
    withCredential && opened?.admitted !== false
      ? await limits.charge('login', source, null, { weight: weights.login })
      : null;
  for (const charged of [opened, shown]) {
    if (charged !== null && !charged.admitted) {
      const retryAfter = charged.retryAfter ?? 1;
      throw new Refusal('rate_limited', `handshake: ${charged.by}`, { retryAfter });
    }
  }
}

/**
 * To be asked in the same turn in which the connection is made: nothing may come between.
 *
 * @throws Refusal `too_many_connections` if the user has as many as the tier allows
 */
export function requireRoom({ roomFor }: Services, principal: Principal): void {
  if (roomFor(principal).connections > 0) return;
  throw new Refusal('too_many_connections', 'connections', { retryAfter: 5 });
}
