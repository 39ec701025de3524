/**
 * The keys that sign our own tokens. One is active; the next is published before it is first used, so that
 * whoever caches the key set knows it in time; retired ones go on verifying until the last token they signed
 * has died, so that a rotation never refuses a valid token (R82).
 *
 * Life of a key: `next` -> `active` -> `retired` -> gone; an emergency makes it `revoked` at any point.
 */
import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { type EcPublicJwk, publicJwk, thumbprint } from '@countersign/tokens';
import { publicKeyObject } from '@countersign/tokens/node';
import type { Clock } from '../operations/clock.ts';
import type { Config } from '../operations/config.ts';
import type { SigningKeyRecord, Store } from '../store/store.ts';
import type { KeyEncryption } from './key-encryption.ts';
import { requireClock } from './require-clock.ts';

/** RFC 7517 JWK with public members only (R17): `kty, crv, x, y, kid, alg, use`. */
export type PublishedKey = EcPublicJwk & { readonly kid: string };

export interface SigningKeys {
  active(): { kid: string; privateKey: KeyObject };
  /** The public key of that name, if tokens of it may be accepted. Exact match only (R10). */
  verifier(kid: string): KeyObject | null;
  /** Everything that verifies, the next key included. */
  jwks(): { keys: PublishedKey[] };
  /** Every key of the set with its place in life, newest last. Without any key material. */
  list(): KeyStanding[];
  /**
   * Takes the next key into use at once. The old one goes on verifying.
   *
   * @param emergency ends every key there is, the unused next one included, and makes two new ones: all access
   *   and refresh tokens die and everybody has to log in again
   * @param actor for the audit log: `operator:admin`, `system`
   * @returns `publishedFor`: seconds for which the key had been published before this first use; less than the
   *   configured lead means that outside verifiers may not know it yet
   */
  rotate(options: { emergency?: boolean; actor: string }): Promise<Rotation>;
  /** Reads the set again. Call it when the change log says `signing-keys-changed`. */
  reload(): Promise<void>;
  /**
   * For a token of a key unknown here: looks whether another node has just made it. Asks the store at most
   * once a second, whatever is presented (R10).
   */
  reloadForUnknown(): Promise<void>;
  close(): void;
}

export interface Rotation {
  kid: string;
  retired: string;
  publishedFor: number;
}

/** Where a key is in its life; times in wall-clock milliseconds. */
export type KeyStanding = Pick<
  SigningKeyRecord,
  'kid' | 'alg' | 'state' | 'createdAt' | 'activatedAt' | 'retiredAt'
>;

interface LoadedKey {
  published: PublishedKey;
  publicKey: KeyObject;
}

interface KeySet {
  revision: number;
  records: SigningKeyRecord[];
  byKid: Map<string, LoadedKey>;
  active: { kid: string; privateKey: KeyObject };
}

const CHECK_EVERY_MS = 60_000;
const UNKNOWN_EVERY_MS = 1000;
/** Tries against other nodes that rotate at the same moment. */
const MAX_TRIES = 5;

/**
 * Loads the keys, making the first two on an empty store, and keeps to the schedule of the configuration.
 *
 * @param onProblem told when a scheduled rotation fails; for the log. The old key stays in use meanwhile.
 * @throws Error if a key cannot be opened with this key-encryption key
 */
