import { toBigInt } from '../encoding/bytes.ts';

/** P-256 (FIPS 186-5, SP 800-186 §3.2.1.3). */
const P256_P = 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn;
const P256_B = 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn;
const P256_N = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

/** edwards25519 (RFC 8032 §5.1). */
const ED_P = 2n ** 255n - 19n;
const ED_D = 37095705934669439343138083508754565189542113879843219016388785533085940283555n;
/** The y of two of the four points of order 8; the other two have `p − y`. */
const ED_Y8 = 0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7n;
const ED_SMALL_ORDER_Y = new Set([0n, 1n, ED_P - 1n, ED_Y8, ED_P - ED_Y8]);

const mod = (value: bigint, p: bigint): bigint => {
  const rest = value % p;
  return rest < 0n ? rest + p : rest;
};

/** Only for public values: the running time depends on the operands. */
function power(base: bigint, exponent: bigint, p: bigint): bigint {
  let result = 1n;
  let square = base;
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = (result * square) % p;
    square = (square * square) % p;
  }
  return result;
}

/** Whether 32-byte coordinates are reduced and on P-256. The point at infinity has no such coordinates. */
export function isP256Point(x: Uint8Array, y: Uint8Array): boolean {
  if (x.length !== 32 || y.length !== 32) return false;
  const px = toBigInt(x);
  const py = toBigInt(y);
  if (px >= P256_P || py >= P256_P) return false;
  return mod(py * py - (px * px * px - 3n * px + P256_B), P256_P) === 0n;
}

/** Whether 32 bytes are a private scalar of P-256: `1 ≤ d < n`. */
export function isP256Scalar(d: Uint8Array): boolean {
  if (d.length !== 32) return false;
  const scalar = toBigInt(d);
  return scalar > 0n && scalar < P256_N;
}

/**
 * Why 32 bytes are not acceptable as an Ed25519 public key, or `undefined` when they are. Under a key of small order
 * signatures can be made without any private key, and OpenSSL does not refuse such keys by itself.
 */
export function ed25519PointFault(encoded: Uint8Array): string | undefined {
  if (encoded.length !== 32) return 'a public key of 32 bytes';
  const bytes = Uint8Array.from(encoded).reverse();
  bytes[0] = bytes[0]! & 0x7f;
  const y = toBigInt(bytes);
  // RFC 8032 §5.1.3 (1): y must be reduced. `p` and `p+1` are second spellings of small-order points.
  if (y >= ED_P) return 'a canonical encoding';
  if (ED_SMALL_ORDER_Y.has(y)) return 'a key that is not of small order';
  // RFC 8032 §5.1.3 (2): x² = (y² − 1) / (d·y² + 1) must be a square; u/v is one exactly when u·v is (v ≠ 0 as −1/d
  // is no square). Euler's criterion then needs no inversion.
  const u = mod(y * y - 1n, ED_P);
  const v = mod(ED_D * y * y + 1n, ED_P);
  // Either sign bit is fine from here on: x = 0 needs y = ±1, and both were refused above (RFC 8032 §5.1.3 (4)).
  return power((u * v) % ED_P, (ED_P - 1n) / 2n, ED_P) === 1n ? undefined : 'a point on the curve';
}
