/**
 * One unfragmented, unmasked text frame as a server sends it (RFC 6455 sections 5.1 and 5.2), ready for any
 * number of sockets: a broadcast is framed once instead of once per reader.
 *
 * @param text payload; lone surrogates become U+FFFD, so the frame is always valid UTF-8 (section 8.1)
 */
export function textFrame(text: string): Buffer {
  const length = Buffer.byteLength(text);
  const header = length < 126 ? 2 : length < 65_536 ? 4 : 10;
  const frame = Buffer.allocUnsafe(header + length);
  // FIN and opcode 1.
  frame[0] = 0x81;
  if (header === 2) {
    frame[1] = length;
  } else if (header === 4) {
    frame[1] = 126;
    frame.writeUInt16BE(length, 2);
  } else {
    frame[1] = 127;
    // Beyond 2^32 no string reaches (V8 stops near 2^29 characters).
    frame.writeUInt32BE(0, 2);
    frame.writeUInt32BE(length, 6);
  }
  // As many bytes as characters means ASCII, and then the cheaper copy is the same copy.
  frame.write(text, header, length === text.length ? 'latin1' : 'utf8');
  return frame;
}
