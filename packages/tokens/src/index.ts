// Errors

// Encodings
export { decodeBase64url, encodeBase64url } from './encoding/base64url.ts';
export { concatBytes, equalBytes, fromHex, toHex, utf8 } from './encoding/bytes.ts';
export {
  type JsonObject,
  type JsonValue,
  parseStrictJson,
  type StrictJsonOptions,
} from './encoding/strict-json.ts';
export { TokenError, type TokenErrorCause, type TokenErrorCode } from './errors.ts';

// JWT: parsing and claims
export {
  API_KEY_AUDIENCES,
  API_KEY_ISSUERS,
  type ApiKeyRules,
  checkApiKeyClaims,
  type RestRules,
  type WebSocketRules,
} from './jwt/api-key-claims.ts';
export { type ApiKeyTokenOptions, apiKeyTokenParts } from './jwt/api-key-token.ts';
export {
  type ParsedJws,
  type ParsedJwt,
  type ParseOptions,
  parseCompact,
  parseCompactJws,
  readKid,
} from './jwt/compact.ts';
export { replayId } from './jwt/replay-id.ts';
export { checkTimes, type TimeRules } from './jwt/times.ts';

// Keys
export {
  type Alg,
  type EcPublicJwk,
  type KeyMaterial,
  type OkpPublicJwk,
  type PrivateJwk,
  type PublicJwk,
  type PublicJwkLabels,
  publicJwk,
  readJwk,
  thumbprint,
} from './keys/jwk.ts';
export type { VerificationKey } from './keys/key-records.ts';
export { readKeyText } from './keys/key-text.ts';
export { importRegistrableKey, type RegistrableKey } from './keys/registrable.ts';
// Wallets
export { type Address, checksumAddress, parseAddress } from './wallet/address.ts';
export {
  encodeIsValidSignature,
  isValidSignatureResult,
  unwrapErc6492,
  type WrappedSignature,
} from './wallet/contract-signature.ts';
export { hexData, keccak256, personalMessageHash } from './wallet/keccak.ts';
export { loginDigest } from './wallet/login-message.ts';
export { type LoginMessage, type LoginTypedData, loginTypedData } from './wallet/login-typed-data.ts';
export {
  addressOfPrivateKey,
  ready,
  recoverAddress,
  signDigest,
  verifyWalletSignature,
  type WalletSignatureCheck,
} from './wallet/recover.ts';
export {
  buildSiweMessage,
  checkSiweMessage,
  parseSiweMessage,
  type SiweMessage,
  type SiweRules,
} from './wallet/siwe.ts';
export {
  encodeType,
  hashDomain,
  hashStruct,
  hashTypedData,
  type TypedData,
  type TypedDataField,
  type TypedDataTypes,
} from './wallet/typed-data.ts';
// WebCrypto: sign, verify, import. Node programs use the same names, synchronous, from "@countersign/tokens/node".
export {
  type ImportedPrivateKey,
  type ImportedPublicKey,
  importPrivateKey,
  importPublicKey,
  type SigningKey,
  type WebKey,
} from './web/keys.ts';
export { type BuildApiKeyJwtOptions, buildApiKeyJwt, signEs256, signJws } from './web/sign.ts';
export {
  verifyEd25519,
  verifyEs256,
  verifyJws,
  verifyJwsWithJwk,
  verifyParsed,
  type WebVerificationKey,
  type WebVerificationKeys,
} from './web/verify.ts';
