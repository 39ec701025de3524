/** Settings of the ways from a request to the venue's own services. */
import { z } from 'zod';

const REST = /^(?:GET|POST|PUT|PATCH|DELETE) \/[A-Za-z0-9._~/:-]*$/;

export const routeSchema = z
  .strictObject({
    /** What clients ask: one or more of these, for the same thing on several doors. */
    match: z
      .strictObject({
        /** `METHOD /path/:param`. What begins with `/v1/` is served under `/api/v1/` as well. */
        rest: z.string().max(256).regex(REST, 'is "METHOD /path", such as "GET /v1/orders/:id"').optional(),
        /** Name of a query of the ethgas dialect, which says itself who may ask it: `public` does not count here. */
        query: z
          .string()
          .regex(/^[A-Za-z][A-Za-z0-9_-]{0,63}$/)
          .optional(),
        /** Name of a Socket.IO event. */
        event: z
          .string()
          .regex(/^\/[A-Za-z0-9._/-]{1,127}$/)
          .optional(),
      })
      .refine((match) => Object.values(match).some((one) => one !== undefined), 'names nothing to match'),
    /** Where it goes. Parameters of a REST match may stand in the path under their names. */
    to: z.strictObject({
      /** Absent = the method of the request, POST for queries and events. */
      method: z.enum(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']).optional(),
      path: z
        .string()
        .max(256)
        .regex(/^\/[A-Za-z0-9._~/:-]*$/),
      /** Base URL of another service than `venue.url`. */
      url: z.url().optional(),
    }),
    /** Absent = `venue.timeoutMs`. */
    timeoutMs: z.number().int().min(1).max(60_000).optional(),
    /** Largest body of a REST request in bytes. Absent = `http.bodyLimit`. */
    bodyLimit: z
      .number()
      .int()
      .min(0)
      .max(64 * 1024 * 1024)
      .optional(),
    /** Open to everybody. False = only to whoever is signed in. */
    public: z.boolean().default(false),
    /** What the principal must hold besides. */
    permission: z.enum(['market_data', 'account_updates', 'trading', 'transfer']).nullable().default(null),
    weight: z.number().int().min(0).max(1_000_000).default(1),
    /** May be paid from the reserve of a tier: cancelling, closing, reducing. */
    reducesRisk: z.boolean().default(false),
    /** Asking twice does no more than asking once (RFC 9110 section 9.2.2). Absent = true for GET. */
    idempotent: z.boolean().optional(),
    /** Further attempts where the venue cannot be reached; only for what is idempotent. */
    retries: z.number().int().min(0).max(3).default(1),
    /** REST only: bodies pass through as bytes in both directions, unread, and without the envelope. */
    stream: z.boolean().default(false),
  })
  .refine((route) => !(route.public && route.permission !== null), 'a public route cannot need a permission')
  .refine((route) => !route.stream || route.match.rest !== undefined, '"stream" is for REST routes')
  .refine(
    ({ match, permission }) =>
      match.query === undefined || permission === null || permission === 'account_updates',
    'a query that is not public needs account_updates and nothing else',
  );

export type RouteConfig = z.output<typeof routeSchema>;
