import { createHmac, createPublicKey, randomBytes, randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type ErrorCode, Refusal } from '@countersign/protocol';
import { importPrivateKey } from '@countersign/tokens/node';
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
import { DAY, login, refusal, SECOND } from './support.ts';

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
const ask = async (jwt: string, context: BearerContext = websocket()) =>
  open.node.authenticator.bearer(jwt, context);
const answer = async (jwt: string, context?: BearerContext): Promise<'accepted' | ErrorCode> => {
  try {
    await ask(jwt, context);
    return 'accepted';
  } catch (error) {
    if (error instanceof Refusal) return error.code;
    throw error;
  }
};

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

describe('strict keys after a restart', () => {
  it('refuse what was signed before it, for its replay may not be remembered, and accept a fresh token', async () => {
    const strict = await open.make(userId, { replay: 'strict' });
    const spent = token(strict, now());
    await ask(spent);
    const unspent = token(strict, now());
    open.house.clock.advance(300);
    const { node } = await open.restart();
    const later = async (jwt: string) => node.authenticator.bearer(jwt, websocket());
    await expect(later(spent)).rejects.toMatchObject({ code: 'unauthorized' });
    await expect(later(unspent)).rejects.toMatchObject({ code: 'unauthorized' });
    await open.house.pass(2 * SECOND);
    await expect(later(spent)).rejects.toMatchObject({ code: 'unauthorized' });
    expect((await later(token(strict, now()))).principal.userId).toBe(userId);
    // A key that allows reuse is not held up.
    expect((await later(token(key, now()))).principal.userId).toBe(userId);
  });

  it('let one of two hundred copies through that come at once', async () => {
    await open.house.pass(3 * SECOND);
    const jwt = token(await open.make(userId, { replay: 'strict' }), now());
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, index) => answer(index % 2 ? twin(jwt) : jwt)),
    );
    expect(answers.filter((one) => one === 'accepted')).toHaveLength(1);
  });
});

describe('a key', () => {
  it('refuses the tokens of another, in both orders, also under the name of the other (R12)', async () => {
    const { userId: other } = await open.user('bob');
    const [mine, theirs] = [await open.make(userId), await open.make(other)];
    for (const [named, signing] of [
      [mine, theirs],
      [theirs, mine],
    ] as const) {
      expect(await answer(token({ ...named, signer: signing.signer }, now()))).toBe('unauthorized');
      expect((await ask(token(named, now()))).principal.userId).toBe(named.key.userId);
      expect(await answer(token({ ...named, signer: signing.signer }, now()))).toBe('unauthorized');
    }
  });

  it('narrows what its owner may do, and never widens it', async () => {
    const permissions = async (scopes: ('view' | 'trade' | 'transfer')[]) => {
      const own = await open.make(userId, { scopes });
      return [...(await ask(token(own, now()))).principal.permissions].sort();
    };
    expect(await permissions(['view'])).toEqual(['account_updates', 'market_data']);
    expect(await permissions(['trade'])).toEqual(['trading']);
    // The owner has no right to transfer.
    expect(await permissions(['transfer'])).toEqual([]);
  });

  it('applies a change in the very next request, however warm the caches are (R12, R26)', async () => {
    const own = await open.make(userId, { scopes: ['view', 'trade'], tier: 'pro' });
    const jwt = () => token(own, now());
    const principal = async () => (await ask(jwt())).principal;
    expect(await principal()).toMatchObject({ tier: 'pro' });
    await open.keys.change(own.keyId, { scopes: ['view'] }, OPERATOR);
    expect((await principal()).permissions.has('trading')).toBe(false);
    await open.keys.change(own.keyId, { tier: null }, OPERATOR);
    expect((await principal()).tier).toBe('free');
    await open.keys.change(own.keyId, { allowedIps: ['10.0.0.1'] }, OPERATOR);
    expect(await answer(jwt())).toBe('unauthorized');
    await open.keys.change(own.keyId, { allowedIps: [], enabled: false }, OPERATOR);
    expect(await answer(jwt())).toBe('unauthorized');
    await open.keys.change(own.keyId, { enabled: true }, OPERATOR);
    expect(await answer(jwt())).toBe('accepted');
    await open.keys.change(own.keyId, { expiresAt: now() + DAY }, OPERATOR);
    expect((await principal()).endsAt).toBe(now() + DAY);
    await open.keys.remove(own.keyId, OPERATOR);
    expect(await answer(jwt())).toBe('unauthorized');
  });

  it('applies a change that falls between reading a key and keeping it', async () => {
    let during: (() => Promise<void>) | null = null;
    const held = await openKeyHouse({
      apiKeys: (store) => ({
        async findByName(name) {
          const found = await store.apiKeys.findByName(name);
          const task = during;
          during = null;
          await task?.();
          return found;
        },
      }),
    });
    const { userId: owner } = await held.user('ada');
    const own = await held.make(owner);
    during = async () => void (await held.keys.change(own.keyId, { enabled: false }, OPERATOR));
    const go = async () => held.node.authenticator.bearer(token(own, held.house.clock.now()), websocket());
    await go().catch(() => {});
    await expect(go()).rejects.toMatchObject({ code: 'unauthorized' });
    await held.house.dispose();
  });

  it('that was disabled on another node is refused here within one poll', async () => {
    const own = await open.make(userId);
    expect(await answer(token(own, now()))).toBe('accepted');
    const other = await open.restart();
    await other.keys.change(own.keyId, { enabled: false }, OPERATOR);
    await open.house.pass(SECOND);
    expect(await answer(token(own, now()))).toBe('unauthorized');
  });

  it('is known here at once when it was made on another node', async () => {
    const other = await open.restart();
    const made = await other.keys.create(userId, { nickname: 'far', scopes: ['view'] }, OPERATOR);
    const signer = importPrivateKey(made.privateKey ?? '');
    const far = { ...made, name: made.key.name, keyId: made.key.keyId, signer };
    expect(await answer(token(far, now()))).toBe('accepted');
  });
});

