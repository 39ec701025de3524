import { decodeAnyBase64 } from '../encoding/base64url.ts';
import { fromHex } from '../encoding/bytes.ts';
import { parseStrictJson } from '../encoding/strict-json.ts';
import { TokenError } from '../errors.ts';
import { readDer } from './der.ts';
import { checkMaterial, type KeyMaterial, keyError, readJwk } from './jwk.ts';

const MAX_TEXT = 16_384;
const PEM = /-----BEGIN ([A-Z0-9 ]+)-----([\s\S]*?)-----END \1-----/g;

/** Undoes what copy and paste, shells, `.env` files and JSON do to key text. */
function normalise(text: string): string {
  let out = text.replace(/^\ufeff/, '').trim();
  for (const quote of ['"', "'"]) {
    if (out.length > 1 && out.startsWith(quote) && out.endsWith(quote)) out = out.slice(1, -1).trim();
  }
  return out.startsWith('{') ? out : out.replaceAll('\\r', '').replaceAll('\\n', '\n').trim();
}

function readPem(text: string): KeyMaterial | undefined {
  for (const [, label = '', body = ''] of text.matchAll(PEM)) {
    // `openssl ecparam -genkey` writes the curve in a block of its own first.
    if (label === 'EC PARAMETERS') continue;
    if (label.includes('ENCRYPTED') || body.includes('Proc-Type:'))
      throw keyError('a key that is not encrypted');
    const der = decodeAnyBase64(body.replace(/\s+/g, ''));
    if (!der) throw keyError('base64 between the PEM lines');
    return readDer(der);
  }
  return undefined;
}

function readJson(text: string): KeyMaterial {
  const json = parseStrictJson(text);
  if (json.kty !== undefined) return readJwk(json);
  // The portal's `cdp_api_key.json`: `name` in older files, `id` in newer ones.
  if (typeof json.privateKey !== 'string') throw keyError('a member privateKey', 'privateKey');
  const keyName = json.name ?? json.id;
  const material = readKeyText(json.privateKey, 'private');
  return typeof keyName === 'string' ? { ...material, keyName } : material;
}

function readRaw(bytes: Uint8Array, kind: 'private' | 'public'): KeyMaterial {
  if (bytes[0] === 0x30 && bytes.length > 40 && bytes.length !== 64) return readDer(bytes);
  if (kind === 'public') {
    if (bytes.length === 32) return { alg: 'EdDSA', x: bytes };
    if (bytes.length === 65 && bytes[0] === 4) {
      return { alg: 'ES256', x: bytes.slice(1, 33), y: bytes.slice(33) };
    }
    throw keyError('PEM, JWK, or 32 raw bytes');
  }
  if (bytes.length === 32) return { alg: 'EdDSA', d: bytes };
  // Seed followed by public key: what the portal shows for Ed25519.
  if (bytes.length === 64) return { alg: 'EdDSA', d: bytes.slice(0, 32), x: bytes.slice(32) };
  throw keyError('PEM, JWK, a key file, or 32 or 64 raw bytes');
}

/**
 * Reads a key however people have it: PEM of SEC1, PKCS#8 or SPKI (also labelled `EC PUBLIC KEY`, with `\n` escapes,
 * CRLF, a BOM, quotes, or spaces for newlines), DER in base64, a JWK, an API-key file, raw Ed25519 bytes in base64 or
 * hex. `kind` decides only what raw bytes are. Points and scalars are checked; a pair is not checked to match.
 *
 * @throws {TokenError} `key`. The message never contains any of the text.
 */
export function readKeyText(text: string, kind: 'private' | 'public'): KeyMaterial {
  if (text.length > MAX_TEXT) throw keyError(`at most ${MAX_TEXT} characters`);
  const clean = normalise(text);
  let material: KeyMaterial | undefined;
  if (clean.startsWith('{')) {
    try {
      material = readJson(clean);
    } catch (error) {
      if (error instanceof TokenError && error.code === 'json')
        throw keyError('a JSON object without faults');
      throw error;
    }
  } else {
    material = readPem(clean);
    if (!material) {
      const bytes = /^(0x)?([0-9a-fA-F]{64}|04[0-9a-fA-F]{128})$/.test(clean)
        ? fromHex(clean)
        : decodeAnyBase64(clean.replace(/\s+/g, ''));
      if (!bytes || bytes.length === 0) throw keyError('PEM, JWK, a key file, or raw bytes in base64');
      material = readRaw(bytes, kind);
    }
  }
  checkMaterial(material);
  return material;
}

/** Reads a JWK object or key text; see {@link readKeyText}. */
export function readKey(input: string | object, kind: 'private' | 'public'): KeyMaterial {
  return typeof input === 'string' ? readKeyText(input, kind) : readJwk(input);
}
