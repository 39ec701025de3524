import { describe, expect, test } from 'vitest';
import { parseConfig } from '../../src/operations/config.ts';

describe('settings of the broker', () => {
  test('without any, streams stay in the process', () => {
    expect(parseConfig({}).broker).toMatchObject({
      url: null,
      prefix: 'cs:',
      partitions: 1,
      commandTimeoutMs: 1000,
    });
  });

  test.each<[string, object, RegExp]>([
    ['an unknown key', { uri: 'redis://x' }, /^broker: .*uri/],
    ['an address of something else', { url: 'http://x' }, /^broker\.url: must begin with redis/],
    ['no address', { url: 'redis://' }, /^broker\.url: /],
    ['a port that is none', { url: 'redis://x:99999' }, /^broker\.url: is not a URL/],
    ['a node without a port', { cluster: { nodes: ['x'] } }, /^broker\.cluster\.nodes\.0: must be host:port/],
    ['a password in a node', { sentinel: { name: 'm', nodes: ['a:b@x:1'] } }, /^broker\.sentinel\.nodes\.0/],
    ['braces in the prefix, which would be a hash tag', { prefix: '{a}' }, /^broker\.prefix/],
    ['no partition', { partitions: 0 }, /^broker\.partitions/],
  ])('refuses %s', (_, broker, message) => {
    expect(() => parseConfig({ broker })).toThrow(message);
  });
});
