// What a page needs that leaves hashing to the wallet: no Keccak and no secp256k1 behind these names. Bundlers that
// split code put everything behind one door into one chunk, so that which is loaded later needs another door.
export { decodeBase64url, encodeBase64url } from './encoding/base64url.ts';
export { fromHex, toHex } from './encoding/bytes.ts';
export { TokenError, type TokenErrorCause, type TokenErrorCode } from './errors.ts';
export { type LoginMessage, type LoginTypedData, loginTypedData } from './wallet/login-typed-data.ts';
export { type ImportedPrivateKey, importPrivateKey, type SigningKey } from './web/keys.ts';
export { type BuildApiKeyJwtOptions, buildApiKeyJwt } from './web/sign.ts';
