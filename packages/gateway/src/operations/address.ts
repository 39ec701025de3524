/** Network allow lists of keys and tokens: single addresses and CIDR blocks, v4 and v6. */
import { BlockList, isIP } from 'node:net';

/**
 * Checks one entry of an allow list.
 *
 * @returns what is wrong with it, or null
 */
export function problemWithBlock(entry: string): string | null {
  const slash = entry.indexOf('/');
  const version = isIP(slash < 0 ? entry : entry.slice(0, slash));
  if (version === 0) return `"${entry.slice(0, 64)}" is not an IP address or CIDR block`;
  if (slash < 0) return null;
  const bits = entry.slice(slash + 1);
  return /^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128)
    ? null
    : `"${entry.slice(0, 64)}" has a prefix length that does not exist`;
}

/**
 * @param entries addresses or CIDR blocks that {@link problemWithBlock} has nothing against; empty = everywhere
 * @returns a check of exact addresses (IPv4-mapped IPv6 already written as IPv4)
 */
export function createAllowList(entries: readonly string[]): (address: string) => boolean {
  if (entries.length === 0) return () => true;
  const list = new BlockList();
  for (const entry of entries) {
    const [address = '', bits] = entry.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    list.addSubnet(address, bits === undefined ? (family === 'ipv6' ? 128 : 32) : Number(bits), family);
  }
  return (address) => {
    const version = isIP(address);
    return version !== 0 && list.check(address, version === 6 ? 'ipv6' : 'ipv4');
  };
}
