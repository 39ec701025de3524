/** The admin API's "why": `GET /explain?userId=78&do=...` and `POST /explain` with `{who, do, from}`. */
import { isIP } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Explanations, Question, Who } from '../../backend/explanations.ts';
import { queryOf } from '../http/params.ts';
import { parse } from './schema.ts';

const text = z.string().min(1).max(160);
const userId = z.number().int().positive();
const who = z
  .union([
    z.literal('anonymous'),
    z
      .strictObject({ userId, address: text, keyId: text, sid: text, tokenId: text })
      .partial()
      .refine((one) => Object.values(one).filter((value) => value !== undefined).length === 1, {
        message: 'name one: userId, address, keyId, sid, tokenId; or "anonymous"',
      }),
  ])
  .transform((one) => (one === 'anonymous' ? {} : one) as Who);

const questionSchema = z.strictObject({
  who,
  do: z.string().min(1).max(512),
  from: z
    .string()
    .refine((address) => isIP(address) !== 0, 'is no IP address')
    .optional(),
});

export function useExplainRoutes(fastify: FastifyInstance, explanations: Explanations): void {
  const answer = async (question: unknown) => ({
    success: true,
    data: await explanations.explain(parse(questionSchema, question) as Question),
  });

  fastify.post('/explain', async (request) => answer(request.body ?? {}));

  fastify.get('/explain', async (request) => {
    const { do: what, from, anonymous, userId: id, ...names } = queryOf(request);
    const named = id === undefined ? names : { ...names, userId: Number(id) };
    return answer({
      who: anonymous === undefined || Object.keys(named).length > 0 ? named : 'anonymous',
      do: what,
      ...(from === undefined ? {} : { from }),
    });
  });
}
