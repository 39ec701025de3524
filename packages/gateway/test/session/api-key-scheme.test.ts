import { createHmac, createPublicKey, randomBytes, randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Refusal } from '@countersign/protocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BearerContext } from '../../src/session/authenticate.ts';
import {
  freshPair,
  HOST,
  type KeyHouse,
  OPERATOR,
  openKeyHouse,
  parts,
  rest,
  signParts,
  type TestKey,
  token,
  trailingBitTwin,
  twin,
  websocket,
} from './api-key-support.ts';
import { login, refusal, SECOND } from './support.ts';

let open: KeyHouse;
let userId: number;
let key: TestKey;
beforeAll(async () => {
  open = await openKeyHouse();
  ({ userId } = await open.user('ada'));
  key = await open.make(userId);
});
afterAll(() => open.house.dispose());

const now = () => open.house.clock.now();
const ask: KeyHouse['ask'] = (...token) => open.ask(...token);
const answer: KeyHouse['answer'] = (...token) => open.answer(...token);

describe('tokens as the samples of each language build them', () => {
  interface Sample {
    language: string;
    alg?: 'ES256' | 'EdDSA';
    nonce: string;
    header: string;
    claims: string;
    escapeSlashes?: boolean;
    roundsUp?: boolean;
  }
  const samples: Sample[] = JSON.parse(
    readFileSync(new URL('../../../tokens/vectors/sample-tokens.json', import.meta.url), 'utf8'),
  );
  const NONCES: Record<string, () => string> = {
    hex64: () => randomBytes(32).toString('hex'),
    hex32: () => randomBytes(16).toString('hex'),
    HEX10: () => randomBytes(5).toString('hex').toUpperCase(),
    decimal: () => String(randomInt(2 ** 47)),
    epoch: () => String(Math.floor(now() / 1000)),
    text16: () => randomBytes(12).toString('base64url'),
    // What jwt-cpp leaves of sixteen raw bytes: no valid UTF-8.
    raw16: () => Buffer.from([0xff, 0xfe, ...randomBytes(14).map((byte) => byte | 0x80)]).toString('latin1'),
  };

  it('are the ten of seed 003 and more', () => {
    const languages = samples.map(({ language }) => language).join();
    for (const name of [
      'Python SDK',
      'PyJWT',
      'Go',
      'JavaScript',
      'PHP',
      'Java',
      'C++',
      'TypeScript',
      'C#',
      'Ruby',
    ])
      expect(languages).toContain(name);
  });

  it.each(samples)('are accepted from $language', async (sample) => {
    const alg = sample.alg ?? 'ES256';
    const own = await open.make(userId, { alg });
    // Half a second into a second, where a clock that rounds is ahead.
    open.house.clock.advance(1500 - (now() % 1000));
    const start = (sample.roundsUp ? Math.round : Math.floor)(now() / 1000);
    const name = sample.escapeSlashes ? own.name.replaceAll('/', '\\/') : own.name;
    const fill = (text: string) =>
      text
        .replaceAll('KID', name)
        .replaceAll('NOW', String(start))
        .replaceAll('EXP120', String(start + 120))
        .replaceAll('EXP60', String(start + 60))
        .replaceAll('NONCE', (NONCES[sample.nonce] ?? NONCES.hex32!)());
    const header = Buffer.from(fill(sample.header), 'latin1');
    const jwt = signParts(header, fill(sample.claims), own.signer.key, alg);
    const { principal } = await ask(jwt);
    expect(principal).toMatchObject({ userId, credential: { kind: 'api-key', keyId: own.keyId } });
    expect(await answer(jwt)).toBe('accepted');
  });
});

