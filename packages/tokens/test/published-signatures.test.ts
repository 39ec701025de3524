import { generateKeyPairSync, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type EcPublicJwk, encodeBase64url, fromHex, type OkpPublicJwk, utf8 } from '../src/index.ts';
import { implementations } from './support/implementations.ts';

/** Message and signature in hex, and whether they belong together. */
type Case = readonly [tcId: number, message: string, signature: string, valid: boolean];
interface JwsCase {
  readonly tcId: number;
  readonly jws: string;
  readonly valid: boolean;
}

const read = <T>(name: string): T =>
  JSON.parse(readFileSync(new URL(`../vectors/published/${name}.json`, import.meta.url), 'utf8')) as T;
const bytes = (hex: string): Uint8Array => fromHex(hex) as Uint8Array;
const base64url = (hex: string): string => encodeBase64url(bytes(hex));

const p256 = read<{ groups: { x: string; y: string; tests: Case[] }[] }>('wycheproof-p256').groups;
const ed25519 = read<{ groups: { pk: string; tests: Case[] }[] }>('wycheproof-ed25519').groups;
const jws = read<{ groups: { jwk: object; tests: JwsCase[] }[] }>('wycheproof-jws-es256').groups;
const jwk = read<{ tests: (JwsCase & { keys: object[] })[] }>('wycheproof-jwk').tests;
const base64 = read<{ tests: JwsCase[] }>('wycheproof-jws-base64').tests;

/** The tcIds whose verdict differs from the published one. */
async function differing(
  tests: readonly Case[],
  verify: (message: Uint8Array, signature: Uint8Array) => Promise<boolean>,
): Promise<number[]> {
  const wrong: number[] = [];
  for (const [tcId, message, signature, valid] of tests) {
    if ((await verify(bytes(message), bytes(signature))) !== valid) wrong.push(tcId);
  }
  return wrong;
}

describe.each(implementations)('$name against Wycheproof', (implementation) => {
  it('agrees on all 252 P-256 signatures in r‖s form', async () => {
    let count = 0;
    for (const { x, y, tests } of p256) {
      const key: EcPublicJwk = { kty: 'EC', crv: 'P-256', x: base64url(x), y: base64url(y) };
      expect(await differing(tests, (m, s) => implementation.verifyEs256(key, m, s))).toEqual([]);
      count += tests.length;
    }
    expect(count).toBe(252);
  });

  it('agrees on all 151 Ed25519 signatures', async () => {
    let count = 0;
    for (const { pk, tests } of ed25519) {
      const key: OkpPublicJwk = { kty: 'OKP', crv: 'Ed25519', x: base64url(pk) };
      expect(await differing(tests, (m, s) => implementation.verifyEd25519(key, m, s))).toEqual([]);
      count += tests.length;
    }
    expect(count).toBe(151);
  });

  it('agrees on all 41 ES256 cases of the JWS set', async () => {
    const wrong: number[] = [];
    let count = 0;
    for (const { jwk: key, tests } of jws) {
      for (const { tcId, jws: token, valid } of tests) {
        if ((await implementation.verifyJwsWithJwk(token, key)) !== valid) wrong.push(tcId);
        count += 1;
      }
    }
    expect(wrong).toEqual([]);
    expect(count).toBe(41);
  });

  it('accepts no token under a key of the JWK set that is mixed, mislabelled or broken', async () => {
    expect(jwk).toHaveLength(10);
    for (const { tcId, keys, jws: token } of jwk) {
      for (const key of keys) {
        expect([tcId, await implementation.verifyJwsWithJwk(token, key)]).toEqual([tcId, false]);
      }
    }
  });

  it('accepts no HS256 token of the base64 set, whatever its published verdict', async () => {
    // RFC 8725 §3.1: this verifier knows no symmetric algorithm.
    for (const { jws: token } of base64) {
      const key = { kty: 'oct', alg: 'HS256', k: 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' };
      expect(await implementation.verifyJwsWithJwk(token, key)).toBe(false);
    }
  });

  /**
   * The base64 set is signed with HS256. Its point, the spelling of the three parts, is tried here on ES256: each
   * token keeps its header and payload text, apart from the name of the algorithm, and gets a genuine signature over
   * exactly that text, written with the irregularity its MAC had.
   */
  it('takes the regular spellings of the base64 set and refuses all irregular ones', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const key = publicKey.export({ format: 'jwk' });
    const accepted: number[] = [];
    for (const { tcId, jws: token } of base64) {
      const [header = '', payload = '', mac = ''] = token.split('.');
      // `HS256` and `ES256` stand at one place of the base64 text in each of the three headers.
      const renamed = header
        .replace('IUzI1NiJ', 'FUzI1NiJ')
        .replace('ICJIUzI1NiIgfQ', 'ICJFUzI1NiIgfQ')
        .replace('IkhTMjU2In0', 'IkVTMjU2In0');
      const signed = sign('sha256', utf8(`${renamed}.${payload}`), {
        key: privateKey,
        dsaEncoding: 'ieee-p1363',
      });
      const signature = encodeBase64url(signed);
      const before = /^[ ?]*/.exec(mac)?.[0] ?? '';
      const after = /\?*$/.exec(mac)?.[0] ?? '';
      const spelled = `${before}${signature.slice(/^\?+/.test(mac) && mac.length === 43 ? before.length : 0)}${after}`;
      if (await implementation.verifyJwsWithJwk(`${renamed}.${payload}.${spelled}`, key)) accepted.push(tcId);
    }
    // 367 and 370 are published without the padding they are named after, so they equal 357.
    // 372 and 373 are published as valid although RFC 7515 §2 allows no other characters: refused.
    expect(accepted).toEqual([357, 358, 359, 367, 370, 376, 377]);
  });
});
