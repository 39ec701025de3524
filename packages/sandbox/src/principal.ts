/** Who is signed in at the gateway, as it tells its backends. */
export interface Account {
  accountId: number;
  /** 1 current, 2 trading. */
  type: number;
}

export interface Principal {
  userId: string;
  accounts: readonly Account[];
}

/** The account that trades: type 2, else the first. */
export const tradingAccount = (principal: Principal): Account | undefined =>
  principal.accounts.find((account) => account.type === 2) ?? principal.accounts[0];

/** Reads a list of principals from JSON of the gateway; entries that are not understood are left out. */
export function readPrincipal(value: unknown): Principal | null {
  if (typeof value !== 'object' || value === null) return null;
  const { userId, accounts } = value as { userId?: unknown; accounts?: unknown };
  if (typeof userId !== 'string' && typeof userId !== 'number') return null;
  return { userId: String(userId), accounts: readAccounts(accounts) };
}

export function readAccounts(value: unknown): Account[] {
  if (!Array.isArray(value)) return [];
  const accounts: Account[] = [];
  for (const entry of value.slice(0, 50) as unknown[]) {
    if (typeof entry === 'number') {
      accounts.push({ accountId: entry, type: accounts.length === 0 ? 1 : 2 });
    } else if (typeof entry === 'object' && entry !== null) {
      const { accountId, type } = entry as { accountId?: unknown; type?: unknown };
      const id = Number(accountId);
      if (Number.isSafeInteger(id)) accounts.push({ accountId: id, type: type === 2 ? 2 : 1 });
    }
  }
  return accounts;
}
