import { randomBytes, randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type Alg, checkApiKeyClaims, readKid } from '../../src/index.ts';
import { implementations } from '../support/implementations.ts';
import { expectRefusal, makeKey, rawToken, type TestKey } from '../support/raw-token.ts';

interface Sample {
  readonly language: string;
  readonly alg?: Alg;
  readonly nonce: string;
  readonly header: string;
  readonly claims: string;
  readonly escapeSlashes?: boolean;
  readonly roundsUp?: boolean;
}

const samples: Sample[] = JSON.parse(
  readFileSync(new URL('../../vectors/sample-tokens.json', import.meta.url), 'utf8'),
);
const KID = 'organizations/7f2c/apiKeys/41aa';
const KEYS: Record<Alg, TestKey> = { ES256: makeKey('ES256'), EdDSA: makeKey('EdDSA') };
/** Half a second into a second, where rounding clocks are ahead. */
const NOW = 1_800_000_000.5;

/** What jwt-cpp's JSON writer leaves of raw bytes: quotes, slashes and control characters escaped, the rest as it is. */
function escapeRaw(bytes: Buffer): Buffer {
  return Buffer.concat(
    [...bytes].map((byte) => {
      if (byte < 0x20 || byte === 0x7f) return Buffer.from(`\\u00${byte.toString(16).padStart(2, '0')}`);
      if ([0x22, 0x2f, 0x5c].includes(byte)) return Buffer.from([0x5c, byte]);
      return Buffer.of(byte);
    }),
  );
}

function makeNonce(kind: string): Buffer {
  switch (kind) {
    case 'hex64':
      return Buffer.from(randomBytes(32).toString('hex'));
    case 'hex32':
      return Buffer.from(randomBytes(16).toString('hex'));
    case 'HEX10':
      return Buffer.from(randomBytes(5).toString('hex').toUpperCase());
    case 'decimal':
      return Buffer.from(`${randomInt(1e12)}${randomInt(1e6)}`);
    case 'epoch':
      return Buffer.from(`${Math.floor(NOW)}`);
    case 'text16':
      return Buffer.from(randomBytes(12).toString('base64url'));
    default:
      return escapeRaw(Buffer.concat([Buffer.of(0xff, 0x00, 0x22, 0x2f), randomBytes(12)]));
  }
}

function build(sample: Sample): string {
  const start = sample.roundsUp ? Math.round(NOW) : Math.floor(NOW);
  const kid = sample.escapeSlashes ? KID.replaceAll('/', '\\/') : KID;
  const fill = (text: string): string =>
    text
      .replaceAll('KID', kid)
      .replaceAll('NOW', `${start}`)
      .replaceAll('EXP120', `${start + 120}`)
      .replaceAll('EXP60', `${start + 60}`);
  const [before = '', after = ''] = fill(sample.header).split('NONCE');
  const header = Buffer.concat([Buffer.from(before), makeNonce(sample.nonce), Buffer.from(after)]);
  return rawToken(header, fill(sample.claims), KEYS[sample.alg ?? 'ES256']);
}

describe.each(implementations)('tokens as real clients build them, with $name', (impl) => {
  it.each(samples)('accepts the shape of $language', async (sample) => {
    const alg = sample.alg ?? 'ES256';
    for (let i = 0; i < 20; i++) {
      const token = build(sample);
      const parsed = await impl.verifyJws(
        token,
        { alg, key: KEYS[alg].jwk, kid: KID },
        { lenientHeaderText: true },
      );
      expect(readKid(parsed)).toBe(KID);
      checkApiKeyClaims(parsed, { kind: 'websocket', now: NOW });
      checkApiKeyClaims(parsed, { kind: 'websocket', now: NOW + 30 });
      await expectRefusal(() => checkApiKeyClaims(parsed, { kind: 'websocket', now: NOW + 126 }), 'expired');
    }
  });
});
