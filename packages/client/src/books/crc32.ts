/** CRC-32 as in zlib and PNG (polynomial 0xEDB88320, reflected); browsers have none of their own. */
let table: Uint32Array | null = null;

function makeTable(): Uint32Array {
  const made = new Uint32Array(256);
  for (let n = 0; n < 256; n++) {
    let value = n;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
    made[n] = value;
  }
  return made;
}

/** @param text ASCII @returns an unsigned 32-bit number */
export function crc32(text: string): number {
  table ??= makeTable();
  let crc = 0xffffffff;
  for (let i = 0; i < text.length; i++) {
    crc = table[(crc ^ text.charCodeAt(i)) & 0xff]! ^ (crc >>> 8);
  }
  return (crc ^ 0xffffffff) >>> 0;
}
