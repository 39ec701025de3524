/** The calls of the wallet login, each once and without retrying. Who keeps tokens and when to call is decided elsewhere. */
import type { Clock } from '../clock.ts';
import type { ClockSkew } from '../clock-skew.ts';
import { CountersignError, RefusedError, SignerError } from '../errors.ts';
import { type Call, dataOf, type Reply, refusalOf } from '../http/caller.ts';
import type { LoginSigner } from '../signers/signer.ts';
import { readTokenAnswer, type TokenAnswer } from './answers.ts';
import { checkLoginMessage } from './login-message.ts';
import type { SessionRecord } from './record.ts';

export interface SessionApi {
  /** A whole login: ask, check, sign, verify. */
  login(signer: LoginSigner, signal?: AbortSignal): Promise<SessionRecord>;
  /**
   * The record after a refresh with the given token.
   *
   * @param refreshToken null lets the browser's cookie speak
   */
  refresh(record: SessionRecord, refreshToken: string | null): Promise<SessionRecord>;
  /** Ends the session behind the record. */
  logout(record: SessionRecord): Promise<void>;
}

export interface SessionApiOptions {
  baseUrl: string;
  call: Call;
  clock: Clock;
  skew: ClockSkew;
  rotation: 'strict' | 'adaptive';
  domain: string;
  chainId: number | undefined;
  /** Milliseconds that a session lives where its refresh token does not say. */
  sessionLife: number;
}

/** A JWT counts whole seconds (RFC 7519 section 2). */
const IAT_RESOLUTION = 1000;

export function createSessionApi(options: SessionApiOptions): SessionApi {
  const { baseUrl, call, clock, skew, rotation, domain, sessionLife } = options;
  const strict = rotation === 'strict' ? { rotation } : {};

  const serverNow = () => clock.now() + skew.offset;
  const refused = (reply: Reply, what: string) => refusalOf(reply, what, serverNow());

  function tokensOf(reply: Reply, what: string): TokenAnswer {
    const data = dataOf(reply);
    const answer = data === null ? null : readTokenAnswer(data, reply, serverNow());
    if (answer === null) throw refused(reply, what);
    // `Date` is the better witness, but browsers show it only to pages of the same origin.
    if (answer.dated && !reply.headers.has('date')) {
      skew.observe(answer.issuedAt, IAT_RESOLUTION, reply.sentAt, reply.receivedAt);
    }
    if (answer.expiresAt <= serverNow()) throw refused(reply, what);
    return answer;
  }

  async function sign(signer: LoginSigner, ...args: Parameters<LoginSigner['sign']>): Promise<string> {
    let signature: unknown;
    try {
      signature = await signer.sign(...args);
    } catch (error) {
      throw signerError(error);
    }
    const hex = typeof signature === 'string' ? signature.replace(/^0x/i, '') : '';
    if (!/^(?:[0-9a-fA-F]{2}){65,}$/.test(hex))
      throw new SignerError('signer_failed', 'The wallet gave no signature');
    return `0x${hex}`;
  }

  return {
    async login(signer, signal) {
      const stop = signal === undefined ? {} : { signal };
      const address = await signer.connect().catch((error: unknown) => {
        throw signerError(error);
      });
      const chainId = options.chainId ?? (await signer.chainId().catch(() => undefined));
      const chain = chainId === undefined ? {} : { chainId: String(chainId) };
      const asked = await call(`${baseUrl}/v1/user/login`, { form: { addr: address, ...chain }, ...stop });
      const challenge = dataOf(asked);
      if (challenge === null) throw refused(asked, 'The login');
      const { nonce, typedData } = checkLoginMessage(challenge.eip712Message, challenge.nonceHash, {
        chainId,
        domain,
      });
      const signature = await sign(signer, typedData, address);
      signal?.throwIfAborted();
      // From here on without the signal: an answer that nobody reads would be a session that nobody ends.
      const verified = await call(`${baseUrl}/v1/user/login/verify`, {
        form: { addr: address, nonceHash: nonce, signature, ...strict },
      });
      if (verified.status === 401) {
        const { message } = refused(verified, 'The signed login');
        throw new RefusedError('login_refused', message, {
          status: 401,
          serverCode: null,
          requestId: verified.headers.get('x-request-id'),
        });
      }
      const answer = tokensOf(verified, 'The signed login');
      const sessionStartedAt = answer.issuedAt;
      return {
        version: 1,
        baseUrl,
        address,
        userId: answer.userId,
        accessToken: answer.accessToken,
        accessIssuedAt: answer.issuedAt,
        accessExpiresAt: answer.expiresAt,
        refreshToken: answer.refreshToken,
        parentRefreshToken: null,
        sessionStartedAt,
        sessionExpiresAt: answer.refreshExpiresAt ?? sessionStartedAt + sessionLife,
      };
    },

    async refresh(record, refreshToken) {
      const form = { ...(refreshToken === null ? {} : { refreshToken }), ...strict };
      const reply = await call(`${baseUrl}/v1/user/login/refresh`, { form });
      const answer = tokensOf(reply, 'The refresh');
      // A cookie of another login in the same browser must not turn one account into another.
      if (answer.address !== null && answer.address !== '' && answer.address !== record.address) {
        throw new RefusedError('refused', 'The refresh answered for another account', {
          status: 403,
          serverCode: null,
          requestId: reply.headers.get('x-request-id'),
        });
      }
      const successor = answer.refreshToken ?? refreshToken;
      return {
        ...record,
        userId: answer.userId ?? record.userId,
        accessToken: answer.accessToken,
        accessIssuedAt: answer.issuedAt,
        accessExpiresAt: answer.expiresAt,
        refreshToken: successor,
        parentRefreshToken: successor === refreshToken ? null : refreshToken,
        sessionExpiresAt: answer.refreshExpiresAt ?? record.sessionExpiresAt,
      };
    },

    async logout(record) {
      const form = record.refreshToken === null ? {} : { refreshToken: record.refreshToken };
      const reply = await call(`${baseUrl}/v1/user/logout`, {
        headers: { authorization: `Bearer ${record.accessToken}` },
        form,
      });
      if (reply.status === 401 || reply.status === 403) return; // It has ended already.
      if (reply.status < 200 || reply.status > 299) throw refused(reply, 'The logout');
    },
  };
}

/** EIP-1193: 4001 is a person's no. ethers says it in words of its own. */
function signerError(error: unknown): CountersignError {
  if (error instanceof CountersignError) return error;
  const { code, cause } = (error ?? {}) as { code?: unknown; cause?: { code?: unknown } };
  const rejected = [code, cause?.code].some((one) => one === 4001 || one === 'ACTION_REJECTED');
  return rejected
    ? new SignerError('signer_rejected', 'The signature was declined in the wallet')
    : new SignerError('signer_failed', 'The wallet could not sign', { cause: error });
}

/** Statuses with which a server says that this refresh token is of no use, now and later. */
export function isFinalRefusal(error: unknown): boolean {
  if (!(error instanceof RefusedError)) return false;
  // A page's origin is not a matter of the session: a new login would not help.
  if (error.serverCode === 'error.auth.originRefused') return false;
  return error.status >= 400 && error.status < 500 && error.remedy !== 'retry';
}
