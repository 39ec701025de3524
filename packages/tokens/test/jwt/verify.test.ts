import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { Alg } from '../../src/index.ts';
import { implementations } from '../support/implementations.ts';
import { base64url, expectRefusal, makeKey, rawToken, signText, type TestKey } from '../support/raw-token.ts';

const keys: Record<Alg, TestKey> = { ES256: makeKey('ES256'), EdDSA: makeKey('EdDSA') };
const ALGS = ['ES256', 'EdDSA'] as const;
const CLAIMS = '{"sub":"k","exp":2000000000}';
const header = (alg: string, more = ''): string => `{"alg":"${alg}","kid":"k"${more}}`;
const good = (alg: Alg): string => rawToken(header(alg), CLAIMS, keys[alg]);

/** ES256 only: the group order, for the twin of a signature. */
const N = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
/** The other spellings of a base64url text: same bytes to a lenient decoder, other unused bits. */
function bitTwins(text: string): string[] {
  const free = { 2: 16, 3: 4 }[text.length % 4] ?? 1;
  const last = ALPHABET.indexOf(text.at(-1)!);
  const base = last - (last % free);
  return Array.from({ length: free }, (_, i) => text.slice(0, -1) + ALPHABET[base + i]).filter(
    (twin) => twin !== text,
  );
}

/** Every way to write a token differently, signed again so that only its shape can be refused. */
function otherSpellings(alg: Alg): [string, string][] {
  const key = keys[alg];
  const [h = '', p = '', s = ''] = good(alg).split('.');
  // Lengths 31 and 32 leave two and four unused bits.
  const payloads = [
    '{"exp":2000000000,"sub":"abcde"}',
    '{"exp":2000000000,"sub":"abcdef"}',
    '{"exp":2000000000,"sub":"abcdefg"}',
  ];
  const out: [string, string][] = [];
  for (const payload of payloads) {
    for (const twin of bitTwins(base64url(payload)))
      out.push([`payload bits …${twin.slice(-2)}`, signText(`${h}.${twin}`, key)]);
  }
  for (const pad of ['', ' ', '  ']) {
    for (const twin of bitTwins(base64url(`${header(alg)}${pad}`)))
      out.push([`header bits …${twin.slice(-2)}`, signText(`${twin}.${p}`, key)]);
  }
  for (const twin of bitTwins(s)) out.push([`signature bits …${twin.slice(-2)}`, `${h}.${p}.${twin}`]);
  for (const extra of ['=', '==', ' ', '\n', '\r\n', '\t', '\u0000', '%20', '+', '/', '.']) {
    const name = JSON.stringify(extra);
    out.push([`${name} after the header`, signText(`${h}${extra}.${p}`, key)]);
    out.push([`${name} before the header`, signText(`${extra}${h}.${p}`, key)]);
    out.push([`${name} after the payload`, signText(`${h}.${p}${extra}`, key)]);
    out.push([`${name} inside the payload`, signText(`${h}.${p.slice(0, 8)}${extra}${p.slice(8)}`, key)]);
    out.push([`${name} after the signature`, `${h}.${p}.${s}${extra}`]);
    out.push([`${name} inside the signature`, `${h}.${p}.${s.slice(0, 10)}${extra}${s.slice(10)}`]);
    out.push([`${name} before the token`, `${extra}${h}.${p}.${s}`]);
  }
  out.push(
    ['one part', h],
    ['two parts', `${h}.${p}`],
    ['an empty signature', `${h}.${p}.`],
    ['an empty payload', signText(`${h}.`, key)],
    ['an empty header', signText(`.${p}`, key)],
    ['four parts', `${h}.${p}.${s}.`],
    ['five parts, as JWE has', `${h}.${p}.${p}.${p}.${s}`],
    ['the JSON serialization', JSON.stringify({ protected: h, payload: p, signature: s })],
    ['nothing', ''],
    ['a signature of 63 bytes', `${h}.${p}.${s.slice(0, 84)}`],
    [
      'a signature of 65 bytes',
      `${h}.${p}.${base64url(Buffer.concat([Buffer.from(s, 'base64url'), Buffer.alloc(1)]))}`,
    ],
    ['more than 4096 bytes', rawToken(header(alg), `{"exp":1,"x":"${'a'.repeat(4000)}"}`, key)],
  );
  return out;
}

const badHeaders = [
  ',"crit":["exp"]',
  ',"crit":[]',
  ',"crit":["b64"],"b64":false',
  ',"b64":false',
  ',"crit":["a","a"]',
  ',"crit":null',
  ',"jwk":{"kty":"EC"}',
  ',"jku":"http://127.0.0.1/jwks"',
  ',"x5u":"http://127.0.0.1/x5u"',
  ',"x5c":["AA"]',
  ',"x5t":"AA"',
  ',"x5t#S256":"AA"',
  ',"zip":"DEF"',
  ',"enc":"A128GCM"',
  ',"typ":1',
  ',"cty":[]',
];

