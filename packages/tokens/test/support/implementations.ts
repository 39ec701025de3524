import type { Alg, JsonObject, ParsedJwt, ParseOptions, PublicJwk } from '../../src/index.ts';
import * as web from '../../src/index.ts';
import * as node from '../../src/node.ts';

interface Signer {
  readonly alg: Alg;
  readonly publicJwk: PublicJwk;
  readonly jwk: object;
  readonly keyName?: string;
  /** What the import returned, untouched. */
  readonly imported: object;
  sign(claims: JsonObject, header: JsonObject): Promise<string>;
  buildApiKeyJwt(options: web.ApiKeyTokenOptions): Promise<string>;
}

/** One face for both implementations, so that one suite runs against both. */
export interface Implementation {
  readonly name: string;
  importPrivateKey(input: string | object): Promise<Signer>;
  importPublicKey(input: string | object): Promise<{ alg: Alg; jwk: PublicJwk }>;
  verifyJws(
    token: string,
    keys:
      | { alg: Alg; key: PublicJwk; kid?: string }
      | { alg: Alg; key: PublicJwk; kid?: string }[]
      | undefined,
    options?: ParseOptions,
  ): Promise<ParsedJwt>;
  verifyJwsWithJwk(token: string, jwk: object): Promise<boolean>;
  verifyEs256(key: web.EcPublicJwk, message: Uint8Array, signature: Uint8Array): Promise<boolean>;
  verifyEd25519(key: web.OkpPublicJwk, message: Uint8Array, signature: Uint8Array): Promise<boolean>;
}

export const implementations: readonly Implementation[] = [
  {
    name: 'node:crypto',
    importPrivateKey: async (input) => {
      const key = node.importPrivateKey(input);
      return {
        ...key,
        jwk: key.jwk,
        imported: key,
        sign: async (claims, header) => node.signJws(claims, header, key),
        buildApiKeyJwt: async (options) => node.buildApiKeyJwt({ ...options, key }),
      };
    },
    importPublicKey: async (input) => node.importPublicKey(input),
    verifyJws: async (token, keys, options) => node.verifyJws(token, keys, options),
    verifyJwsWithJwk: async (token, jwk) => node.verifyJwsWithJwk(token, jwk),
    verifyEs256: async (...args) => node.verifyEs256(...args),
    verifyEd25519: async (...args) => node.verifyEd25519(...args),
  },
  {
    name: 'WebCrypto',
    importPrivateKey: async (input) => {
      const key = await web.importPrivateKey(input);
      return {
        ...key,
        jwk: key.jwk,
        imported: key,
        sign: (claims, header) => web.signJws(claims, header, key),
        buildApiKeyJwt: (options) => web.buildApiKeyJwt({ ...options, key }),
      };
    },
    importPublicKey: (input) => web.importPublicKey(input),
    verifyJws: web.verifyJws,
    verifyJwsWithJwk: web.verifyJwsWithJwk,
    verifyEs256: web.verifyEs256,
    verifyEd25519: web.verifyEd25519,
  },
];
