import { describe, it } from 'vitest';
import {
  type ApiKeyRules,
  checkApiKeyClaims,
  type JsonObject,
  parseCompact,
  type TokenErrorCode,
} from '../../src/index.ts';
import { expectRefusal, makeKey, rawToken } from '../support/raw-token.ts';

const NOW = 1_800_000_000;
const KID = 'organizations/o1/apiKeys/k1';
const KEY = makeKey('ES256');
const WS: ApiKeyRules = { kind: 'websocket', now: NOW };
const REST: ApiKeyRules = {
  kind: 'rest',
  now: NOW,
  method: 'GET',
  hosts: ['api.example.com', '127.0.0.1:8080'],
  path: '/api/v3/brokerage/accounts',
};
const URI = 'GET api.example.com/api/v3/brokerage/accounts';

interface Parts {
  readonly header?: object;
  readonly claims?: object;
}
function check({ header = {}, claims = {} }: Parts, rules: ApiKeyRules = WS): void {
  const all: JsonObject = { sub: KID, iss: 'cdp', nbf: NOW, exp: NOW + 120, ...claims };
  const token = rawToken(
    JSON.stringify({ alg: 'ES256', kid: KID, nonce: 'n', ...header }),
    JSON.stringify(all),
    KEY,
  );
  checkApiKeyClaims(parseCompact(token), rules);
}

describe('checkApiKeyClaims', () => {
  const accepted: readonly (readonly [string, Parts, ApiKeyRules?])[] = [
    ['the plain shape', {}],
    ['no nonce', { header: { nonce: undefined } }],
    ['a numeric nonce', { header: { nonce: 7 } }],
    ['typ jwt', { header: { typ: 'jwt' } }],
    ['the old issuer', { claims: { iss: 'coinbase-cloud' } }],
    ['a known audience as text', { claims: { aud: 'cdp_service' } }],
    ['a known audience among others', { claims: { aud: ['x', 'retail_rest_api_proxy'] } }],
    ['a life of 119 s', { claims: { exp: NOW + 119 } }],
    ['a clock 4 s fast', { claims: { nbf: NOW + 4, exp: NOW + 124 } }],
    ['a clock 124 s slow', { claims: { nbf: NOW - 124, exp: NOW - 4 } }],
    ['iat in place of nbf', { claims: { nbf: undefined, iat: NOW } }],
    ['a bare UUID as key name', { header: { kid: 'a-b' }, claims: { sub: 'a-b' } }],
    ['uri of this request', { claims: { uri: URI } }, REST],
    ['uri with a scheme', { claims: { uri: URI.replace(' ', ' https://') } }, REST],
    [
      'uri with host and port',
      { claims: { uri: 'GET http://127.0.0.1:8080/api/v3/brokerage/accounts' } },
      REST,
    ],
    ['uris with this request among them', { claims: { uris: ['POST x/y', URI] } }, REST],
  ];
  it.each(accepted.map(([name, parts, rules = WS]) => [name, parts, rules] as const))(
    'accepts %s',
    (_, parts, rules) => check(parts, rules),
  );

  const refused: readonly (readonly [string, TokenErrorCode, Parts, ApiKeyRules?])[] = [
    ['sub other than kid', 'claim', { claims: { sub: `${KID}x` } }],
    ['no sub', 'claim', { claims: { sub: undefined } }],
    ['no kid', 'header', { header: { kid: undefined } }],
    ['an empty kid', 'header', { header: { kid: '' }, claims: { sub: '' } }],
    ['a kid with a quote', 'header', { header: { kid: "k'--" }, claims: { sub: "k'--" } }],
    [
      'a kid of 161 characters',
      'header',
      { header: { kid: 'k'.repeat(161) }, claims: { sub: 'k'.repeat(161) } },
    ],
    ['another issuer', 'claim', { claims: { iss: 'me' } }],
    ['no issuer', 'claim', { claims: { iss: undefined } }],
    ['issuers as a list', 'claim', { claims: { iss: ['cdp'] } }],
    ['an unknown audience', 'claim', { claims: { aud: 'x' } }],
    ['an empty list of audiences', 'claim', { claims: { aud: [] } }],
    ['an audience that is not text', 'claim', { claims: { aud: [1, 'cdp_service'] } }],
    ['typ of another kind of token', 'header', { header: { typ: 'at+jwt' } }],
    ['typ JWE', 'header', { header: { typ: 'JWE' } }],
    ['a life of 121 s', 'lifetime', { claims: { exp: NOW + 121 } }],
    ['a life of an hour', 'lifetime', { claims: { exp: NOW + 3600 } }],
    ['a life of a day', 'lifetime', { claims: { exp: NOW + 86_400 } }],
    ['neither nbf nor iat', 'claim', { claims: { nbf: undefined } }],
    ['a clock 6 s fast', 'not_yet_valid', { claims: { nbf: NOW + 6, exp: NOW + 126 } }],
    ['a clock 126 s slow', 'expired', { claims: { nbf: NOW - 126, exp: NOW - 6 } }],
    ['a nonce of 257 bytes', 'claim', { header: { nonce: 'n'.repeat(257) } }],
    ['a nonce of 129 two-byte characters', 'claim', { header: { nonce: 'é'.repeat(129) } }],
    ['a claim of 257 bytes', 'claim', { claims: { extra: 'x'.repeat(257) } }],
    ['an object of 257 bytes', 'claim', { claims: { extra: { x: 'x'.repeat(250) } } }],
    ['a REST token on a WebSocket', 'claim', { claims: { uri: URI } }],
    ['uris on a WebSocket', 'claim', { claims: { uris: [] } }],
    ['a WebSocket token on REST', 'request', {}, REST],
    ['an empty uris', 'request', { claims: { uris: [] } }, REST],
    ['a uri that is not text', 'claim', { claims: { uri: [URI] } }, REST],
    ['uris that are not texts', 'claim', { claims: { uris: [URI, 1] } }, REST],
    ['uris as text', 'claim', { claims: { uris: URI } }, REST],
  ];
  it.each(refused.map(([name, code, parts, rules = WS]) => [name, code, parts, rules] as const))(
    'refuses %s',
    async (_, code, parts, rules) => {
      await expectRefusal(() => check(parts, rules), code);
    },
  );

  it.each([
    'POST api.example.com/api/v3/brokerage/accounts',
    'DELETE api.example.com/api/v3/brokerage/accounts',
    'get api.example.com/api/v3/brokerage/accounts',
    'GET API.example.com/api/v3/brokerage/accounts',
    'GET api.example.com/API/v3/brokerage/accounts',
    'GET evil.example.com/api/v3/brokerage/accounts',
    'GET api.example.com:443/api/v3/brokerage/accounts',
    'GET 127.0.0.1/api/v3/brokerage/accounts',
    'GET api.example.com//api/v3/brokerage/accounts',
    'GET api.example.com/api%2Fv3/brokerage/accounts',
    'GET api.example.com/api/v3/brokerage/accounts/',
    'GET api.example.com/api/v3/brokerage/accounts?limit=1',
    'GET api.example.com/api/v3/brokerage',
    'GET  api.example.com/api/v3/brokerage/accounts',
    ' GET api.example.com/api/v3/brokerage/accounts',
    'GET ftp://api.example.com/api/v3/brokerage/accounts',
    'GET api.example.com/api/v3/brokerage/accounts\n',
    '',
  ])('refuses the uri %j for another request', async (uri) => {
    await expectRefusal(() => check({ claims: { uri } }, REST), 'request');
  });
});
