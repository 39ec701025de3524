import { ACCESS_NOTICES, type CloseCode, ERRORS, type ErrorCode } from '@countersign/protocol';
import type { Authentication } from '../session/principal.ts';
import type { Json } from '../streams/publication.ts';
import type { Joined } from './dialect.ts';
import type { EthgasForm, EthgasPhrase } from './ethgas-phrase.ts';
import { positionText } from './read-json.ts';

/** Ready text answers to one connection. */
export interface EthgasAnswers {
  done(phrase: EthgasPhrase, more?: string): string;
  loggedIn(phrase: EthgasPhrase, who: Authentication): string;
  pong(phrase: EthgasPhrase): string;
  answered(phrase: EthgasPhrase, query: string, payload: Json): string;
  refused(phrase: EthgasPhrase, code: ErrorCode, message?: string): string[];
  subscribed(phrase: EthgasPhrase, joined: Joined): string;
  expired(form: EthgasForm): string;
  access(form: EthgasForm, event: keyof typeof ACCESS_NOTICES): string;
  closing(form: EthgasForm, close: CloseCode): string;
}

const SIGN_IN = 'Refresh the access token, then send login again.';
const HINTS: Partial<Record<ErrorCode, string>> = {
  unauthorized: SIGN_IN,
  token_expired: SIGN_IN,
  forbidden: 'Check the permissions of the account or key.',
  too_many_subscriptions: 'Unsubscribe from something first, or open another connection.',
  unknown_channel: 'Correct the name of the channel.',
};
const REMEDIES = {
  'sign-in': SIGN_IN,
  retry: 'Wait, then try again.',
  permanent: 'Correct the request: sent again unchanged it fails again.',
} as const;

const text = JSON.stringify;
const member = (name: string, json: string): string => (json === '' ? '' : `,"${name}":${json}`);

const expiredMessage = text(ERRORS.token_expired.message);
const cmdExpired = `{"cmd":"token_expired","data":{"message":${expiredMessage}}}`;

export function createEthgasAnswers(connectionId: string): EthgasAnswers {
  const connId = text(connectionId);

  function done({ form, command, id, arg }: EthgasPhrase, more = ''): string {
    if (form === 'cmd') {
      return `{"cmd":"${command}","status":"success","data":{"status":"success"}${member('arg', arg)}${more}${member('id', id)}}`;
    }
    return `{"event":"${command}"${member('arg', arg)},"code":0,"msg":"","connId":${connId}${more}${member('id', id)}}`;
  }

  return {
    done,

    loggedIn(phrase, { principal }) {
      if (phrase.form !== 'cmd') return done(phrase);
      const data = text({
        status: 'success',
        userId: String(principal.userId),
        username: principal.displayName ?? principal.address ?? String(principal.userId),
        permissions: [...principal.permissions],
        tier: principal.tier,
      });
      return `{"cmd":"login","status":"success","data":${data}${member('id', phrase.id)}}`;
    },

    pong({ form, id }) {
      if (form === 'text') return 'pong';
      if (form === 'cmd') {
        return `{"cmd":"pong","status":"success","data":{"status":"success"}${member('id', id)}}`;
      }
      return `{"event":"pong","code":0,"msg":"","connId":${connId}${member('id', id)}}`;
    },

    answered({ form, id, instrument, limit }, query, payload) {
      const about = `"q":${text(query)}${member('s', instrument)}${member('l', limit)}`;
      const content = text(payload);
      if (form === 'cmd') {
        return `{"cmd":"query","status":"success",${about},"data":${content}${member('id', id)}}`;
      }
      return `{${about},"P":${content}${member('id', id)}}`;
    },

    refused({ form, command, id, arg }, code, message) {
      const row = ERRORS[code];
      const login = command === 'login';
      const said = text(message ?? (login && code === 'unauthorized' ? 'Invalid access token' : row.message));
      const hint = text(HINTS[code] ?? REMEDIES[row.remedy]);
      if (form !== 'cmd') {
        return [
          `{"event":"error","code":${row.errorCode},"msg":${said},"connId":${connId}${member('arg', arg)},"hint":${hint}${member('id', id)}}`,
        ];
      }
      const answer =
        `{"cmd":"${login ? 'login' : 'error'}","status":"error","error":{"code":${row.status},"message":${said},"hint":${hint}},` +
        `"data":{"status":"error"}${login || command === 'error' ? '' : member('request', text(command))}${member('arg', arg)}${member('id', id)}}`;
      // The seed's client never refreshes on a refused login, only on this push (wire facts 1.11). Said for
      // any other refusal it would make that client log in again and again.
      return code === 'token_expired' ? [answer, cmdExpired] : [answer];
    },

    subscribed(phrase, { want, streams }) {
      if (want.channel.audience !== 'account') {
        const only = streams[0];
        if (only === undefined) return done(phrase);
        const recovered = only.recovered === null ? '' : String(only.recovered);
        return done(
          phrase,
          `${member('position', positionText(only.position))}${member('recovered', recovered)}`,
        );
      }
      const positions: string[] = [];
      const recovered: string[] = [];
      for (const stream of streams) {
        const account = text(stream.key.slice(stream.key.lastIndexOf('/') + 1));
        positions.push(`${account}:${positionText(stream.position)}`);
        if (stream.recovered !== null) recovered.push(`${account}:${stream.recovered}`);
      }
      const inside = (list: string[]) => (list.length === 0 ? '' : `{${list.join(',')}}`);
      return done(
        phrase,
        `${member('position', inside(positions))}${member('recovered', inside(recovered))}`,
      );
    },

    expired(form) {
      if (form === 'cmd') return cmdExpired;
      return `{"event":"token_expired","code":${ERRORS.token_expired.errorCode},"msg":${expiredMessage},"connId":${connId},"hint":${text(SIGN_IN)}}`;
    },

    access(form, event) {
      const said = text(ACCESS_NOTICES[event]);
      if (form === 'cmd') return `{"cmd":"${event}","data":{"message":${said}}}`;
      const code = event === 'access_confirmed' ? 0 : ERRORS.unavailable.errorCode;
      return `{"event":"${event}","code":${code},"msg":${said},"connId":${connId}}`;
    },

    closing(form, close) {
      const what = `"code":${close.code},"${form === 'cmd' ? 'message' : 'msg'}":${text(close.reason)},"next":"${close.then}"`;
      return form === 'cmd'
        ? `{"cmd":"closing","data":{${what}}}`
        : `{"event":"closing",${what},"connId":${connId}}`;
    },
  };
}
