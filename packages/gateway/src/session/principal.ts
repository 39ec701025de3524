/** Who is acting, whatever door and credential they came by. */

export const PERMISSIONS = ['market_data', 'account_updates', 'trading', 'transfer'] as const;
export type Permission = (typeof PERMISSIONS)[number];

/** An account of a user, in the shape that ETHGas clients read (wire facts 1.6). */
export interface Account {
  accountId: number;
  userId: number;
  /** 1 = current, 2 = trading. python-ethgas needs one of type 2. */
  type: number;
  name: string;
  status: number;
  /** Milliseconds since 1970. */
  updateDate: number;
}

/** Which credential a principal was resolved from. A revocation names one of these, or the user. */
export type Credential =
  | { readonly kind: 'session'; readonly sid: string }
  | { readonly kind: 'api-key'; readonly keyId: string }
  | { readonly kind: 'handshake-token'; readonly tokenId: string };

/** Resolved anew from current data at each request: changes apply to tokens that are already out (R54). */
export interface Principal {
  readonly userId: number;
  /** Lower-case `0x` address, or null for a user that no wallet belongs to. */
  readonly address: string | null;
  readonly displayName: string | null;
  readonly roles: readonly string[];
  readonly permissions: ReadonlySet<Permission>;
  /** Name of a tier in the configuration. */
  readonly tier: string;
  readonly accounts: readonly Account[];
  readonly credential: Credential;
  /** Wall-clock milliseconds at which the credential itself is over (the end of a key or token); absent or null: never. */
  readonly endsAt?: number | null;
}

/** A principal together with how long the proof of it lasts. */
export interface Authentication {
  readonly principal: Principal;
  /**
   * Wall-clock milliseconds (leeway included) after which this proof gives no right to anything private, or
   * null where only revocation ends it.
   */
  readonly expiresAt: number | null;
}
