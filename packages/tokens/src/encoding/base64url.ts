const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const VALUES = new Int8Array(128).fill(-1);
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
 */
export function decodeBase64url(text: string): Uint8Array | undefined {
  const tail = text.length % 4;
  if (tail === 1) return undefined;
  const out = new Uint8Array((text.length * 3) >> 2);
  let bits = 0;
  let word = 0;
  let length = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    const value = code < 128 ? VALUES[code]! : -1;
    if (value < 0) return undefined;
    word = ((word << 6) | value) & 0xffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out[length++] = word >> bits;
    }
  }
  return (word & ((1 << bits) - 1)) === 0 ? out : undefined;
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
