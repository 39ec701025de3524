import { generateKeyPairSync, hash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { signEs256, verifyWebhook } from '../src/node.ts';

const NOW = 1_800_000_000;
const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const other = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const keys = {
  keys: [{ ...pair.publicKey.export({ format: 'jwk' }), kid: 'k1', alg: 'ES256', use: 'sig' }],
};
const body = JSON.stringify({
  id: 'event_1',
  type: 'user.gone',
  lease: 'l',
  subject: '78',
  goneSince: NOW * 1000,
  seconds: 30,
  data: 'é',
});
const claims = {
  iss: 'countersign',
  aud: 'webhook',
  jti: 'event_1',
  body_sha256: hash('sha256', body, 'base64url'),
  iat: NOW,
  exp: NOW + 300,
};
const sign = (more: object = {}, header: object = {}, key = pair.privateKey) =>
  signEs256({ ...claims, ...more }, { typ: 'webhook+jwt', kid: 'k1', ...header }, key);
const verify = (signature: string | undefined, over: object = {}) =>
  verifyWebhook({ signature, body, keys, issuer: 'countersign', now: NOW, ...over });

describe('a webhook', () => {
  it('is what the gateway signed, as text or bytes', () => {
    expect(verify(sign())).toMatchObject({ id: 'event_1', type: 'user.gone', subject: '78', data: 'é' });
    expect(verify(sign(), { body: Buffer.from(body) })).toMatchObject({ data: 'é' });
    expect(verify(sign(), { now: NOW + 329 })).toMatchObject({ id: 'event_1' });
  });

  it.each([
    ['without a signature', undefined, {}, 'malformed'],
    ['with another body', sign(), { body: body.replace('78', '79') }, 'claim'],
    ['of another event with the same body', sign({ jti: 'event_2' }), {}, 'claim'],
    ['signed by somebody else', sign({}, {}, other.privateKey), {}, 'signature'],
    ['of a key that is not in the set', sign({}, { kid: 'k2' }), {}, 'key'],
    ['of another issuer', sign({ iss: 'somebody' }), {}, 'claim'],
    ['made for another audience', sign({ aud: 'venue' }), {}, 'claim'],
    ['of another type of token', sign({}, { typ: 'JWT' }), {}, 'claim'],
    ['that has expired', sign(), { now: NOW + 331 }, 'expired'],
    ['from the future', sign(), { now: NOW - 31 }, 'not_yet_valid'],
    ['that would live too long', sign({ exp: NOW + 301 }), {}, 'lifetime'],
    ['without an end', sign({ exp: undefined }), {}, 'claim'],
  ] as const)('is refused %s', (_, signature, over, code) => {
    expect(() => verify(signature, over)).toThrow(expect.objectContaining({ name: 'TokenError', code }));
  });
});
