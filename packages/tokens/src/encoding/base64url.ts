const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
/** The six bits of each character; 64 for what is not in the alphabet. */
const VALUES = new Uint8Array(128).fill(64);
for (let i = 0; i < ALPHABET.length; i++) VALUES[ALPHABET.charCodeAt(i)] = i;

/** Encodes without padding (RFC 4648 §5, RFC 7515 §2). */
export function encodeBase64url(bytes: Uint8Array): string {
  let text = '';
  let i = 0;
  for (; i + 2 < bytes.length; i += 3) {
    const word = (bytes[i]! << 16) | (bytes[i + 1]! << 8) | bytes[i + 2]!;
    text +=
      ALPHABET[word >> 18]! +
      ALPHABET[(word >> 12) & 63]! +
      ALPHABET[(word >> 6) & 63]! +
      ALPHABET[word & 63]!;
  }
  if (bytes.length - i === 1) {
    const word = bytes[i]!;
    text += ALPHABET[word >> 2]! + ALPHABET[(word & 3) << 4]!;
  } else if (bytes.length - i === 2) {
    const word = (bytes[i]! << 8) | bytes[i + 1]!;
    text += ALPHABET[word >> 10]! + ALPHABET[(word >> 4) & 63]! + ALPHABET[(word & 15) << 2]!;
  }
  return text;
}

/**
 * Decodes the one canonical spelling: no padding, no line breaks, no other alphabet, and the unused bits of the
 * last character are zero (RFC 4648 §3.5). Anything else is `undefined`, so that a token has exactly one text.
 * `start` and `end` are places in `text`, by default all of it.
 */
export function decodeBase64url(text: string, start = 0, end: number = text.length): Uint8Array | undefined {
  const length = end - start;
  const tail = length % 4;
  if (tail === 1) return undefined;
  const out = new Uint8Array((length * 3) >> 2);
  const whole = end - tail;
  // What is wrong is gathered and looked at once: a branch for every character would cost more than decoding it.
  let codes = 0;
  let values = 0;
  let at = 0;
  for (let i = start; i < whole; i += 4) {
    const c0 = text.charCodeAt(i);
    const c1 = text.charCodeAt(i + 1);
    const c2 = text.charCodeAt(i + 2);
    const c3 = text.charCodeAt(i + 3);
    codes |= c0 | c1 | c2 | c3;
    const v0 = VALUES[c0 & 127]!;
    const v1 = VALUES[c1 & 127]!;
    const v2 = VALUES[c2 & 127]!;
    const v3 = VALUES[c3 & 127]!;
    values |= v0 | v1 | v2 | v3;
    out[at] = (v0 << 2) | (v1 >> 4);
    out[at + 1] = (v1 << 4) | (v2 >> 2);
    out[at + 2] = (v2 << 6) | v3;
    at += 3;
  }
  let left = 0;
  if (tail !== 0) {
    const c0 = text.charCodeAt(whole);
    const c1 = text.charCodeAt(whole + 1);
    const c2 = tail === 3 ? text.charCodeAt(whole + 2) : 65;
    codes |= c0 | c1 | c2;
    const v0 = VALUES[c0 & 127]!;
    const v1 = VALUES[c1 & 127]!;
    const v2 = VALUES[c2 & 127]!;
    values |= v0 | v1 | v2;
    out[at] = (v0 << 2) | (v1 >> 4);
    if (tail === 3) out[at + 1] = (v1 << 4) | (v2 >> 2);
    left = tail === 3 ? v2 & 3 : v1 & 15;
  }
  return codes < 128 && values < 64 && left === 0 ? out : undefined;
}

/** Decodes padded or unpadded base64 of either alphabet, as key files carry it; still refuses stray bits. */
export function decodeAnyBase64(text: string): Uint8Array | undefined {
  const match = /^([A-Za-z0-9+/_-]*)(={0,2})$/.exec(text);
  if (!match) return undefined;
  const [, body = '', padding = ''] = match;
  if (padding !== '' && (body.length + padding.length) % 4 !== 0) return undefined;
  return decodeBase64url(body.replaceAll('+', '-').replaceAll('/', '_'));
}

/** Encodes with the standard alphabet and padding (RFC 4648 §4), as PEM wants it. */
export function encodeBase64(bytes: Uint8Array): string {
  const text = encodeBase64url(bytes).replaceAll('-', '+').replaceAll('_', '/');
  return text.padEnd(Math.ceil(text.length / 4) * 4, '=');
}