describe('a token that must not be accepted', () => {
  const inSeconds = (by: number) => Math.floor(now() / 1000) + by;
  const made = (changes: Parameters<typeof token>[2] = {}) => token(key, now(), changes);
  const withTime = (claims: object, without: string[] = []) => made({ claims, without });
  const hmac = (secret: string | Buffer, alg = 'HS256') => {
    const { header, claims } = parts(key.name, now(), { header: { alg } });
    const input = [header, claims]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.');
    return `${input}.${createHmac(alg.replace('HS', 'sha'), secret).update(input).digest('base64url')}`;
  };
  const spki = () => key.signer.key;
  const publicPem = () => createPublicKey(spki()).export({ format: 'pem', type: 'spki' });
  const signedBy = (header: object, pair = freshPair().privateKey) => {
    const whole = parts(key.name, now(), { header });
    return signParts(whole.header, whole.claims, pair);
  };
  const bound = (uri: string) => made({ claims: { uri } });
  const uri = `GET ${HOST}/api/v3/brokerage/accounts`;
  const path = '/api/v3/brokerage/accounts';
  const raw = (text: string) => signParts(text, parts(key.name, now()).claims, key.signer.key);

  const cases: [what: string, jwt: () => string | Promise<string>, context?: () => BearerContext][] = [
    ['of a wrong private key', () => signedBy({})],
    ['of an unknown kid', () => made({ header: { kid: `${key.name}0` }, claims: { sub: `${key.name}0` } })],
    [
      'of the same id in another organisation',
      () => {
        const name = key.name.replace(/^organizations\/.{4}/, 'organizations/0000');
        return token({ ...key, name }, now());
      },
    ],
    ['without a kid', () => made({ header: { kid: undefined } })],
    ['with a kid that is a path', () => made({ header: { kid: '../../../dev/null' } })],
    ['with a kid that is SQL', () => made({ header: { kid: "x/' UNION SELECT 'y" } })],
    ['whose kid is not its sub', () => made({ claims: { sub: 'organizations/x/apiKeys/y' } })],
    ['without sub', () => made({ without: ['sub'] })],
    ['of another issuer', () => made({ claims: { iss: 'cpd' } })],
    ['without an issuer', () => made({ without: ['iss'] })],
    ['for an unknown audience', () => made({ claims: { aud: 'somebody else' } })],
    ['expired', () => withTime({ nbf: inSeconds(-126), exp: inSeconds(-6) })],
    ['valid only from six seconds on', () => withTime({ nbf: inSeconds(6), exp: inSeconds(60) })],
    ['that lives for 121 seconds', () => withTime({ exp: inSeconds(121) })],
    ['that lives for a day', () => withTime({ exp: inSeconds(86_400) })],
    ['without exp', () => withTime({}, ['exp'])],
    ['without nbf and iat', () => withTime({}, ['nbf'])],
    ['with a fraction for exp', () => withTime({ exp: inSeconds(60) + 0.5 })],
    ['with text for exp', () => withTime({ exp: String(inSeconds(60)) })],
    [
      'with alg none',
      () =>
        `${made({ header: { alg: 'none' } })
          .split('.')
          .slice(0, 2)
          .join('.')}.`,
    ],
    ['with alg none and a signature', () => made({ header: { alg: 'none' } })],
    ['with alg RS256', () => made({ header: { alg: 'RS256' } })],
    ['with alg ES384', () => made({ header: { alg: 'ES384' } })],
    ['with alg es256', () => made({ header: { alg: 'es256' } })],
    ['with alg EdDSA for a P-256 key', () => made({ header: { alg: 'EdDSA' } })],
    ['with HS256 and the public key for a secret', () => hmac(JSON.stringify(key.signer.publicJwk))],
    ['with HS256 and an empty secret', () => hmac('')],
    // HS512 has 64 bytes like ES256: nothing but the name of the algorithm tells them apart.
    ['with HS512 and the public key for a secret', () => hmac(JSON.stringify(key.signer.publicJwk), 'HS512')],
    ['with HS512 and the public key as PEM for a secret', () => hmac(publicPem(), 'HS512')],
    ['with HS512 and an empty secret', () => hmac('', 'HS512')],
    [
      'with alg ES256 for an Ed25519 key',
      async () => {
        const own = await open.make(userId, { alg: 'EdDSA' });
        const { header, claims } = parts(own.name, now());
        return signParts(header, claims, own.signer.key, 'EdDSA');
      },
    ],
    [
      'of an Ed25519 key with a wrong signature',
      async () => {
        const [own, another] = [
          await open.make(userId, { alg: 'EdDSA' }),
          await open.make(userId, { alg: 'EdDSA' }),
        ];
        return token({ ...own, signer: another.signer }, now());
      },
    ],
    [
      'with HS256 and the private key as PEM for a secret',
      () => hmac(spki().export({ format: 'pem', type: 'pkcs8' })),
    ],
    [
      'with a key of its own in the header',
      () => {
        const pair = freshPair();
        return signedBy({ jwk: pair.publicKey.export({ format: 'jwk' }) }, pair.privateKey);
      },
    ],
    ['with jku', () => made({ header: { jku: 'http://127.0.0.1:9/keys' } })],
    ['with crit', () => made({ header: { crit: ['exp'] } })],
    ['with zip', () => made({ header: { zip: 'DEF' } })],
    ['of another typ', () => made({ header: { typ: 'at+jwt' } })],
    ['that names alg twice', () => raw(`{"alg":"ES256","alg":"ES256","kid":"${key.name}"}`)],
    ['that names kid twice', () => raw(`{"kid":"x/y","alg":"ES256","kid":"${key.name}"}`)],
    ['whose header is a list', () => raw(`["ES256","${key.name}"]`)],
    ['with a nonce of 300 bytes', () => made({ header: { nonce: 'n'.repeat(300) } })],
    ['with spaces behind it', () => `${made()} `],
    ['with padding', () => `${made()}==`],
    ['with other bits at the end', () => trailingBitTwin(made())],
    ['of two parts', () => made().split('.').slice(0, 2).join('.')],
    ['of four parts', () => `${made()}.e30`],
    ['of 5,000 characters', () => made({ claims: { more: 'x'.repeat(250), fill: 'y'.repeat(5000) } })],
    ['with a signature of zeros', () => `${made().split('.').slice(0, 2).join('.')}.${'A'.repeat(86)}`],
    ['with an empty signature', () => `${made().split('.').slice(0, 2).join('.')}.`],

    ['for a REST request, on a WebSocket', () => bound(uri)],
    ['for several REST requests, on a WebSocket', () => made({ claims: { uris: [uri] } })],
    ['for a WebSocket, on REST', () => made(), () => rest()],
    ['with an empty uri, on REST', () => bound(''), () => rest()],
    ['for GET, on DELETE', () => bound(uri), () => rest('DELETE')],
    ['for get in lower case', () => bound(uri.toLowerCase()), () => rest()],
    ['for another host', () => bound(`GET api.example.com${path}`), () => rest()],
    [
      'for another host that the request names too',
      () => bound(`GET api.example.com${path}`),
      () => rest('GET', path, { host: 'api.example.com' }),
    ],
    [
      "for a service on the signer's machine",
      () => bound(`GET localhost:9999${path}`),
      () => rest('GET', path, { host: 'localhost:9999' }),
    ],
    ['for another port', () => bound(`GET 127.0.0.1:4401${path}`), () => rest()],
    ['for the host without its port', () => bound(`GET 127.0.0.1${path}`), () => rest()],
    ['for another path', () => bound(`GET ${HOST}/api/v3/brokerage/orders`), () => rest()],
    ['for the path in other case', () => bound(`GET ${HOST}/api/v3/Brokerage/accounts`), () => rest()],
    ['for a path with a slash twice', () => bound(`GET ${HOST}/api/v3//brokerage/accounts`), () => rest()],
    [
      'for the path, on one with a slash twice',
      () => bound(uri),
      () => rest('GET', '/api/v3//brokerage/accounts'),
    ],
    ['for the path, on one with %2F', () => bound(uri), () => rest('GET', '/api/v3/brokerage%2Faccounts')],
    ['for the path, on one with a slash behind it', () => bound(uri), () => rest('GET', `${path}/`)],
    ['for a path with a slash behind it', () => bound(`${uri}/`), () => rest()],
    ['for a path with a query', () => bound(`${uri}?limit=1`), () => rest()],
    ['for two blanks', () => bound(`GET  ${HOST}${path}`), () => rest()],
    ['with a number for uri', () => made({ claims: { uri: 1 } }), () => rest()],
    ['with text for uris', () => made({ claims: { uris: uri } }), () => rest()],

    [
      'of a disabled key',
      async () => {
        const own = await open.make(userId);
        await open.keys.change(own.keyId, { enabled: false }, OPERATOR);
        return token(own, now());
      },
    ],
    [
      'of a deleted key',
      async () => {
        const own = await open.make(userId);
        await open.keys.remove(own.keyId, OPERATOR);
        return token(own, now());
      },
    ],
    [
      'of a key that has expired',
      async () => {
        const own = await open.make(userId, { expiresAt: now() + SECOND });
        open.house.clock.advance(SECOND);
        return token(own, now());
      },
    ],
    [
      'from outside the addresses of its key',
      async () => token(await open.make(userId, { allowedIps: ['10.0.0.0/8'] }), now()),
    ],
    [
      'from outside the v6 addresses of its key',
      async () => token(await open.make(userId, { allowedIps: ['2001:db8::/32'] }), now()),
      () => websocket({ address: '2001:db9::1', source: '2001:db9::/64' }),
    ],
    [
      'of a suspended user',
      async () => {
        const { userId: other } = await open.user('mallory');
        const own = await open.make(other);
        const suspended = await open.house.store.users.updateAccess(other, { status: 2 }, now());
        await open.node.changes.announce(suspended!.change);
        return token(own, now());
      },
    ],
    [
      'first shown by another source',
      async () => {
        const jwt = made();
        await ask(jwt, websocket({ source: '198.51.100.7' }));
        return jwt;
      },
    ],
    [
      'of a strict key, used before',
      async () => {
        const jwt = token(await open.make(userId, { replay: 'strict' }), now());
        await ask(jwt);
        return jwt;
      },
    ],
    [
      'of a strict key, used before under its other signature',
      async () => {
        const jwt = token(await open.make(userId, { replay: 'strict' }), now());
        await ask(jwt);
        return twin(jwt);
      },
    ],
    [
      'of a strict key, used before under other bits',
      async () => {
        const jwt = token(await open.make(userId, { replay: 'strict' }), now());
        await ask(jwt);
        return trailingBitTwin(jwt);
      },
    ],
    [
      'used while its key allowed reuse, now that it is strict',
      async () => {
        const own = await open.make(userId);
        const jwt = token(own, now());
        await ask(jwt);
        await open.keys.change(own.keyId, { replay: 'strict' }, OPERATOR);
        return jwt;
      },
    ],
    [
      'spent while its key was strict, now that it allows reuse',
      async () => {
        const own = await open.make(userId, { replay: 'strict' });
        const jwt = token(own, now());
        await ask(jwt);
        await open.keys.change(own.keyId, { replay: 'reuse' }, OPERATOR);
        return jwt;
      },
    ],
    [
      'of a strict key, from two seconds ahead',
      async () => token(await open.make(userId, { replay: 'strict' }), now() + 2 * SECOND),
    ],
  ];

  beforeAll(async () => {
    // Past the first seconds of the replay cache, in which strict tokens are refused for another reason.
    await open.house.pass(5 * SECOND);
  });

  it('is a twin that verifies but for the rule under test', async () => {
    const jwt = made();
    expect(await answer(twin(jwt))).toBe('accepted');
    expect(await answer(bound(uri), rest())).toBe('accepted');
    expect(await answer(made({ claims: { uris: ['GET x/y', uri] } }), rest())).toBe('accepted');
    const strict = await open.make(userId, { replay: 'strict' });
    expect(await answer(token(strict, now()))).toBe('accepted');
    const limited = await open.make(userId, { allowedIps: ['192.0.2.0/24', '2001:db8::/32'] });
    expect(await answer(token(limited, now()))).toBe('accepted');
    expect(await answer(token(limited, now()), websocket({ address: '2001:db8::5' }))).toBe('accepted');
    for (const claims of [
      { exp: inSeconds(119) },
      { exp: inSeconds(120) },
      { nbf: inSeconds(4), exp: inSeconds(60) },
    ])
      expect(await answer(withTime(claims))).toBe('accepted');
    expect(await answer(withTime({ nbf: inSeconds(-124), exp: inSeconds(-4) }))).toBe('accepted');
  });

  it.each(cases)('%s gets the one answer', async (_what, build, context = websocket) => {
    const jwt = await build();
    const { code, message, retryAfter, reason } = await refusal(() => ask(jwt, context()));
    expect({ code, message, retryAfter }).toEqual({
      code: 'unauthorized',
      message: new Refusal('unauthorized', '').message,
      retryAfter: undefined,
    });
    for (const part of jwt.split('.').slice(1)) if (part !== '') expect(reason).not.toContain(part);
  });
});