describe('a store that fails', () => {
  it.each([
    ['throws', () => Promise.reject(new Error('disk'))],
    ['gives an empty record', async () => ({}) as never],
    ['gives a record without a key', async () => ({ ...key.key, publicJwk: '' })],
    ['gives a record with an empty key', async () => ({ ...key.key, publicJwk: '{}' })],
    ['gives a symmetric key', async () => ({ ...key.key, publicJwk: '{"kty":"oct","k":""}' })],
  ])('and %s lets nobody in (R11)', async (_what, findByName) => {
    const broken = await openKeyHouse({ apiKeys: () => ({ findByName }) });
    const jwt = token(key, broken.house.clock.now());
    const { code } = await refusal(async () => broken.node.authenticator.bearer(jwt, websocket()));
    await broken.house.dispose();
    expect(['unauthorized', 'unavailable']).toContain(code);
  });
});

describe('somebody who guesses', () => {
  it('names of keys costs no more look-ups than the limiter allows, and no one else notices (R10)', async () => {
    let lookups = 0;
    const counted = await openKeyHouse({
      apiKeys: (store) => ({
        findByName(name) {
          lookups += 1;
          return store.apiKeys.findByName(name);
        },
      }),
    });
    const { userId: owner } = await counted.user('ada');
    const own = await counted.make(owner);
    const at = counted.house.clock.now();
    const codes = new Set<string>();
    for (let guess = 0; guess < 2000; guess += 1) {
      const name = `organizations/o/apiKeys/${guess}`;
      const jwt = token({ ...own, name }, at);
      const { code } = await refusal(async () =>
        counted.node.authenticator.bearer(jwt, websocket({ source: '203.0.113.9' })),
      );
      codes.add(code);
    }
    expect(lookups).toBe(200);
    expect([...codes]).toEqual(['unauthorized', 'rate_limited']);
    const { principal } = await counted.node.authenticator.bearer(token(own, at), websocket());
    expect(principal.userId).toBe(owner);
    await counted.house.dispose();
  });

  it('signatures of a known key, 5,000 a second from elsewhere, never costs its owner a request (R27)', async () => {
    const sources = Array.from({ length: 50 }, (_, index) => `198.51.100.${index}`);
    const forged = signParts(
      ...(Object.values(parts(key.name, now())) as [object, object]),
      freshPair().privateKey,
    );
    let owners = 0;
    let forgeries = 0;
    const codes = new Set<string>();
    for (let tick = 0; tick < 100; tick += 1) {
      open.house.clock.advance(10);
      for (let bad = 0; bad < 50; bad += 1) {
        const source = sources[bad] ?? '';
        codes.add(await answer(forged, websocket({ source, address: source })));
        forgeries += 1;
      }
      if ((await answer(token(key, now()))) === 'accepted') owners += 1;
    }
    expect([owners, forgeries]).toEqual([100, 5000]);
    expect(codes.has('accepted')).toBe(false);
    // One source that goes on by itself is held up.
    for (let bad = 0; bad < 300; bad += 1)
      codes.add(await answer(forged, websocket({ source: '198.51.100.0' })));
    expect(codes.has('rate_limited')).toBe(true);
    expect(await answer(token(key, now()))).toBe('accepted');
  });
});
