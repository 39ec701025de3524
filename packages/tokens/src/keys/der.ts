import { concatBytes, equalBytes, fromHex } from '../encoding/bytes.ts';
import { type KeyMaterial, keyError } from './jwk.ts';

const hex = (text: string): Uint8Array => fromHex(text) as Uint8Array;

const OID_EC = hex('2a8648ce3d0201');
const OID_P256 = hex('2a8648ce3d030107');
const OID_ED25519 = hex('2b6570');

const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OCTET_STRING = 0x04;
const OID = 0x06;
const SEQUENCE = 0x30;

interface Item {
  readonly tag: number;
  readonly body: Uint8Array;
}

/** Splits DER (X.690 §10.1: definite, shortest lengths) into its items. Key files are far below 64 KiB. */
function readItems(bytes: Uint8Array): Item[] {
  const items: Item[] = [];
  let at = 0;
  while (at < bytes.length) {
    const tag = bytes[at]!;
    let length = bytes[at + 1] ?? keyFault();
    at += 2;
    if (length >= 0x80) {
      const size = length & 0x7f;
      if (size < 1 || size > 2) keyFault();
      length = 0;
      for (let i = 0; i < size; i++) length = length * 256 + (bytes[at++] ?? keyFault());
      if (length < (size === 1 ? 0x80 : 0x100)) keyFault();
    }
    if (at + length > bytes.length) keyFault();
    items.push({ tag, body: bytes.subarray(at, at + length) });
    at += length;
  }
  return items;
}

const keyFault = (): never => {
  throw keyError('a well-formed DER key');
};

function bodyOf(item: Item | undefined, tag: number): Uint8Array {
  return item?.tag === tag ? item.body : keyFault();
}

/** `AlgorithmIdentifier` (RFC 5280 §4.1.1.2) of the two key types; curves by name only (RFC 5480 §2.1.1). */
function readAlgorithm(body: Uint8Array): 'ES256' | 'EdDSA' {
  const [type, curve] = readItems(body);
  const oid = bodyOf(type, OID);
  if (equalBytes(oid, OID_EC) && curve?.tag === OID && equalBytes(curve.body, OID_P256)) return 'ES256';
  if (equalBytes(oid, OID_ED25519) && curve === undefined) return 'EdDSA';
  throw keyError('P-256 or Ed25519');
}

/** An uncompressed point (SEC 1 §2.3.3). The point at infinity is the single byte 0 and so has the wrong length. */
function readPoint(point: Uint8Array): { x: Uint8Array; y: Uint8Array } {
  if (point.length !== 65 || point[0] !== 4) throw keyError('an uncompressed P-256 point');
  return { x: point.slice(1, 33), y: point.slice(33) };
}

function bitString(item: Item | undefined): Uint8Array {
  const body = bodyOf(item, BIT_STRING);
  if (body[0] !== 0) keyFault();
  return body.subarray(1);
}

/** `ECPrivateKey` (RFC 5915 §3). */
function readSec1(items: readonly Item[], curveKnown: boolean): KeyMaterial {
  const [, secret, ...optional] = items;
  const parameters = optional.find((item) => item.tag === 0xa0);
  if (parameters) {
    const [curve] = readItems(parameters.body);
    if (!equalBytes(bodyOf(curve, OID), OID_P256)) throw keyError('P-256');
  } else if (!curveKnown) {
    throw keyError('a named curve');
  }
  const publicPart = optional.find((item) => item.tag === 0xa1);
  const scalar = bodyOf(secret, OCTET_STRING);
  if (scalar.length > 32) keyFault();
  const d = new Uint8Array(32);
  d.set(scalar, 32 - scalar.length);
  return {
    alg: 'ES256',
    d,
    ...(publicPart ? readPoint(bitString(readItems(publicPart.body)[0])) : {}),
  };
}

/** `PrivateKeyInfo` and `OneAsymmetricKey` (RFC 5208 §5, RFC 5958 §2, RFC 8410 §7). */
function readPkcs8(items: readonly Item[]): KeyMaterial {
  const alg = readAlgorithm(bodyOf(items[1], SEQUENCE));
  const inner = readItems(bodyOf(items[2], OCTET_STRING));
  if (alg === 'ES256') return readSec1(readItems(bodyOf(inner[0], SEQUENCE)), true);
  const seed = bodyOf(inner[0], OCTET_STRING);
  const publicPart = items.find((item) => item.tag === 0x81);
  return {
    alg,
    d: seed.slice(),
    ...(publicPart ? { x: publicPart.body.slice(1) } : {}),
  };
}

/** `SubjectPublicKeyInfo` (RFC 5280 §4.1.2.7, RFC 5480 §2, RFC 8410 §4). */
function readSpki(items: readonly Item[]): KeyMaterial {
  const alg = readAlgorithm(bodyOf(items[0], SEQUENCE));
  const key = bitString(items[1]);
  return alg === 'ES256' ? { alg, ...readPoint(key) } : { alg, x: key.slice() };
}

/** Reads a DER key by what is in it, not by a label: labels in the wild are often wrong. */
export function readDer(der: Uint8Array): KeyMaterial {
  const [outer, ...rest] = readItems(der);
  if (rest.length > 0) keyFault();
  const items = readItems(bodyOf(outer, SEQUENCE));
  if (items[0]?.tag === SEQUENCE) return readSpki(items);
  if (items[0]?.tag === INTEGER && items[1]?.tag === OCTET_STRING) return readSec1(items, false);
  if (items[0]?.tag === INTEGER && items[1]?.tag === SEQUENCE) return readPkcs8(items);
  return keyFault();
}

const PKCS8_EC = hex('3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420');
const PKCS8_ED = hex('302e020100300506032b657004220420');

/** The shortest PKCS#8 form: the private part only. The platform derives the public one. */
export function writePkcs8(alg: 'ES256' | 'EdDSA', d: Uint8Array): Uint8Array {
  return concatBytes(alg === 'ES256' ? PKCS8_EC : PKCS8_ED, d);
}
