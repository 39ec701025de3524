/** What a gateway tells about itself: both listeners, clock, readiness, store, keys. */
import { exchange } from '../session/api.ts';
import { type Finding, isUnreachable, messageOf, ok, problem, skipped, warning } from './finding.ts';

/** API-key tokens allow for five seconds between the clocks; beyond two it is time to look. */
const SKEW_WARNS_MS = 2000;
const SKEW_BREAKS_MS = 5000;
const SLOW_CHECK_MS = 250;
const headers = { accept: 'application/json' };

export async function* checkPublic(base: string, stop: AbortSignal): AsyncGenerator<Finding> {
  const { origin } = new URL(base);
  let keys: unknown;
  try {
    const sentAt = Date.now();
    const { response, text } = await exchange(`${origin}/.well-known/jwks.json`, {
      method: 'GET',
      headers,
      signal: stop,
    });
    const receivedAt = Date.now();
    yield ok('public', `${origin} answers in ${receivedAt - sentAt} ms`);
    yield clock(response.headers.get('date'), sentAt, receivedAt);
    keys = response.ok ? (JSON.parse(text) as { keys?: unknown }).keys : null;
  } catch (error) {
    yield problem(
      'public',
      messageOf(error),
      isUnreachable(error)
        ? 'start it (`npm start`, or `countersign serve`), or give its address with --url or --profile'
        : 'is this the address of a Countersign gateway?',
    );
    return;
  }
  const count = Array.isArray(keys) ? keys.length : 0;
  if (count === 0)
    yield problem('keys.published', 'no signing keys are published', 'is this a Countersign gateway?');
  else if (count === 1)
    yield warning(
      'keys.published',
      'one signing key is published, and none for the next rotation',
      'look at the gateway’s log for what keeps it from making the next key',
    );
  else yield ok('keys.published', `${count} signing keys are published: the active, the next, retired ones`);
}

/** Dates carry whole seconds, so half a second is added, and the answer may be from any moment of the call. */
function clock(date: string | null, sentAt: number, receivedAt: number): Finding {
  const server = date === null ? Number.NaN : Date.parse(date) + 500;
  if (Number.isNaN(server)) return skipped('clock', 'the answer carries no Date', 'ask the gateway directly');
  const skew = server - (sentAt + receivedAt) / 2;
  const unsure = 500 + (receivedAt - sentAt) / 2;
  const certain = Math.max(0, Math.abs(skew) - unsure);
  const seconds = (Math.abs(skew) / 1000).toFixed(1);
  const says = `this clock is about ${seconds} s ${skew > 0 ? 'behind' : 'ahead of'} the gateway's`;
  const mend = 'set the clock by NTP on the machine that is wrong (timedatectl set-ntp true)';
  if (certain > SKEW_BREAKS_MS)
    return problem('clock', `${says}: tokens that are signed here are refused`, mend);
  if (certain > SKEW_WARNS_MS) return warning('clock', says, mend);
  return ok('clock', certain === 0 ? 'the clocks agree within a second' : says);
}

interface Ready {
  status: string;
  checks?: Record<string, { ok: boolean; ms: number | null }>;
  facts?: Record<string, number | string>;
}

export async function* checkInternal(origin: string, stop: AbortSignal): AsyncGenerator<Finding> {
  let answer: Ready;
  try {
    const { text } = await exchange(`${origin}/readyz?verbose`, { method: 'GET', headers, signal: stop });
    answer = JSON.parse(text) as Ready;
  } catch (error) {
    yield problem(
      'internal',
      messageOf(error),
      'run this where the internal listener can be reached, and name it with --internal-url',
    );
    return;
  }
  const facts = Object.entries(answer.facts ?? {}).map(([name, value]) => `${name} ${value}`);
  yield answer.status === 'ready'
    ? ok('internal', `${origin} is ready${facts.length === 0 ? '' : ` (${facts.join(', ')})`}`)
    : problem(
        'internal',
        `${origin} is ${answer.status}`,
        answer.status === 'draining' ? 'it is being stopped: ask another node' : 'see the checks below',
      );
  for (const [name, { ok: good, ms }] of Object.entries(answer.checks ?? {})) {
    const took = ms === null ? 'no answer in time' : `${ms} ms`;
    if (!good)
      yield problem(`ready.${name}`, `${name}: ${took}`, `look at the ${name} and at the gateway's log`);
    // Of access it is the age of what is known, which grows to a second where the log is read once a second.
    else if (name !== 'access' && (ms ?? 0) > SLOW_CHECK_MS)
      yield warning(`ready.${name}`, `${name} answers slowly: ${took}`, `look at the load of the ${name}`);
    else yield ok(`ready.${name}`, `${name}: ${took}`);
  }
}

interface AuditEntry {
  at: number;
  action: string;
}

/** A probe of the store through the admin API: reads it, and checks the chain of the audit log. */
export async function* checkStore(
  ask: <Data>(path: string) => Promise<Data>,
  keyLife: number,
): AsyncGenerator<Finding> {
  try {
    const sentAt = performance.now();
    const { entries } = await ask<{ entries: AuditEntry[] }>('/audit?limit=500');
    yield ok(
      'store',
      `reads the newest ${entries.length} audit entries in ${Math.round(performance.now() - sentAt)} ms`,
    );
    yield keyAge(entries, keyLife);
    const { rows, brokenAt } = await ask<{ rows: number; brokenAt: number | null }>('/audit/verify');
    yield brokenAt === null
      ? ok('store.audit', `the audit log is whole (${rows} entries)`)
      : problem(
          'store.audit',
          `the audit log does not hold together from entry ${brokenAt} on`,
          'keep the database as it is and investigate',
        );
    const { head, applied, fresh } = await ask<{ head: number; applied: number; fresh: boolean }>(
      '/changes/position',
    );
    yield fresh
      ? ok('store.changes', `this node has applied ${applied} of ${head} access changes`)
      : warning(
          'store.changes',
          `this node has applied ${applied} of ${head} access changes: revocations may be late`,
          'look at the broker and the database',
        );
  } catch (error) {
    yield problem('store', messageOf(error), 'check the admin token (--data-dir) and the gateway’s log');
  }
}

function keyAge(entries: readonly AuditEntry[], keyLife: number): Finding {
  const turn = entries.find(({ action }) => /^signing-keys\.(?:rotate|revoke)$/.test(action));
  const oldest = entries.at(-1);
  const at = turn?.at ?? oldest?.at;
  if (at === undefined) return ok('keys.age', 'no rotation yet: the audit log is empty');
  const days = Math.max(0, (Date.now() - at) / 86_400_000);
  const says =
    turn === undefined
      ? `no rotation among the last ${entries.length} audit entries, which go back ${days.toFixed(1)} days`
      : `the active key was taken into use ${days.toFixed(1)} days ago`;
  if (keyLife > 0 && days * 86_400 > keyLife * 1.1)
    return warning(
      'keys.age',
      `${says}, longer than its ${keyLife / 86_400} days`,
      'countersign signing-keys rotate',
    );
  return ok('keys.age', says);
}
