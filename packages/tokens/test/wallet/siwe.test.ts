import fc from 'fast-check';
import { createSiweMessage } from 'viem/siwe';
import { describe, expect, it } from 'vitest';
import {
  type Address,
  buildSiweMessage,
  checkSiweMessage,
  checksumAddress,
  parseSiweMessage,
  type SiweMessage,
} from '../../src/index.ts';
import { isUri, parseAuthority, parseDateTime } from '../../src/wallet/uri.ts';
import { expectRefusal } from '../support/raw-token.ts';

const ADDRESS: Address = '0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed';
const FULL: SiweMessage = {
  scheme: 'https',
  domain: 'desk.example.com:8443',
  address: ADDRESS,
  statement: 'Sign in to the desk. [Terms: https://desk.example.com/terms?v=1]',
  uri: 'https://desk.example.com:8443/login?x=%20#top',
  version: '1',
  chainId: 560048,
  nonce: '52a90c7352a90c73',
  issuedAt: '2026-02-28T23:59:60.123456789+05:30',
  expirationTime: '2026-03-01T00:00:00Z',
  notBefore: '2026-02-28T00:00:00-00:00',
  requestId: 'a:b@c%2F',
  resources: ['ipfs://bafy/1', 'urn:isbn:123', 'https://[::1]:80/a'],
};
const TEXT = buildSiweMessage(FULL);
const MINIMAL = `desk.example.com wants you to sign in with your Ethereum account:
${ADDRESS}


URI: https://desk.example.com
Version: 1
Chain ID: 1
Nonce: 12345678
Issued At: 2026-01-01T00:00:00Z`;

