import { createPublicKey, KeyObject } from 'node:crypto';
import * as jose from 'jose';
import jsonwebtoken from 'jsonwebtoken';
import { describe, expect, it } from 'vitest';
import { checkApiKeyClaims, parseCompact, replayId } from '../../src/index.ts';
import * as node from '../../src/node.ts';
import { implementations } from '../support/implementations.ts';
import { expectRefusal, makeKey } from '../support/raw-token.ts';

const KEY_NAME = 'organizations/o1/apiKeys/k1';
const seconds = (): number => Math.floor(Date.now() / 1000);

describe.each(implementations)('signing with $name', (impl) => {
  describe.each(['ES256', 'EdDSA'] as const)('and a key for %s', (alg) => {
    const { privateKey, jwk } = makeKey(alg);
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();

    it('makes API-key tokens that pass their own rules and verify in jose', async () => {
      const key = await impl.importPrivateKey(pem);
      const uri = 'GET api.example.com/api/v3/brokerage/accounts';
      const token = await key.buildApiKeyJwt({ keyName: KEY_NAME, uri });
      const parsed = await impl.verifyJws(token, { alg, key: jwk });
      checkApiKeyClaims(parsed, {
        kind: 'rest',
        now: Date.now() / 1000,
        method: 'GET',
        hosts: ['api.example.com'],
        path: '/api/v3/brokerage/accounts',
      });
      expect(parsed.header).toEqual({
        typ: 'JWT',
        kid: KEY_NAME,
        nonce: expect.stringMatching(/^[0-9a-f]{32}$/),
        alg,
      });
      const { payload } = await jose.jwtVerify(token, await jose.importJWK({ ...jwk } as jose.JWK, alg), {
        issuer: 'cdp',
      });
      expect(payload).toEqual(parsed.claims);
    });

    it('verifies what jose signs', async () => {
      const token = await new jose.SignJWT({ sub: KEY_NAME })
        .setProtectedHeader({ alg, kid: KEY_NAME })
        .setExpirationTime('1m')
        .sign(privateKey);
      expect((await impl.verifyJws(token, { alg, key: jwk })).claims.sub).toBe(KEY_NAME);
    });

    it('gives each token its own replay identity, and the twin of a token the same one', async () => {
      const key = await impl.importPrivateKey(pem);
      const [a, b] = [
        await key.buildApiKeyJwt({ keyName: KEY_NAME }),
        await key.buildApiKeyJwt({ keyName: KEY_NAME }),
      ];
      expect(replayId(parseCompact(a))).not.toBe(replayId(parseCompact(b)));
      const resigned = `${a.slice(0, a.lastIndexOf('.'))}.${b.slice(b.lastIndexOf('.') + 1)}`;
      expect(replayId(parseCompact(resigned))).toBe(replayId(parseCompact(a)));
      expect(replayId(parseCompact(a))).toMatch(/^organizations\/o1\/apiKeys\/k1:[0-9a-f]{64}$/);
    });

    it('takes time, nonce, life and issuer from the caller', async () => {
      const key = await impl.importPrivateKey(pem);
      const token = await key.buildApiKeyJwt({
        keyName: 'k',
        now: 1000.9,
        nonce: 'n',
        lifetime: 60,
        issuer: 'me',
      });
      const parsed = parseCompact(token);
      expect(parsed.claims).toEqual({ sub: 'k', iss: 'me', nbf: 1000, exp: 1060 });
      expect(parsed.header.nonce).toBe('n');
    });

    it('lets the key decide the algorithm even when the header names one', async () => {
      const key = await impl.importPrivateKey(pem);
      expect(parseCompact(await key.sign({ exp: 1 }, { alg: 'none' })).header.alg).toBe(alg);
    });
  });

  it('agrees with jsonwebtoken in both directions', async () => {
    const { privateKey, jwk } = makeKey('ES256');
    const theirs = jsonwebtoken.sign({ sub: 'a' }, privateKey, {
      algorithm: 'ES256',
      expiresIn: 60,
      keyid: 'k',
    });
    expect((await impl.verifyJws(theirs, { alg: 'ES256', key: jwk })).claims.sub).toBe('a');
    const key = await impl.importPrivateKey(privateKey.export({ format: 'jwk' }));
    const ours = await key.sign({ sub: 'a', exp: seconds() + 60 }, { kid: 'k' });
    const publicKey = createPublicKey({ key: jwk as never, format: 'jwk' });
    expect(jsonwebtoken.verify(ours, publicKey, { algorithms: ['ES256'] })).toMatchObject({ sub: 'a' });
  });

  it('never uses one r twice in 2000 ES256 signatures of one message', async () => {
    const key = await impl.importPrivateKey(makeKey('ES256').privateKey.export({ format: 'jwk' }));
    const seen = new Set<string>();
    for (let i = 0; i < 2000; i++) {
      const token = await key.sign({ exp: 1 }, {});
      const signature = token.slice(token.lastIndexOf('.') + 1);
      expect(signature).toHaveLength(86);
      seen.add(signature.slice(0, 42));
    }
    expect(seen.size).toBe(2000);
  });
});

describe('signing with a KeyObject', () => {
  it('refuses a key that does not fit the algorithm', async () => {
    const es = makeKey('ES256');
    const ed = makeKey('EdDSA');
    expect(es.privateKey).toBeInstanceOf(KeyObject);
    expect(parseCompact(node.signEs256({ exp: 1 }, {}, es.privateKey)).header.alg).toBe('ES256');
    await expectRefusal(() => node.signEs256({ exp: 1 }, {}, ed.privateKey), 'key');
    await expectRefusal(() => node.signEs256({ exp: 1 }, {}, es.publicKey), 'key');
    await expectRefusal(() => node.signJws({ exp: 1 }, {}, { alg: 'EdDSA', key: es.privateKey }), 'key');
  });
});
