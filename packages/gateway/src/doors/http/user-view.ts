/** Users, sessions and fresh sign-ins in the words of the wallet routes (wire facts 1.6, 4.2). */
import type { SignedIn } from '../../session/sessions.ts';
import type { Session, User } from '../../store/store.ts';

export const userView = (user: User) => ({
  userId: user.userId,
  // A Go client reads this into a string, never null.
  address: user.address ?? '',
  status: user.status,
  userType: user.userType,
  userClass: user.userClass,
  displayName: user.displayName ?? '',
  payoutAddress: user.payoutAddress ?? '',
  accounts: user.accounts.map(({ accountId, userId, type, name, status, updateDate }) => ({
    accountId,
    userId,
    type,
    name,
    status,
    updateDate,
  })),
});

export const sessionView = (session: Session, currentSid: string | null) => ({
  sid: session.sid,
  current: session.sid === currentSid,
  chainId: session.chainId,
  wallet: session.wallet,
  rotation: session.rotation,
  createdAt: session.createdAt,
  expiresAt: session.expiresAt,
  lastRefreshAt: session.lastRefreshAt,
  source: session.source,
  userAgent: session.userAgent,
});

/**
 * The answer to verify and refresh that every known client can read.
 *
 * @param flat gives `accessToken` as a plain string, the shape of the older documents
 * @param now seconds since 1970
 */
export const signedInView = ({ user, access, refresh }: SignedIn, flat: boolean, now: number) => ({
  user: userView(user),
  accessToken: flat
    ? access.token
    : {
        token: access.token,
        expiresAt: access.expiresAt,
        data: { header: access.header, payload: access.payload },
      },
  refreshToken: refresh.token,
  expiresIn: Math.max(0, access.expiresAt - now),
});
