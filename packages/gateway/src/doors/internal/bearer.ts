import { Refusal } from '@countersign/protocol';
import type { onRequestHookHandler } from 'fastify';
import { bearerToken } from '../http/guard.ts';
import type { TokenFile } from './credentials-file.ts';

/** Lets through only who shows the token of the file. Tokens of the public door are no tokens here (R08). */
export function requireToken(file: Pick<TokenFile, 'matches'>): onRequestHookHandler {
  return (request, reply, done) => {
    reply.header('cache-control', 'no-store');
    const token = bearerToken(request.headers.authorization);
    if (token !== null && file.matches(token)) done();
    else done(new Refusal('unauthorized', 'not the token of the file'));
  };
}
