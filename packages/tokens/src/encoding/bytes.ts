const encoder = new TextEncoder();
// `ignoreBOM: true` keeps a BOM in the text, where the JSON grammar then refuses it (RFC 8259 §8.1).
const strictDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Encodes text as UTF-8. */
export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Decodes strict UTF-8; `undefined` when the bytes are not UTF-8. A byte order mark is kept as U+FEFF. */
export function utf8Text(bytes: Uint8Array): string | undefined {
  try {
    return strictDecoder.decode(bytes);
  } catch {
    return undefined;
  }
}

/** One character per byte (ISO 8859-1). Injective, so two different byte strings never look alike. */
export function latin1Text(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const out = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    out.set(part, offset);
    offset += part.length;
  }
  return out;
}

/** Compares public values. Not constant time: never use it on a secret. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** Lower-case hex without a prefix. */
export function toHex(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += HEX[byte];
  return text;
}

const nibble = (code: number): number => {
  if (code >= 48 && code <= 57) return code - 48;
  if (code >= 97 && code <= 102) return code - 87;
  if (code >= 65 && code <= 70) return code - 55;
  return -1;
};

/** Decodes hex of either case with or without `0x`; `undefined` when it is not an even number of hex digits. */
export function fromHex(text: string): Uint8Array | undefined {
  const start = text.startsWith('0x') || text.startsWith('0X') ? 2 : 0;
  if ((text.length - start) % 2 !== 0) return undefined;
  const out = new Uint8Array((text.length - start) / 2);
  for (let i = 0; i < out.length; i++) {
    const high = nibble(text.charCodeAt(start + 2 * i));
    const low = nibble(text.charCodeAt(start + 2 * i + 1));
    if (high < 0 || low < 0) return undefined;
    out[i] = high * 16 + low;
  }
  return out;
}

/** Big-endian bytes to an integer. */
export function toBigInt(bytes: Uint8Array): bigint {
  return bytes.length === 0 ? 0n : BigInt(`0x${toHex(bytes)}`);
}

/** A non-negative integer as `length` big-endian bytes. The caller has checked that it fits. */
export function fromBigInt(value: bigint, length: number): Uint8Array {
  return fromHex(value.toString(16).padStart(length * 2, '0')) as Uint8Array;
}
