/**
 * Where a request comes from: the client's address behind trusted proxies, and the prefix that limits count by.
 * Every door asks here, so that a limit means the same on all of them.
 */
import type { IncomingMessage } from 'node:http';
import { isIP, type Socket } from 'node:net';
import { createAllowList, problemWithBlock } from '../operations/address.ts';

export interface Sources {
  /** The client's exact address, IPv4-mapped IPv6 written as IPv4. For allow lists. */
  address(request: IncomingMessage): string;
  /** The address as limits count it: IPv4 whole, IPv6 by its /64 (R81). */
  source(request: IncomingMessage): string;
  /** True if the client's own connection was https: here, or at a trusted proxy. */
  secure(request: IncomingMessage): boolean;
}

type Peer = Record<'address' | 'source', string>;

/** No legitimate chain of proxies is longer; anything beyond it is not walked. */
const MAX_HOPS = 16;

/**
 * @param trustedProxies addresses or CIDR blocks whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed (R71)
 * @throws Error naming the entry that is no address or block
 */
export function createSources(trustedProxies: readonly string[]): Sources {
  for (const entry of trustedProxies) {
    const problem = problemWithBlock(entry);
    if (problem !== null) throw new Error(`http.trustedProxies: ${problem}`);
  }
  const believes = trustedProxies.length > 0;
  const isTrusted = believes ? createAllowList(trustedProxies) : () => false;

  /** A peer stays who it is: the address of a socket is read once, not a few times for each request. */
  const peers = new WeakMap<Socket, Peer>();
  const peerOf = (socket: Socket): Peer => {
    const known = peers.get(socket);
    if (known !== undefined) return known;
    const { remoteAddress } = socket;
    const plain = plainAddress(remoteAddress ?? '');
    const peer = { address: plain, source: sourceGroup(plain) };
    if (remoteAddress !== undefined) peers.set(socket, peer);
    return peer;
  };

  const address = (request: IncomingMessage): string => {
    const { address: peer } = peerOf(request.socket);
    if (!believes) return peer;
    const forwarded = request.headers['x-forwarded-for'];
    if (forwarded === undefined || !isTrusted(peer)) return peer;
    // Each proxy appends the peer it saw, so only the right end is vouched for: walk left until the first
    // address that no trusted proxy has. What stands further left is the client's own word.
    const hops = (Array.isArray(forwarded) ? forwarded.join(',') : forwarded).split(',');
    let client = peer;
    for (let i = hops.length - 1, n = 0; i >= 0 && n < MAX_HOPS; i -= 1, n += 1) {
      const hop = hopAddress(hops[i]!);
      if (hop === null) return client;
      client = hop;
      if (!isTrusted(hop)) return hop;
    }
    return client;
  };

  return {
    address,
    source: (request) => (believes ? sourceGroup(address(request)) : peerOf(request.socket).source),
    secure(request) {
      if ((request.socket as { encrypted?: boolean }).encrypted === true) return true;
      if (!believes) return false;
      const proto = request.headers['x-forwarded-proto'];
      if (typeof proto !== 'string' || !isTrusted(peerOf(request.socket).address)) return false;
      // The right-most entry is the one our own proxy wrote.
      return (
        proto
          .slice(proto.lastIndexOf(',') + 1)
          .trim()
          .toLowerCase() === 'https'
      );
    },
  };
}

/** Shortens an address to what limits count by: IPv6 to its /64, in one spelling. */
export function sourceGroup(address: string): string {
  if (!address.includes(':')) return address;
  const groups = expandIpv6(address);
  if (groups === null) return address;
  return `${groups
    .slice(0, 4)
    .map((group) => group.toString(16))
    .join(':')}::/64`;
}

/** `::ffff:192.0.2.1` and `::ffff:c000:201` are the IPv4 address they map (RFC 4291 section 2.5.5.2). */
export function plainAddress(address: string): string {
  const bare = address.includes('%') ? address.slice(0, address.indexOf('%')) : address;
  if (!bare.includes(':')) return bare;
  const groups = expandIpv6(bare);
  if (groups === null) return bare;
  const mapped = groups[5] === 0xffff && groups.slice(0, 5).every((group) => group === 0);
  if (!mapped) return bare.toLowerCase();
  const [high, low] = [groups[6]!, groups[7]!];
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
}

function expandIpv6(address: string): number[] | null {
  if (isIP(address) !== 6) return null;
  let text = address;
  const lastColon = text.lastIndexOf(':');
  const tail = text.slice(lastColon + 1);
  if (tail.includes('.')) {
    const [a, b, c, d] = tail.split('.').map(Number) as [number, number, number, number];
    text = `${text.slice(0, lastColon + 1)}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  }
  const [left, right] = text.split('::') as [string, string | undefined];
  const parse = (part: string) =>
    part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16));
  const head = parse(left);
  if (right === undefined) return head;
  const rest = parse(right);
  return [...head, ...new Array<number>(8 - head.length - rest.length).fill(0), ...rest];
}

/** One entry of `X-Forwarded-For`; some proxies write a port after it. Null if it is no address. */
function hopAddress(entry: string): string | null {
  let text = entry.trim();
  if (text.startsWith('[')) text = text.slice(1, Math.max(1, text.indexOf(']')));
  else if (/^\d+\.\d+\.\d+\.\d+:\d+$/.test(text)) text = text.slice(0, text.indexOf(':'));
  const plain = plainAddress(text);
  return isIP(plain) === 0 ? null : plain;
}
