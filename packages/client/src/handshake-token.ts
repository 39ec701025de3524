/** A provisioned token for the handshake of a Socket.IO connection. */

import { waitFor } from './clock.ts';
import type { Credential } from './credential.ts';
import { CredentialError } from './errors.ts';

export interface HandshakeToken extends Credential {
  readonly kind: 'handshake-token';
}

/**
 * @param token the token, or a function that is asked at every connection attempt: the way to rotate without a restart
 * @throws CredentialError `invalid_token` for a token that cannot be one; from `webSocketLogin` where it is a function
 */
export function createHandshakeToken(token: string | (() => string | Promise<string>)): HandshakeToken {
  const first = typeof token === 'string' ? check(token) : null;
  return {
    kind: 'handshake-token',
    label: null,
    async webSocketLogin({ signal } = {}) {
      signal?.throwIfAborted();
      const text =
        first ?? check(await waitFor(Promise.resolve((token as () => string | Promise<string>)()), signal));
      return { scheme: 'handshake', token: text, perMessage: false, expiresAt: null };
    },
    onRenewed: () => () => {},
    onEnded: () => () => {},
    invalidate: () => {},
    noteServerTime: () => {},
  };
}

const MAX_TOKEN = 8192;

function check(token: unknown): string {
  const text = typeof token === 'string' ? token.trim() : '';
  if (text === '') throw new CredentialError('invalid_token', 'The handshake token is empty');
  if (text.length > MAX_TOKEN || !/^[\x21-\x7e]+$/.test(text)) {
    throw new CredentialError('invalid_token', 'A handshake token is printable ASCII without blanks');
  }
  return text;
}
