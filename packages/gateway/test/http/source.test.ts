import type { IncomingMessage } from 'node:http';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createSources, plainAddress, sourceGroup } from '../../src/doors/source.ts';

const request = (remoteAddress: string, headers: Record<string, string> = {}) =>
  ({ socket: { remoteAddress }, headers }) as unknown as IncomingMessage;

describe('the client address', () => {
  const sources = createSources(['10.0.0.0/8', '192.0.2.7', '2001:db8:ffff::/48']);
  it.each([
    ['direct', '198.51.100.1', undefined, '198.51.100.1'],
    ['spoofed by a direct client', '198.51.100.1', '1.2.3.4', '198.51.100.1'],
    ['one proxy', '10.0.0.1', '198.51.100.1', '198.51.100.1'],
    ['one proxy, spoofed further left', '10.0.0.1', '1.2.3.4, 198.51.100.1', '198.51.100.1'],
    ['two proxies', '10.0.0.1', '1.2.3.4, 198.51.100.1, 192.0.2.7', '198.51.100.1'],
    ['all hops trusted', '10.0.0.1', '10.0.0.3, 10.0.0.2', '10.0.0.3'],
    ['a trusted-looking claim behind a stranger', '10.0.0.1', '10.0.0.9, 198.51.100.1', '198.51.100.1'],
    ['a hop that is no address', '10.0.0.1', '1.2.3.4, unknown', '10.0.0.1'],
    ['a hop that is no address, behind a proxy', '10.0.0.1', '1.2.3.4, evil"\\n, 192.0.2.7', '192.0.2.7'],
    ['an empty header', '10.0.0.1', '', '10.0.0.1'],
    ['a port in the hop', '10.0.0.1', '198.51.100.1:4711', '198.51.100.1'],
    ['IPv6 in brackets', '10.0.0.1', '[2001:db8::1]:4711', '2001:db8::1'],
    ['a mapped peer', '::ffff:10.0.0.1', '198.51.100.1', '198.51.100.1'],
    ['a mapped peer in hex', '::ffff:a00:1', '198.51.100.1', '198.51.100.1'],
    ['a mapped hop', '10.0.0.1', '::ffff:198.51.100.1', '198.51.100.1'],
    ['an IPv6 proxy', '2001:db8:ffff::9', '198.51.100.1', '198.51.100.1'],
    ['a neighbour of the IPv6 proxies', '2001:db8:fffe::9', '198.51.100.1', '2001:db8:fffe::9'],
  ])('%s', (_title, peer, forwarded, expected) => {
    const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded };
    expect(sources.address(request(peer, headers))).toBe(expected);
  });

  it('walks at most 16 hops', () => {
    const chain = `198.51.100.1, ${Array.from({ length: 40 }, () => '10.0.0.2').join(', ')}`;
    expect(sources.address(request('10.0.0.1', { 'x-forwarded-for': chain }))).toBe('10.0.0.2');
  });

  it.each(['nonsense', '10.0.0.0/33', '10.0.0.0/-1', '::/129', '10.0.0.0/8/8', ''])(
    'refuses the proxy "%s"',
    (entry) => {
      expect(() => createSources([entry])).toThrow('http.trustedProxies');
    },
  );
});

describe('https', () => {
  const sources = createSources(['10.0.0.1']);
  it.each([
    ['10.0.0.1', 'https', true],
    ['10.0.0.1', 'HTTPS', true],
    ['10.0.0.1', 'https, http', false],
    ['10.0.0.1', 'http, https', true],
    ['10.0.0.1', 'http', false],
    ['10.0.0.2', 'https', false],
  ])('from %s saying %s is %s', (peer, proto, expected) => {
    expect(sources.secure(request(peer, { 'x-forwarded-proto': proto }))).toBe(expected);
  });
});

describe('grouping', () => {
  it.each([
    ['198.51.100.1', '198.51.100.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['64:ff9b::192.0.2.33', '64:ff9b:0:0::/64'],
  ])('counts %s as %s', (address, expected) => {
    expect(sourceGroup(address)).toBe(expected);
  });

  it('gives every address of one /64 the same name, and of different ones different names', () => {
    const half = fc.array(fc.integer({ min: 0, max: 0xffff }), { minLength: 4, maxLength: 4 });
    const written = (groups: number[]) => groups.map((group) => group.toString(16)).join(':');
    fc.assert(
      fc.property(half, half, half, (network, a, b) => {
        expect(sourceGroup(written([...network, ...a]))).toBe(sourceGroup(written([...network, ...b])));
        const other = [network[0]! ^ 1, ...network.slice(1)];
        expect(sourceGroup(written([...other, ...a]))).not.toBe(sourceGroup(written([...network, ...a])));
      }),
    );
  });

  it('writes every mapped address as the IPv4 address it is', () => {
    fc.assert(
      fc.property(fc.ipV4(), (address) => {
        expect(plainAddress(`::ffff:${address}`)).toBe(address);
        expect(plainAddress(`0:0:0:0:0:FFFF:${address}`)).toBe(address);
      }),
    );
  });
});