describe('kinds of tokens', () => {
  it('do not stand for each other: an access token is none of a key, and the other way round', async () => {
    const { access, refresh } = await login(open.node);
    expect(open.scheme.claims(access.token)).toBe(false);
    expect(await answer(access.token)).toBe('accepted');
    const jwt = token(key, now());
    expect(open.scheme.claims(jwt)).toBe(true);
    await expect((async () => open.scheme.authenticate(access.token, websocket()))()).rejects.toMatchObject({
      code: 'unauthorized',
    });
    await expect((async () => open.scheme.authenticate(refresh.token, websocket()))()).rejects.toMatchObject({
      code: 'unauthorized',
    });
    await expect((async () => open.node.authenticator.accessToken(jwt))()).rejects.toMatchObject({
      code: 'unauthorized',
    });
  });
});

describe('a loopback name in the request', () => {
  it('counts for a peer on this machine, whose port may be a forwarded one, and for nobody else', async () => {
    const jwt = () => token(key, now(), { claims: { uri: 'GET localhost:5000/x' } });
    const at = (address: string) => rest('GET', '/x', { host: 'localhost:5000', address });
    expect(await answer(jwt(), at('127.0.0.1'))).toBe('accepted');
    expect(await answer(jwt(), at('::1'))).toBe('accepted');
    expect(await answer(jwt(), at('192.0.2.1'))).toBe('unauthorized');
  });
});