describe('parseSiweMessage', () => {
  it('reads every field of a full message', () => {
    expect(parseSiweMessage(TEXT)).toEqual(FULL);
  });

  it('reads a message with nothing optional', () => {
    expect(parseSiweMessage(MINIMAL)).toEqual({
      domain: 'desk.example.com',
      address: ADDRESS,
      uri: 'https://desk.example.com',
      version: '1',
      chainId: 1,
      nonce: '12345678',
      issuedAt: '2026-01-01T00:00:00Z',
    });
  });

  it('tells an empty statement, request id and list of resources from absent ones', () => {
    const text = `${MINIMAL.replace('\n\n\n', '\n\n\n\n')}\nRequest ID: \nResources:`;
    expect(parseSiweMessage(text)).toMatchObject({ statement: '', requestId: '', resources: [] });
    expect(buildSiweMessage(parseSiweMessage(text))).toBe(text);
  });

  it('reads a statement that looks like a field', () => {
    const text = MINIMAL.replace('\n\n\n', '\n\nURI: https://evil.example\n\n');
    expect(parseSiweMessage(text)).toMatchObject({
      statement: 'URI: https://evil.example',
      uri: 'https://desk.example.com',
    });
  });

  it('reads what viem writes', () => {
    const fields = {
      ...FULL,
      issuedAt: new Date(0),
      expirationTime: new Date(1e12),
      notBefore: new Date(1e11),
    };
    const { scheme, domain, statement, resources } = parseSiweMessage(
      createSiweMessage({ ...fields, scheme: 'https', resources: [...FULL.resources!] } as never),
    );
    expect({ scheme, domain, statement, resources }).toEqual({
      scheme: FULL.scheme,
      domain: FULL.domain,
      statement: FULL.statement,
      resources: FULL.resources,
    });
  });

  const edit = (from: string | RegExp, to: string): string => TEXT.replace(from, to);
  const refused: [string, string][] = [
    ['nothing', ''],
    ['version 2', edit('Version: 1', 'Version: 2')],
    ['version 1.0', edit('Version: 1', 'Version: 1.0')],
    ['an injected line', edit('Nonce:', 'Admin: true\nNonce:')],
    ['a line after the end', `${TEXT}\nhttps://evil.example`],
    ['a line feed at the end', `${TEXT}\n`],
    ['a line feed at the end of a minimal message', `${MINIMAL}\n`],
    ['CRLF', MINIMAL.replaceAll('\n', '\r\n')],
    ['a field twice', edit('Nonce:', 'Nonce: aaaaaaaa\nNonce:')],
    ['fields in another order', MINIMAL.replace(/(Version: 1)\n(Chain ID: 1)/, '$2\n$1')],
    ['optional fields in another order', edit(/(Expiration Time:.*)\n(Not Before:.*)/, '$2\n$1')],
    ['resources before the request id', edit(/\n(Request ID:.*)(\nResources:[\s\S]*)/, '$2\n$1')],
    ['no domain', MINIMAL.replace('desk.example.com wants', ' wants')],
    ['a domain with a path', MINIMAL.replace('desk.example.com wants', 'desk.example.com/x wants')],
    ['a domain with a space', MINIMAL.replace('desk.example.com wants', 'desk .example wants')],
    ['an empty scheme', MINIMAL.replace('desk', '://desk')],
    ['a scheme that starts with a digit', MINIMAL.replace('desk', '1s://desk')],
    ['a title in another case', MINIMAL.replace('Ethereum', 'ethereum')],
    ['a title without its colon', MINIMAL.replace('account:', 'account')],
    ['an address without a checksum', MINIMAL.replace(ADDRESS, ADDRESS.toLowerCase())],
    ['an address with a wrong checksum', MINIMAL.replace(ADDRESS, ADDRESS.replace('aA', 'AA'))],
    ['an address without 0x', MINIMAL.replace(ADDRESS, ADDRESS.slice(2))],
    ['a short address', MINIMAL.replace(ADDRESS, ADDRESS.slice(0, -1))],
    ['no empty line after the address', MINIMAL.replace('\n\n\n', '\n')],
    ['one empty line and no statement', MINIMAL.replace('\n\n\n', '\n\n')],
    ['three empty lines more', MINIMAL.replace('\n\n\n', '\n\n\n\n\n')],
    ['a statement of two lines', MINIMAL.replace('\n\n\n', '\n\none\ntwo\n\n')],
    ['a statement with a quote', MINIMAL.replace('\n\n\n', '\n\nsay "x"\n\n')],
    ['a statement with a percent sign', MINIMAL.replace('\n\n\n', '\n\n100%\n\n')],
    ['a statement that is not ASCII', MINIMAL.replace('\n\n\n', '\n\ncafé\n\n')],
    ['a statement with a tab', MINIMAL.replace('\n\n\n', '\n\na\tb\n\n')],
    ['a relative URI', MINIMAL.replace('URI: https://desk.example.com', 'URI: /login')],
    ['a URI with a space', MINIMAL.replace('URI: https://desk', 'URI: https:// desk')],
    ['a URI with a broken escape', MINIMAL.replace('URI: https://desk.example.com', 'URI: https://desk/%2')],
    ['no URI', MINIMAL.replace(/URI: .*\n/, '')],
    ['a chain that is not a number', MINIMAL.replace('Chain ID: 1', 'Chain ID: 0x1')],
    ['a negative chain', MINIMAL.replace('Chain ID: 1', 'Chain ID: -1')],
    ['a chain past 2^53', MINIMAL.replace('Chain ID: 1', 'Chain ID: 9007199254740993')],
    ['a nonce of 7', MINIMAL.replace('12345678', '1234567')],
    ['a nonce with a dash', MINIMAL.replace('12345678', '1234-5678')],
    ['no nonce', MINIMAL.replace(/Nonce: .*\n/, '')],
    ['a time that is not one', MINIMAL.replace('2026-01-01T00:00:00Z', 'yesterday')],
    ['a time without a zone', MINIMAL.replace('00:00Z', '00:00')],
    ['a time with a space', MINIMAL.replace('T00', ' 00')],
    ['the 30th of February', MINIMAL.replace('2026-01-01', '2026-02-30')],
    ['month 13', MINIMAL.replace('2026-01-01', '2026-13-01')],
    ['hour 24', MINIMAL.replace('T00', 'T24')],
    ['second 61', MINIMAL.replace('00:00Z', '00:61Z')],
    ['an expiry that is not a time', edit(/Expiration Time: .*/, 'Expiration Time: never')],
    ['a request id with a space', edit('a:b@c%2F', 'a b')],
    ['a request id with a slash', edit('a:b@c%2F', 'a/b')],
    ['a resource that is not a URI', edit('urn:isbn:123', 'not a uri')],
    ['a resource without its dash', edit('- urn:isbn:123', 'urn:isbn:123')],
    ['text after Resources:', edit('Resources:', 'Resources: x')],
    ['9 kB', MINIMAL.replace('\n\n\n', `\n\n${'a'.repeat(9000)}\n\n`)],
  ];
  it.each(refused)('refuses %s', async (_, text) => {
    expect(text).not.toBe(MINIMAL);
    expect(text).not.toBe(TEXT);
    await expectRefusal(() => parseSiweMessage(text), 'siwe');
  });
});

