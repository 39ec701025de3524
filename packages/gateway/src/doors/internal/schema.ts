import { Refusal } from '@countersign/protocol';
import type { z } from 'zod';

/** Parses a body by a schema. @throws Refusal `invalid_request` naming the first member that is wrong */
export function parse<T extends z.ZodType>(schema: T, value: unknown): z.output<T> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const where = issue?.path.join('.');
  const message = `${where ? `${where}: ` : ''}${issue?.message ?? 'not valid'}`;
  throw new Refusal('invalid_request', 'body does not fit the schema', { message: message.slice(0, 300) });
}
