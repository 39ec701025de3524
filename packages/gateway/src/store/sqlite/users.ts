import type Database from 'libsql';
import { toUser } from '../rows.ts';
import type { AccountRow, UserRow } from '../schema.ts';
import type { NewUser, User, UserStore } from '../store.ts';
import type { AppendChange } from './changes.ts';
import type { GroupCommit } from './group-commit.ts';
import { build, prepare } from './statement.ts';

const ACTIVE = 1;
/** The numbers that ETHGas clients see in an ordinary user (wire facts 1.6). */
const USER_TYPE = 1;
const USER_CLASS = 1;
const STANDARD_ACCOUNTS = [
  { type: 1, name: 'Current' },
  { type: 2, name: 'Trading' },
];

export interface SqliteUsers {
  store: UserStore;
  /** `store.create` without a transaction of its own, for one that makes more than a user. */
  create(user: NewUser): User;
}

export function sqliteUsers(db: Database.Database, commits: GroupCommit, append: AppendChange): SqliteUsers {
  const byId = prepare(db)<{ userId: number }>()((v) =>
    build.selectFrom('users').selectAll().where('user_id', '=', v.userId),
  );
  const byAddress = prepare(db)<{ address: string }>()((v) =>
    build.selectFrom('users').selectAll().where('address', '=', v.address),
  );
  const newest = prepare(db)<{ before: number; limit: number }>()((v) =>
    build
      .selectFrom('users')
      .selectAll()
      .where('user_id', '<', v.before)
      .orderBy('user_id', 'desc')
      .limit(v.limit),
  );
  const accountsOf = prepare(db)<{ userId: number }>()((v) =>
    build.selectFrom('accounts').selectAll().where('user_id', '=', v.userId).orderBy('account_id'),
  );
  const insert = prepare(db)<Omit<UserRow, 'user_id' | 'payout_address'>>()((v) =>
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
      .returningAll(),
  );
  const insertAccount = prepare(db)<Omit<AccountRow, 'account_id'>>()((v) =>
    build
      .insertInto('accounts')
      .values({
        user_id: v.user_id,
        type: v.type,
        name: v.name,
        status: v.status,
        update_date: v.update_date,
      })
      .returningAll(),
  );
  const setProfile = prepare(db)<Pick<UserRow, 'user_id' | 'display_name' | 'payout_address'>>()((v) =>
    build
      .updateTable('users')
      .set({ display_name: v.display_name, payout_address: v.payout_address })
      .where('user_id', '=', v.user_id)
      .returningAll(),
  );
  const setAccess = prepare(db)<Pick<UserRow, 'user_id' | 'status' | 'roles' | 'permissions' | 'tier'>>()(
    (v) =>
      build
        .updateTable('users')
        .set({ status: v.status, roles: v.roles, permissions: v.permissions, tier: v.tier })
        .where('user_id', '=', v.user_id)
        .returningAll(),
  );

  const whole = (row: UserRow): User => toUser(row, accountsOf.all({ userId: row.user_id }));
  const wholeOrNull = (row: UserRow | undefined): User | null => (row ? whole(row) : null);

  function create(user: NewUser): User {
    const existing = user.address === null ? undefined : byAddress.get({ address: user.address });
    if (existing) return whole(existing);
    const row = insert.get({
      address: user.address,
      display_name: user.displayName,
      status: ACTIVE,
      user_type: USER_TYPE,
      user_class: USER_CLASS,
      roles: JSON.stringify(user.roles),
      permissions: JSON.stringify(user.permissions),
      tier: user.tier,
      created_at: user.createdAt,
    })!;
    const accounts = STANDARD_ACCOUNTS.map(
      ({ type, name }) =>
        insertAccount.get({
          user_id: row.user_id,
          type,
          name,
          status: ACTIVE,
          update_date: user.createdAt,
        })!,
    );
    return toUser(row, accounts);
  }

  const store: UserStore = {
    find: (userId) => commits.read(() => wholeOrNull(byId.get({ userId }))),
    findByAddress: (address) => commits.read(() => wholeOrNull(byAddress.get({ address }))),
    list: ({ limit, before }) =>
      commits.read(() => newest.all({ before: before ?? Number.MAX_SAFE_INTEGER, limit }).map(whole)),
    create: (user) => commits.write(() => create(user)),
    updateProfile: (userId, profile) =>
      commits.write(() => {
        const row = byId.get({ userId });
        if (!row) return null;
        return wholeOrNull(
          setProfile.get({
            user_id: userId,
            display_name: profile.displayName ?? row.display_name,
            payout_address: profile.payoutAddress ?? row.payout_address,
          }),
        );
      }),
    updateAccess: (userId, access, at) =>
      commits.write(() => {
        const row = byId.get({ userId });
        if (!row) return null;
        const updated = setAccess.get({
          user_id: userId,
          status: access.status ?? row.status,
          roles: access.roles ? JSON.stringify(access.roles) : row.roles,
          permissions: access.permissions ? JSON.stringify(access.permissions) : row.permissions,
          tier: access.tier ?? row.tier,
        })!;
        const active = updated.status === ACTIVE;
        const change = append({
          at,
          kind: active ? 'user-changed' : 'user-ended',
          subject: String(userId),
          reason: active ? 'access-changed' : 'suspended',
        });
        return { user: whole(updated), change };
      }),
  };
  return { store, create };
}
