/**
 * REST answers of the wallet login, as ETHGas clients read them. Instants are UNIX seconds where JWTs speak
 * (`iat`, `exp`, `expiresAt`) and milliseconds since 1970 elsewhere (`updateDate`).
 */

/** Envelope of every successful answer; errors are an `ErrorBody`. */
export interface Success<Data> {
  success: true;
  data: Data;
}

/** `POST /v1/user/login`. Both members are strings: clients parse `eip712Message` themselves. */
export interface LoginAnswer {
  status: 'verify';
  /** EIP-712 typed data as JSON text; its `message.hash` equals `nonceHash`. */
  eip712Message: string;
  /** Lower-case hex without `0x`; 8 characters by default. */
  nonceHash: string;
}

export interface RestAccount {
  accountId: number;
  userId: number;
  /** 1 = current, 2 = trading. */
  type: number;
  name: string;
  /** 1 = active. */
  status: number;
  /** Milliseconds since 1970. */
  updateDate: number;
}

export interface RestUser {
  userId: number;
  address: string;
  /** 1 = active. */
  status: number;
  userType: number;
  userClass: number;
  displayName?: string | null;
  accounts: RestAccount[];
}

/** Claims of an access or refresh token. Extra claims are harmless: no known client decodes strictly. */
export interface UserTokenPayload {
  user: { userId: number; address: string; roles: string[] };
  access_type: 'access_token' | 'refresh_token';
  /** UNIX seconds. */
  iat: number;
  /** UNIX seconds. */
  exp: number;
}

/** The object form of an access token: the form that connectors read. */
export interface AccessTokenObject {
  token: string;
  /** UNIX seconds. */
  expiresAt: number;
  data: { header: { alg: string; typ: string }; payload: UserTokenPayload };
}

/** `POST /v1/user/login/verify` and `/login/refresh`. `accessToken` is a string where the caller asked for that. */
export interface SessionAnswer {
  user: RestUser;
  accessToken: AccessTokenObject | string;
  refreshToken: string;
  /** Seconds that the access token is valid. */
  expiresIn: number;
}

/** `POST /v1/user/logout`: the sentence stands in both places that clients look. */
export interface LogoutAnswer extends Success<{ message: string }> {
  message: string;
}

/** Names of the cookies that carry the refresh token. The first one is sent first: some clients take any first cookie. */
export const REFRESH_COOKIES = Object.freeze(['x_auth_refresh_token', 'refreshToken'] as const);
