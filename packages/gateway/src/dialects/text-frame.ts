/**
 * One unmasked, final text frame (RFC 6455 section 5.2), complete to the last byte: servers do not mask
 * (section 5.1) and nothing here is fragmented.
 */
export function textFrame(payload: string): Uint8Array {
  const length = Buffer.byteLength(payload);
  const start = length < 126 ? 2 : length < 65_536 ? 4 : 10;
  const frame = Buffer.allocUnsafe(start + length);
  frame[0] = 0x81;
  if (start === 2) {
    frame[1] = length;
  } else if (start === 4) {
    frame[1] = 126;
    frame.writeUInt16BE(length, 2);
  } else {
    frame[1] = 127;
    frame.writeUInt32BE(0, 2);
    frame.writeUInt32BE(length, 6);
  }
  frame.write(payload, start, 'utf8');
  return frame;
}