describe('buildSiweMessage', () => {
  const chars = (set: string, options: object = {}): fc.Arbitrary<string> =>
    fc.array(fc.constantFrom(...set), { maxLength: 30, ...options }).map((list) => list.join(''));
  const ALNUM = 'abcxyzABCXYZ0189';
  const time = fc
    .date({ min: new Date(0), max: new Date(4e12), noInvalidDate: true })
    .map((date) => date.toISOString());
  const uri = fc.constantFrom('https://a.example/b?c#d', 'did:key:z6Mk', 'ipfs://x', 'a:');
  const message = fc.record(
    {
      scheme: fc.constantFrom('https', 'app+x'),
      domain: fc.constantFrom('a.example', 'localhost:3000', '[::1]:80', '1.2.3.4', 'user@host'),
      address: fc.uint8Array({ minLength: 20, maxLength: 20 }).map(checksumAddress),
      statement: chars(`${ALNUM} :/?#[]@!$&'()*+,;=-._~`),
      uri,
      version: fc.constant('1' as const),
      chainId: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
      nonce: chars(ALNUM, { minLength: 8 }),
      issuedAt: time,
      expirationTime: time,
      notBefore: time,
      requestId: chars(`${ALNUM}:@!$&'()*+,;=-._~`),
      resources: fc.array(uri, { maxLength: 4 }),
    },
    { requiredKeys: ['domain', 'address', 'uri', 'version', 'chainId', 'nonce', 'issuedAt'] },
  );

  it('writes messages that parse back to themselves', () => {
    fc.assert(
      fc.property(message, (fields) => {
        expect(parseSiweMessage(buildSiweMessage(fields))).toEqual(fields);
      }),
    );
  });

  it('refuses fields that would become other fields', async () => {
    const injections: Partial<SiweMessage>[] = [
      { statement: 'a\n\nURI: https://evil.example' },
      { statement: 'a\nb' },
      { nonce: '12345678\nIssued At: 2026-01-01T00:00:00Z' },
      { issuedAt: '2026-01-01T00:00:00Z\nRequest ID: x' },
      { uri: 'https://a\nVersion: 1' },
      { domain: 'https://a.example' },
      { domain: `a.example wants you to sign in with your Ethereum account:\n${ADDRESS}\n` },
      { resources: ['a:b\n- c:d'] },
      { requestId: 'x\nResources:' },
      { chainId: 1.5 },
      { version: '2' as never },
    ];
    const { scheme: _, notBefore: __, requestId: ___, resources: ____, ...base } = FULL;
    for (const injection of injections)
      await expectRefusal(() => buildSiweMessage({ ...base, ...injection }), 'siwe');
  });
});

