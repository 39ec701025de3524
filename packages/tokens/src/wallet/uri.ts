/**
 * The grammars EIP-4361 borrows, as predicates: RFC 3986 (URI and authority) and RFC 3339 (date-time). Every pattern
 * has disjoint alternatives, so all of them run in linear time.
 */

const UNRESERVED_SUB = "-A-Za-z0-9._~!$&'()*+,;=";
const PCT = '%[0-9A-Fa-f]{2}';
const SCHEME = /^[A-Za-z][A-Za-z0-9+.-]*$/;
const USERINFO = new RegExp(`^(?:[${UNRESERVED_SUB}:]|${PCT})*$`);
const REG_NAME = new RegExp(`^(?:[${UNRESERVED_SUB}]|${PCT})*$`);
const PCHARS = new RegExp(`^(?:[${UNRESERVED_SUB}:@]|${PCT})*$`);
const PATH = new RegExp(`^(?:[${UNRESERVED_SUB}:@/]|${PCT})*$`);
const QUERY = new RegExp(`^(?:[${UNRESERVED_SUB}:@/?]|${PCT})*$`);
const IP_FUTURE = new RegExp(`^[vV][0-9A-Fa-f]+\\.[${UNRESERVED_SUB}:]+$`);
const IPV4 =
  /^(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:\.(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])){3}$/;

export const isScheme = (text: string): boolean => SCHEME.test(text);
/** `*pchar` */
export const isPchars = (text: string): boolean => PCHARS.test(text);

/** How many 16-bit groups `a:b:…` has, an IPv4 address at the end counting as two; −1 when it is not a list of them. */
function countGroups(text: string, mayEndInIpv4: boolean): number {
  if (text === '') return 0;
  const groups = text.split(':');
  const last = groups.at(-1)!;
  let count = groups.length;
  if (mayEndInIpv4 && IPV4.test(last)) {
    groups.pop();
    count += 1;
  }
  return groups.every((group) => /^[0-9A-Fa-f]{1,4}$/.test(group)) ? count : -1;
}

/** `IPv6address` (RFC 3986 §3.2.2). */
function isIpv6(text: string): boolean {
  if (text.length > 45) return false;
  const halves = text.split('::');
  if (halves.length > 2) return false;
  const [head = '', tail] = halves;
  if (tail === undefined) return countGroups(head, true) === 8;
  const before = countGroups(head, false);
  const after = countGroups(tail, true);
  return before >= 0 && after >= 0 && before + after <= 7;
}

interface Authority {
  readonly host: string;
}

/** `authority` (RFC 3986 §3.2), or `undefined`. The host may be empty, as the grammar has it. */
export function parseAuthority(text: string): Authority | undefined {
  const at = text.indexOf('@');
  if (at >= 0 && !USERINFO.test(text.slice(0, at))) return undefined;
  const hostPort = text.slice(at + 1);
  const match = /^(\[[^\]@/?#]*\]|[^:@/?#[\]]*)(?::[0-9]*)?$/.exec(hostPort);
  if (!match) return undefined;
  const host = match[1] ?? '';
  if (host.startsWith('[')) {
    const literal = host.slice(1, -1);
    return isIpv6(literal) || IP_FUTURE.test(literal) ? { host } : undefined;
  }
  return REG_NAME.test(host) ? { host } : undefined;
}

/** `URI` (RFC 3986 §3): absolute, with a scheme. */
export function isUri(text: string): boolean {
  const match = /^([^:/?#]+):([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/.exec(text);
  if (!match) return false;
  const [, scheme = '', hier = '', query = '', fragment = ''] = match;
  if (!isScheme(scheme) || !QUERY.test(query) || !QUERY.test(fragment)) return false;
  if (!hier.startsWith('//')) return PATH.test(hier);
  const slash = hier.indexOf('/', 2);
  const end = slash < 0 ? hier.length : slash;
  return parseAuthority(hier.slice(2, end)) !== undefined && PATH.test(hier.slice(end));
}

const DATE_TIME =
  /^([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(\.[0-9]+)?(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))$/;

/**
 * `date-time` (RFC 3339 §5.6) with the ranges of §5.7, as seconds since the epoch; `undefined` when it is not one.
 * A leap second counts as the second after it.
 */
export function parseDateTime(text: string): number | undefined {
  const match = DATE_TIME.exec(text);
  if (!match) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const [offsetHour, offsetMinute] = [Number(match[9] ?? 0), Number(match[10] ?? 0)];
  if (month < 1 || month > 12 || hour > 23 || minute > 59 || second > 60) return undefined;
  if (offsetHour > 23 || offsetMinute > 59) return undefined;
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  // A day past the end of its month rolls over into the next one.
  if (day < 1 || date.getUTCDate() !== day) return undefined;
  const offset = (match[8] === '-' ? -1 : 1) * (offsetHour * 3600 + offsetMinute * 60);
  const fraction = Number(match[7] ?? 0);
  return date.getTime() / 1000 + hour * 3600 + minute * 60 + second + fraction - offset;
}