export async function createSigningKeys({
  store,
  kek,
  clock,
  config,
  clockAgrees = () => true,
  onProblem = () => {},
}: {
  store: Store;
  kek: KeyEncryption;
  clock: Clock;
  config: Pick<Config, 'tokens'>;
  clockAgrees?: () => boolean;
  onProblem?: (problem: unknown) => void;
}): Promise<SigningKeys> {
  const { signingKeyLife, signingKeyLead, refreshTtl, leeway } = config.tokens;
  const verifyFor = (refreshTtl + leeway) * 1000;
  let lastUnknown = Number.NEGATIVE_INFINITY;
  let reloading: Promise<void> | null = null;
  /** Public keys already imported. */
  let imported: ReadonlyMap<string, LoadedKey> = new Map();

  let current = await loadOrCreate();

  async function loadOrCreate(): Promise<KeySet> {
    for (let attempt = 0; attempt < MAX_TRIES; attempt += 1) {
      const revision = await store.signingKeys.revision();
      const records = await store.signingKeys.list();
      // Another node may have replaced the set between the two reads.
      if ((await store.signingKeys.revision()) !== revision) continue;
      if (records.some(({ state }) => state === 'active')) return open(revision, records);
      const at = clock.now();
      const first = [...records, activate(makeKey(at), at), makeKey(at)];
      const replaced = await store.signingKeys.replace(first, revision, at);
      if (replaced !== 'stale') return open(replaced.revision, first);
    }
    throw new Error('the signing keys keep changing; another node rotates without end');
  }

  function makeKey(at: number): SigningKeyRecord {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const jwk = publicKey.export({ format: 'jwk' });
    const kid = thumbprint(jwk);
    return {
      kid,
      alg: 'ES256',
      publicJwk: JSON.stringify(jwk),
      wrapped: kek.wrap(privateKey.export({ format: 'der', type: 'pkcs8' }), wrapContext(kid)),
      state: 'next',
      createdAt: at,
      activatedAt: null,
      retiredAt: null,
    };
  }

  function open(revision: number, records: SigningKeyRecord[]): KeySet {
    const byKid = new Map<string, LoadedKey>();
    let active: KeySet['active'] | null = null;
    for (const record of records) {
      if (record.state === 'revoked') continue;
      const known = imported.get(record.kid);
      byKid.set(record.kid, known ?? loadPublic(record));
      if (record.state === 'active') active = { kid: record.kid, privateKey: openPrivate(record) };
    }
    if (active === null) throw new Error('the store holds no active signing key');
    imported = byKid;
    return { revision, records, byKid, active };
  }

  function openPrivate(record: SigningKeyRecord): KeyObject {
    let der: Uint8Array;
    try {
      der = kek.unwrap(record.wrapped, wrapContext(record.kid));
    } catch {
      throw new Error(
        `signing key ${record.kid} cannot be opened: key-encryption.key is not the one it was made with; restore it from your backup`,
      );
    }
    return createPrivateKey({ key: Buffer.from(der), format: 'der', type: 'pkcs8' });
  }

  async function rotate({ emergency = false, actor }: { emergency?: boolean; actor: string }) {
    if (!emergency) requireClock(clockAgrees);
    for (let attempt = 0; attempt < MAX_TRIES; attempt += 1) {
      const at = clock.now();
      const before = current;
      const next = before.records.find(({ state }) => state === 'next');
      const rotated = emergency || next === undefined ? makeKey(at) : next;
      const kept = before.records
        .filter(({ kid }) => kid !== rotated.kid)
        .map((record) => (emergency ? revoke(record, at) : retire(record, at)))
        .filter(({ retiredAt }) => retiredAt === null || at - retiredAt <= verifyFor);
      const records = [...kept, activate(rotated, at), makeKey(at)];
      const replaced = await store.signingKeys.replace(records, before.revision, at);
      if (replaced === 'stale') {
        await reload();
        continue;
      }
      current = open(replaced.revision, records);
      const rotation: Rotation = {
        kid: rotated.kid,
        retired: before.active.kid,
        publishedFor: Math.max(0, Math.floor((at - rotated.createdAt) / 1000)),
      };
      await store.audit.append({
        at,
        actor,
        action: emergency ? 'signing-keys.revoke' : 'signing-keys.rotate',
        target: rotation.kid,
        source: null,
        detail: JSON.stringify({ retired: rotation.retired, publishedFor: rotation.publishedFor }),
      });
      return rotation;
    }
    throw new Error('another node keeps rotating the signing keys');
  }

  function reload(): Promise<void> {
    reloading ??= loadOrCreate()
      .then((loaded) => {
        // A rotation of our own may have finished while the store was being read.
        if (loaded.revision >= current.revision) current = loaded;
      })
      .finally(() => {
        reloading = null;
      });
    return reloading;
  }

  async function keepSchedule(): Promise<void> {
    // A clock of another year would take keys out of use that still verify live tokens, on all nodes.
    if (!clockAgrees()) return;
    const now = clock.now();
    const active = current.records.find(({ state }) => state === 'active');
    const next = current.records.find(({ state }) => state === 'next');
    const due = signingKeyLife > 0 && now - (active?.activatedAt ?? now) >= signingKeyLife * 1000;
    const published = next !== undefined && now - next.createdAt >= signingKeyLead * 1000;
    if (due && published) await rotate({ actor: 'system' });
    else await prune(now);
  }

  async function prune(at: number): Promise<void> {
    const { records, revision } = current;
    const kept = records.filter(({ retiredAt }) => retiredAt === null || at - retiredAt <= verifyFor);
    if (kept.length === records.length) return;
    const replaced = await store.signingKeys.replace(kept, revision, at);
    if (replaced === 'stale') return reload();
    current = open(replaced.revision, kept);
  }

  let checking = false;
  const stop = clock.every(CHECK_EVERY_MS, () => {
    if (checking) return;
    checking = true;
    keepSchedule()
      .catch(onProblem)
      .finally(() => {
        checking = false;
      });
  });

  return {
    active: () => current.active,
    verifier: (kid) => current.byKid.get(kid)?.publicKey ?? null,
    jwks: () => ({ keys: [...current.byKid.values()].map(({ published }) => ({ ...published })) }),
    list: () =>
      current.records.map(({ kid, alg, state, createdAt, activatedAt, retiredAt }) => {
        return { kid, alg, state, createdAt, activatedAt, retiredAt };
      }),
    rotate,
    reload,
    async reloadForUnknown() {
      const now = clock.monotonic();
      if (now - lastUnknown < UNKNOWN_EVERY_MS) return reloading ?? undefined;
      lastUnknown = now;
      await reload();
    },
    close: stop,
  };
}

const wrapContext = (kid: string): string => `signing-key/${kid}`;

const activate = (record: SigningKeyRecord, at: number): SigningKeyRecord => ({
  ...record,
  state: 'active',
  activatedAt: at,
});

/** The private part is destroyed: from here on nobody can sign with the key, whoever gets the database and the KEK. */
const retire = (record: SigningKeyRecord, at: number): SigningKeyRecord =>
  record.state === 'active'
    ? { ...record, state: 'retired', retiredAt: at, wrapped: new Uint8Array(0) }
    : record;

const revoke = (record: SigningKeyRecord, at: number): SigningKeyRecord =>
  record.state === 'revoked'
    ? record
    : { ...record, state: 'revoked', retiredAt: at, wrapped: new Uint8Array(0) };

function loadPublic(record: SigningKeyRecord): LoadedKey {
  const published = publicJwk(JSON.parse(record.publicJwk) as object, { kid: record.kid }) as PublishedKey;
  return { published, publicKey: publicKeyObject(published) };
}