describe('checkSiweMessage', () => {
  const START = Date.UTC(2026, 0, 1) / 1000;
  const parsed = parseSiweMessage(`${MINIMAL}\nExpiration Time: 2026-01-01T00:05:00Z`);
  const rules = { domain: 'desk.example.com', chainId: 1, nonce: '12345678', now: START + 60 };

  it('accepts a message made for this site, now', () => {
    checkSiweMessage(parsed, { ...rules, uri: 'https://desk.example.com' });
    checkSiweMessage(parsed, { ...rules, now: START - 5 });
    checkSiweMessage(parsed, { ...rules, now: START + 304 });
  });

  it('refuses another site, chain, nonce or time', async () => {
    for (const change of [
      { domain: 'desk.example' },
      { chainId: 2 },
      { nonce: '87654321' },
      { uri: 'https://x' },
      { scheme: 'https' },
    ]) {
      await expectRefusal(() => checkSiweMessage(parsed, { ...rules, ...change }), 'siwe');
    }
    await expectRefusal(() => checkSiweMessage(parsed, { ...rules, now: START + 305 }), 'expired');
    await expectRefusal(() => checkSiweMessage(parsed, { ...rules, now: START - 6 }), 'not_yet_valid');
    await expectRefusal(
      () => checkSiweMessage({ ...parsed, notBefore: '2026-01-01T00:02:00Z' }, rules),
      'not_yet_valid',
    );
  });
});

describe('the borrowed grammars', () => {
  it.each([
    'a:',
    'http://',
    'http://a',
    'http://a:',
    'http://u:p@a:1/b//c?d?e/f#g/h?',
    'urn:a:b',
    'mailto:a@b',
    'x:/a/b',
    'x:a/b',
    'http://[::]',
    'http://[1:2:3:4:5:6:7:8]',
    'http://[1::8]',
    'http://[::ffff:1.2.3.4]',
    'http://[1:2:3:4:5:6:1.2.3.4]',
    'http://[v1.a:b]',
    'http://999.1.1.1',
    'http://a%20b',
    'file:///a',
  ])('%s is a URI', (text) => {
    expect(isUri(text)).toBe(true);
  });

  it.each([
    '',
    ':',
    'a',
    '//a',
    '/a',
    '1a:b',
    'a b:c',
    'http://a b',
    'http://a:b',
    'http://a:1:2',
    'http://a@b@c',
    'http://[::1',
    'http://::1',
    'http://[1:2:3:4:5:6:7]',
    'http://[1:2:3:4:5:6:7:8:9]',
    'http://[1::2::3]',
    'http://[:::]',
    'http://[12345::]',
    'http://[::1.2.3]',
    'http://[1.2.3.4::]',
    'http://[::256.1.1.1]',
    'http://[g::]',
    'http://[v.a]',
    'a:%',
    'a:%zz',
    'a:b#c#d',
    'a:b\\c',
    'a:é',
    'a:b\n',
    'a:<b>',
    'a:[b]',
  ])('%j is not', (text) => {
    expect(isUri(text)).toBe(false);
  });

  it('reads the host of an authority', () => {
    expect(parseAuthority('u@h:1')).toEqual({ host: 'h' });
    expect(parseAuthority('[::1]:1')).toEqual({ host: '[::1]' });
    expect(parseAuthority('')).toEqual({ host: '' });
    expect(parseAuthority('a/b')).toBeUndefined();
  });

  it('reads times as Date does, and leap seconds and offsets besides', () => {
    fc.assert(
      fc.property(
        fc.date({ min: new Date('0000-01-01'), max: new Date('9999-12-31'), noInvalidDate: true }),
        (date) => {
          expect(parseDateTime(date.toISOString())).toBeCloseTo(date.getTime() / 1000, 3);
        },
      ),
    );
    expect(parseDateTime('2016-12-31T23:59:60Z')).toBe(Date.UTC(2017, 0, 1) / 1000);
    expect(parseDateTime('2026-01-01t01:30:00+01:30')).toBe(Date.UTC(2026, 0, 1) / 1000);
    expect(parseDateTime('2024-02-29T00:00:00-12:00')).toBe(Date.UTC(2024, 1, 29, 12) / 1000);
    for (const text of [
      '2023-02-29T00:00:00Z',
      '2026-00-01T00:00:00Z',
      '2026-01-00T00:00:00Z',
      '2026-01-01T00:60:00Z',
      '2026-01-01T00:00:00.Z',
      '2026-01-01T00:00:00+24:00',
      '2026-01-01T00:00:00|01:00',
      '2026-1-1T00:00:00Z',
      '2026-01-01',
    ]) {
      expect(parseDateTime(text)).toBeUndefined();
    }
  });
});
