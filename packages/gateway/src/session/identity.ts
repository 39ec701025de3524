/** Everything about who is who, put together from its parts: what `gateway.ts` needs of this folder. */
import { ready } from '@countersign/tokens';
import type { Broker } from '../broker/broker.ts';
import type { Clock } from '../operations/clock.ts';
import type { Config } from '../operations/config.ts';
import type { Store } from '../store/store.ts';
import { type AccessChanges, createAccessChanges } from './access-changes.ts';
import { type AccessTokens, createAccessTokens } from './access-tokens.ts';
import { type Authenticator, type BearerScheme, createAuthenticator } from './authenticate.ts';
import { createContractWallets } from './contract-wallet.ts';
import { createDirectory, type Directory } from './directory.ts';
import { createFailureLimiter, type FailureLimiter } from './failure-limiter.ts';
import type { KeyEncryption } from './key-encryption.ts';
import { createSessions, type Sessions } from './sessions.ts';
import { createSigningKeys, type SigningKeys } from './signing-keys.ts';
import { createWalletLogin, type WalletLogin } from './wallet-login.ts';

export interface Identity<Schemes = Record<string, BearerScheme>> {
  signingKeys: SigningKeys;
  accessTokens: AccessTokens;
  changes: AccessChanges;
  directory: Directory;
  walletLogin: WalletLogin;
  sessions: Sessions;
  authenticator: Authenticator;
  /** What `schemes` made. */
  schemes: Schemes;
  /** Stops following the store. Leaves store and broker open: they are not ours. Idempotent. */
  close(): void;
}

export interface IdentityDependencies<Schemes = Record<string, BearerScheme>> {
  store: Store;
  broker: Broker;
  /** Not set back: see `createSteadyClock`. */
  clock: Clock;
  config: Config;
  kek: KeyEncryption;
  random: (n: number) => Uint8Array;
  /** Further kinds of bearer tokens; given the directory and changes, which they share. */
  schemes?: (shared: { directory: Directory; changes: AccessChanges }) => Schemes;
  failures?: FailureLimiter;
  /** False while this node's clock is surely wrong: nothing with a time in it is issued then. Default: it is right. */
  clockAgrees?: () => boolean;
  /** Told what went wrong in the background; for the log. */
  onProblem?: (problem: unknown) => void;
}

/** Loads keys and the wallet engine and starts to follow the change log. */
export async function createIdentity<Schemes extends Record<string, BearerScheme> = Record<string, never>>({
  store,
  broker,
  clock,
  config,
  kek,
  random,
  schemes = () => ({}) as Schemes,
  failures = createFailureLimiter({ clock }),
  clockAgrees = () => true,
  onProblem = () => {},
}: IdentityDependencies<Schemes>): Promise<Identity<Schemes>> {
  const { accessTtl, leeway } = config.tokens;
  await ready();
  const changes = await createAccessChanges({
    store,
    broker,
    clock,
    // Nobody else writes to a file of one's own, or hardly ever: an operator's tool.
    pollMs: config.store.pollMs ?? (config.store.url === null ? 1000 : 250),
    endedFor: (accessTtl + leeway) * 1000,
    onProblem,
  });
  // After the change log, so that no rotation falls between reading the keys and following their changes.
  const signingKeys = await createSigningKeys({ store, kek, clock, config, clockAgrees, onProblem });
  changes.onChange((change) => {
    if (change.kind === 'signing-keys-changed') signingKeys.reload().catch(onProblem);
  });
  const accessTokens = createAccessTokens({ signingKeys, clock, config, random });
  const directory = createDirectory({ store, changes, now: clock.now });
  const contractWallets = createContractWallets({ config, clock, onProblem });
  const walletLogin = createWalletLogin({
    store,
    clock,
    config,
    random,
    accessTokens,
    contractWallets,
    failures,
    changes,
    clockAgrees,
  });
  const sessions = createSessions({
    store,
    broker,
    clock,
    config,
    random,
    accessTokens,
    changes,
    contractWallets,
    clockAgrees,
    onProblem,
  });
  const made = schemes({ directory, changes });
  const authenticator = createAuthenticator({
    accessTokens,
    signingKeys,
    changes,
    directory,
    config,
    schemes: Object.values(made),
  });
  return {
    signingKeys,
    accessTokens,
    changes,
    directory,
    walletLogin,
    sessions,
    authenticator,
    schemes: made,
    close() {
      changes.close();
      signingKeys.close();
    },
  };
}
