/** Frames of RFC 6455 section 5.2 by hand, as a client writes and reads them. */
import { randomBytes } from 'node:crypto';

/** First byte of a whole text message. */
const TEXT = 0x81;

/** A masked text frame, as clients have to send them (RFC 6455 section 5.3). @param text 65,535 bytes at most */
export function textFrame(text: string): Buffer {
  const payload = Buffer.from(text);
  const mask = randomBytes(4);
  for (let i = 0; i < payload.length; i += 1) payload[i]! ^= mask[i & 3]!;
  const head =
    payload.length < 126
      ? Buffer.from([TEXT, 0x80 | payload.length])
      : Buffer.from([TEXT, 0xfe, payload.length >> 8, payload.length & 255]);
  return Buffer.concat([head, mask, payload]);
}

/**
 * What stands at `at` in a server's bytes: the opcode, the length of the header and that of the payload. Null while the
 * header is not all there. The payload need not be.
 */
export function frameAt(
  bytes: Buffer,
  at: number,
): { opcode: number; header: number; length: number } | null {
  const short = (bytes[at + 1] ?? 0) & 0x7f;
  const header = short === 126 ? 4 : short === 127 ? 10 : 2;
  if (bytes.length - at < header) return null;
  const length =
    short === 126
      ? bytes.readUInt16BE(at + 2)
      : short === 127
        ? Number(bytes.readBigUInt64BE(at + 2))
        : short;
  return { opcode: bytes[at]! & 0x0f, header, length };
}
