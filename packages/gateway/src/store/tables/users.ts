import { append, type Engine, type Op, prepare, rowsOf, type Step, together } from '../engine.ts';
import { toUser } from '../rows.ts';
import type { AccountRow, UserRow } from '../schema.ts';
import type { Change, NewUser, User, UserStore } from '../store.ts';

export const ACTIVE = 1;
/** The numbers that ETHGas clients see in an ordinary user (wire facts 1.6). */
const USER_TYPE = 1;
const USER_CLASS = 1;
const STANDARD_ACCOUNTS = [
  { type: 1, name: 'Current' },
  { type: 2, name: 'Trading' },
];

/** The store, and parts of it without a transaction of their own, for one that does more. */
export interface Users {
  store: UserStore;
  /** Finds or makes the user, and holds it until the transaction ends. */
  claim(user: NewUser): Op<UserRow>;
  hold(userId: number): Op<unknown>;
  accounts(userId: number): Step;
  whole(row: UserRow, accounts: AccountRow[]): User;
}

export function usersOn({ build, locking, read, write }: Engine): Users {
  const users = () => build.selectFrom('users').selectAll();
  const byId = prepare<{ userId: number }>()((v) => users().where('user_id', '=', v.userId));
  const byIdToChange = prepare<{ userId: number }>()((v) => locking(users().where('user_id', '=', v.userId)));
  const byAddress = prepare<{ address: string }>()((v) => users().where('address', '=', v.address));
  const byAddressToChange = prepare<{ address: string }>()((v) =>
    locking(users().where('address', '=', v.address)),
  );
  const newest = prepare<{ before: number; limit: number }>()((v) =>
    users().where('user_id', '<', v.before).orderBy('user_id', 'desc').limit(v.limit),
  );
  const accountsOf = prepare<{ userId: number }>()((v) =>
    build.selectFrom('accounts').selectAll().where('user_id', '=', v.userId).orderBy('account_id'),
  );
  const insert = prepare<Omit<UserRow, 'user_id' | 'payout_address'>>()((v) =>
    build
      .insertInto('users')
      .values({
        address: v.address,
        display_name: v.display_name,
        status: v.status,
        user_type: v.user_type,
        user_class: v.user_class,
        roles: v.roles,
        permissions: v.permissions,
        tier: v.tier,
        payout_address: null,
        created_at: v.created_at,
      })
      .onConflict((conflict) => conflict.doNothing())
      .returningAll(),
  );
  const insertAccount = prepare<Omit<AccountRow, 'account_id'>>()((v) =>
    build.insertInto('accounts').values({
      user_id: v.user_id,
      type: v.type,
      name: v.name,
      status: v.status,
      update_date: v.update_date,
    }),
  );
  const setProfile = prepare<Pick<UserRow, 'user_id' | 'display_name' | 'payout_address'>>()((v) =>
    build
      .updateTable('users')
      .set({ display_name: v.display_name, payout_address: v.payout_address })
      .where('user_id', '=', v.user_id)
      .returningAll(),
  );
  const setAccess = prepare<Pick<UserRow, 'user_id' | 'status' | 'roles' | 'permissions' | 'tier'>>()((v) =>
    build
      .updateTable('users')
      .set({ status: v.status, roles: v.roles, permissions: v.permissions, tier: v.tier })
      .where('user_id', '=', v.user_id)
      .returningAll(),
  );

  function* whole(row: UserRow): Op<User> {
    return toUser(row, yield* accountsOf.all({ userId: row.user_id }));
  }
  function* wholeOrNull(row: UserRow | undefined): Op<User | null> {
    return row ? yield* whole(row) : null;
  }

  function* make(user: NewUser): Op<UserRow | undefined> {
    const row = yield* insert.get({
      address: user.address,
      display_name: user.displayName,
      status: ACTIVE,
      user_type: USER_TYPE,
      user_class: USER_CLASS,
      roles: JSON.stringify(user.roles),
      permissions: JSON.stringify(user.permissions),
      tier: user.tier,
      created_at: user.createdAt,
    });
    if (!row) return undefined;
    const common = { user_id: row.user_id, status: ACTIVE, update_date: user.createdAt };
    yield* together(...STANDARD_ACCOUNTS.map((account) => insertAccount.with({ ...common, ...account })));
    return row;
  }

  function* claim(user: NewUser): Op<UserRow> {
    const { address } = user;
    const existing = address === null ? undefined : yield* byAddressToChange.get({ address });
    const row = existing ?? (yield* make(user));
    // Nothing was made: another has made the user of this address since, and it can be seen now.
    return row ?? (yield* byAddressToChange.get({ address: address as string }))!;
  }

  const store: UserStore = {
    find: (userId) =>
      read(function* () {
        return yield* wholeOrNull(yield* byId.get({ userId }));
      }),
    findByAddress: (address) =>
      read(function* () {
        return yield* wholeOrNull(yield* byAddress.get({ address }));
      }),
    list: ({ limit, before }) =>
      read(function* (): Op<User[]> {
        const rows = yield* newest.all({ before: before ?? Number.MAX_SAFE_INTEGER, limit });
        if (rows.length === 0) return [];
        const accounts = yield* together(...rows.map(({ user_id }) => accountsOf.with({ userId: user_id })));
        return rows.map((row, i) => toUser(row, rowsOf<AccountRow>(accounts[i])));
      }),
    create: (user) =>
      write(
        function* () {
          return yield* whole(yield* claim(user));
        },
        { name: `user ${user.address}` },
      ),
    updateProfile: (userId, profile) =>
      write(function* (): Op<User | null> {
        const row = yield* byIdToChange.get({ userId });
        if (!row) return null;
        return yield* wholeOrNull(
          yield* setProfile.get({
            user_id: userId,
            display_name: profile.displayName ?? row.display_name,
            payout_address: profile.payoutAddress ?? row.payout_address,
          }),
        );
      }),
    updateAccess: (userId, access, at) =>
      write(
        function* (): Op<{ user: User; change: Change } | null> {
          const row = yield* byIdToChange.get({ userId });
          if (!row) return null;
          const updated = (yield* setAccess.get({
            user_id: userId,
            status: access.status ?? row.status,
            roles: access.roles ? JSON.stringify(access.roles) : row.roles,
            permissions: access.permissions ? JSON.stringify(access.permissions) : row.permissions,
            tier: access.tier ?? row.tier,
          }))!;
          const user = yield* whole(updated);
          const active = updated.status === ACTIVE;
          const change = yield* append({
            at,
            kind: active ? 'user-changed' : 'user-ended',
            subject: String(userId),
            reason: active ? 'access-changed' : 'suspended',
          });
          return { user, change };
        },
        { name: `access of ${userId}` },
      ),
  };
  return {
    store,
    claim,
    hold: (userId) => byIdToChange.get({ userId }),
    accounts: (userId) => accountsOf.with({ userId }),
    whole: toUser,
  };
}
