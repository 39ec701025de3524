import type { Engine } from './engine.ts';
import type { Store } from './store.ts';
import { apiKeysOn } from './tables/api-keys.ts';
import { auditOn } from './tables/audit.ts';
import { challengesOn } from './tables/challenges.ts';
import { changesOn } from './tables/changes.ts';
import { handshakeTokensOn } from './tables/handshake-tokens.ts';
import { leasesOn } from './tables/leases.ts';
import { nodesOn } from './tables/nodes.ts';
import { probeOn } from './tables/probe.ts';
import { sessionsOn } from './tables/sessions.ts';
import { signingKeysOn } from './tables/signing-keys.ts';
import { sweepOn } from './tables/sweep.ts';
import { usersOn } from './tables/users.ts';

/** The whole store on a database that is open. */
export function storeOn(
  engine: Engine,
  {
    clock,
    close,
    pool = () => null,
  }: { clock: { monotonic(): number }; close(): Promise<void>; pool?: Store['pool'] },
): Store {
  const users = usersOn(engine);
  const audit = auditOn(engine);
  return {
    challenges: challengesOn(engine),
    users: users.store,
    sessions: sessionsOn(engine, users, audit),
    changes: changesOn(engine),
    signingKeys: signingKeysOn(engine),
    apiKeys: apiKeysOn(engine),
    handshakeTokens: handshakeTokensOn(engine),
    audit: audit.store,
    nodes: nodesOn(engine),
    leases: leasesOn(engine),
    sweep: sweepOn(engine),
    probe: probeOn(engine, clock),
    pool,
    close,
  };
}