const ALG_VALUES = [
  'none',
  'None',
  'NONE',
  'nOnE',
  'HS256',
  'HS512',
  'RS256',
  'PS256',
  'ES384',
  'ES256K',
  'es256',
  'eddsa',
  'Ed448',
  '',
];

describe.each(implementations)('verifyJws with $name', (impl) => {
  describe.each(ALGS)('and a key for %s', (alg) => {
    const key = { alg, key: keys[alg].jwk };

    it('accepts a genuine token and returns its header and claims', async () => {
      const parsed = await impl.verifyJws(good(alg), key);
      expect(parsed.header).toEqual({ alg, kid: 'k' });
      expect(parsed.claims).toEqual({ sub: 'k', exp: 2000000000 });
    });

    it.each(otherSpellings(alg))('refuses another spelling: %s', async (_, token) => {
      await expectRefusal(() => impl.verifyJws(token, key), ['malformed', 'json']);
    });

    it.each(badHeaders)('refuses the header member %s', async (member) => {
      await expectRefusal(
        () => impl.verifyJws(rawToken(header(alg, member), CLAIMS, keys[alg]), key),
        'header',
      );
    });

    it.each(ALG_VALUES)('refuses alg %j under a genuine signature', async (name) => {
      await expectRefusal(() => impl.verifyJws(rawToken(header(name), CLAIMS, keys[alg]), key), 'algorithm');
    });

    it('refuses a missing alg and one that is not a string', async () => {
      await expectRefusal(() => impl.verifyJws(rawToken('{"kid":"k"}', CLAIMS, keys[alg]), key), 'algorithm');
      await expectRefusal(
        () => impl.verifyJws(rawToken('{"alg":["ES256"]}', CLAIMS, keys[alg]), key),
        'header',
      );
    });

    it('refuses a signature of the other algorithm, whatever the header says', async () => {
      const other = alg === 'ES256' ? 'EdDSA' : 'ES256';
      await expectRefusal(() => impl.verifyJws(good(other), key), 'algorithm');
      await expectRefusal(() => impl.verifyJws(rawToken(header(alg), CLAIMS, keys[other]), key), 'signature');
    });

    it('refuses an HMAC made with any spelling of the public key', async () => {
      const { publicKey, jwk } = keys[alg];
      const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
      const raw = Buffer.concat(
        [jwk.x, 'y' in jwk ? jwk.y : ''].map((part) => Buffer.from(part, 'base64url')),
      );
      const secrets: (string | Buffer)[] = [
        pem,
        pem.trim(),
        JSON.stringify(jwk),
        raw.toString('hex'),
        raw.toString('base64'),
      ].flatMap((text) => [text, ` ${text}`, `\n${text}`, `${text}\n`]);
      secrets.push(
        publicKey.export({ type: 'spki', format: 'der' }),
        raw,
        Buffer.concat([Buffer.of(4), raw]),
        '',
      );
      for (const secret of secrets) {
        for (const [name, hash] of [
          ['HS256', 'sha256'],
          ['HS512', 'sha512'],
          [alg, 'sha512'],
        ] as const) {
          const input = `${base64url(header(name))}.${base64url(CLAIMS)}`;
          const mac = createHmac(hash, secret).update(input).digest();
          await expectRefusal(() => impl.verifyJws(`${input}.${base64url(mac)}`, key));
        }
      }
    });

    it('refuses a token when any byte of it has changed', async () => {
      const token = good(alg);
      for (let i = 0; i < token.length; i += 7) {
        const changed = token[i] === 'A' ? 'B' : 'A';
        await expectRefusal(() => impl.verifyJws(token.slice(0, i) + changed + token.slice(i + 1), key));
      }
    });

    it('refuses duplicate members and odd JSON in header and claims', async () => {
      const headers = [
        `{"alg":"${alg}","alg":"${alg}"}`,
        `{"kid":"k","alg":"${alg}","kid":"k"}`,
        `\ufeff${header(alg)}`,
        '[]',
        'null',
      ];
      for (const text of headers)
        await expectRefusal(() => impl.verifyJws(rawToken(text, CLAIMS, keys[alg]), key), 'json');
      const payloads = [
        '{"sub":"a","sub":"b"}',
        '{"exp":1,"exp":2}',
        '["exp"]',
        '"x"',
        `\ufeff${CLAIMS}`,
        '{"exp":1e400}',
        '{"__proto__":{}}',
      ];
      for (const text of payloads)
        await expectRefusal(() => impl.verifyJws(rawToken(header(alg), text, keys[alg]), key), 'json');
    });

    it('refuses header bytes that are not UTF-8 unless asked, and claims always', async () => {
      const odd = Buffer.concat([
        Buffer.from(`{"alg":"${alg}","nonce":"`),
        Buffer.of(0xff, 0xfe),
        Buffer.from('"}'),
      ]);
      const token = rawToken(odd, CLAIMS, keys[alg]);
      await expectRefusal(() => impl.verifyJws(token, key), 'json');
      expect((await impl.verifyJws(token, key, { lenientHeaderText: true })).header.nonce).toBe(
        '\u00ff\u00fe',
      );
      const claims = rawToken(
        header(alg),
        Buffer.concat([Buffer.from('{"a":"'), Buffer.of(0xff), Buffer.from('"}')]),
        keys[alg],
      );
      await expectRefusal(() => impl.verifyJws(claims, key, { lenientHeaderText: true }), 'json');
    });

    it('refuses when there is no key, an unusable one, or one of another type', async () => {
      const other = alg === 'ES256' ? keys.EdDSA.jwk : keys.ES256.jwk;
      const missing: unknown[] = [
        undefined,
        null,
        {},
        [],
        '',
        { alg },
        { alg, key: '' },
        { alg, key: null },
        { alg: 'none', key: keys[alg].jwk },
      ];
      for (const record of missing)
        await expectRefusal(() => impl.verifyJws(good(alg), record as never), 'key');
      const unusable: object[] = [
        {},
        other,
        { ...keys[alg].jwk, use: 'enc' },
        { ...keys[alg].jwk, key_ops: ['sign'] },
        { ...keys[alg].jwk, alg: 'ES384' },
      ];
      for (const jwk of unusable)
        await expectRefusal(() => impl.verifyJws(good(alg), { alg, key: jwk as never }), 'key');
      await expectRefusal(
        () =>
          impl.verifyJws(good(alg), { alg, key: keys[alg].privateKey.export({ format: 'jwk' }) as never }),
        'key',
      );
    });

    it('finds the key by its exact id, and only when exactly one has it', async () => {
      const wrong = { ...key, kid: 'other', key: makeKey(alg).jwk };
      await expect(impl.verifyJws(good(alg), [wrong, { ...key, kid: 'k' }])).resolves.toBeDefined();
      await expectRefusal(() => impl.verifyJws(good(alg), [wrong]), 'key');
      await expectRefusal(
        () =>
          impl.verifyJws(good(alg), [
            { ...key, kid: 'k' },
            { ...wrong, kid: 'k' },
          ]),
        'key',
      );
      await expectRefusal(() => impl.verifyJws(good(alg), { ...key, kid: 'K' }), 'key');
      await expectRefusal(
        () => impl.verifyJws(rawToken(`{"alg":"${alg}"}`, CLAIMS, keys[alg]), [{ ...key, kid: 'k' }]),
        'key',
      );
    });

    it('says true or false through the seam, for any payload', async () => {
      const jwk = keys[alg].jwk;
      await expect(impl.verifyJwsWithJwk(rawToken(header(alg), 'Test', keys[alg]), jwk)).resolves.toBe(true);
      await expect(
        impl.verifyJwsWithJwk(good(alg), { ...jwk, use: 'sig', key_ops: ['verify'], alg }),
      ).resolves.toBe(true);
      await expect(impl.verifyJwsWithJwk(good(alg), { ...jwk, use: 'enc' })).resolves.toBe(false);
      await expect(impl.verifyJwsWithJwk(good(alg), { kty: 'oct', k: 'AAAA' })).resolves.toBe(false);
      await expect(impl.verifyJwsWithJwk('x', jwk)).resolves.toBe(false);
    });

    it('never repeats a token in an error', async () => {
      const token = rawToken(header('none'), CLAIMS, keys[alg]);
      const refusal = await expectRefusal(() => impl.verifyJws(token, key));
      const shown = `${refusal.message} ${JSON.stringify(refusal.cause)} ${refusal.stack}`;
      for (const part of token.split('.')) expect(shown).not.toContain(part);
    });
  });

  it('takes the name Ed25519 for EdDSA in the header (RFC 9864)', async () => {
    const token = rawToken(header('Ed25519'), CLAIMS, keys.EdDSA);
    await expect(impl.verifyJws(token, { alg: 'EdDSA', key: keys.EdDSA.jwk })).resolves.toBeDefined();
  });

  it('checks raw ECDSA signatures: both values of s verify, out-of-range values and other lengths do not', async () => {
    const jwk = keys.ES256.jwk as never;
    const [input, signature] = (() => {
      const token = good('ES256');
      const cut = token.lastIndexOf('.');
      return [Buffer.from(token.slice(0, cut)), Buffer.from(token.slice(cut + 1), 'base64url')];
    })();
    const r = signature.subarray(0, 32);
    const s = BigInt(`0x${signature.subarray(32).toString('hex')}`);
    const withS = (value: bigint): Buffer =>
      Buffer.concat([r, Buffer.from(value.toString(16).padStart(64, '0'), 'hex')]);
    await expect(impl.verifyEs256(jwk, input, signature)).resolves.toBe(true);
    await expect(impl.verifyEs256(jwk, input, withS(N - s))).resolves.toBe(true);
    for (const bad of [
      withS(0n),
      withS(N),
      Buffer.alloc(64),
      signature.subarray(0, 63),
      Buffer.concat([signature, Buffer.of(0)]),
    ]) {
      await expect(impl.verifyEs256(jwk, input, bad)).resolves.toBe(false);
    }
  });
});
