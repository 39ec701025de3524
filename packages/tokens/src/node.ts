/**
 * The same functions as the main entry's, made of `node:crypto`: synchronous and several times faster. Formats that
 * need no platform cryptography (parsing, claims, wallets, errors) are in the main entry for both.
 */
export {
  type ImportedPrivateKey,
  type ImportedPublicKey,
  importPrivateKey,
  importPublicKey,
  publicKeyObject,
  type SigningKey,
} from './node/keys.ts';
export { replayId } from './node/replay-id.ts';
export { type BuildApiKeyJwtOptions, buildApiKeyJwt, signEs256, signJws } from './node/sign.ts';
export {
  type NodeVerificationKey,
  type NodeVerificationKeys,
  verifyEd25519,
  verifyEs256,
  verifyJws,
  verifyJwsWithJwk,
  verifyParsed,
} from './node/verify.ts';
export { verifyWebhook, type WebhookEvent, type WebhookToVerify } from './node/webhook.ts';
