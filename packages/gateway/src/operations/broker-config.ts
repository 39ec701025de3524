/** Settings of the broker: in this process, or Redis (or Valkey) that several gateways share. */
import { z } from 'zod';

const node = z.string().regex(/^(?:\[[0-9a-fA-F:]+\]|[^:/@\s]+):\d{1,5}$/, 'must be host:port');
const file = z.string().min(1).nullable().default(null);

export const brokerSchema = z.prefault(
  z.strictObject({
    /**
     * `redis://[user:password@]host:port[/database]`, or `rediss://` for TLS; null = in this process. With Sentinel
     * or Cluster it still says user, password, database and whether TLS is used; the nodes come from there.
     */
    url: z
      .string()
      .regex(/^rediss?:\/\/[^/]/, 'must begin with redis:// or rediss://')
      .refine((url) => URL.canParse(url), 'is not a URL')
      .nullable()
      .default(null),
    /** Before every key and channel name. Gateways with the same prefix and database share their streams. */
    prefix: z
      .string()
      .regex(/^[A-Za-z0-9_.:-]{1,64}$/, 'may hold letters, digits, and _ . : -')
      .default('cs:'),
    /** PEM files for `rediss://`: who may have signed the server's certificate, and our own if it wants one. */
    tls: z.prefault(z.strictObject({ ca: file, cert: file, key: file }), {}),
    /** Name of the master and addresses of the Sentinels; null = no Sentinel. */
    sentinel: z.prefault(
      z.strictObject({
        name: z.string().min(1).max(128).nullable().default(null),
        nodes: z.array(node).max(32).default([]),
        /** For the Sentinels themselves, if they ask for it. */
        username: z.string().max(256).nullable().default(null),
        password: z.string().max(256).nullable().default(null),
      }),
      {},
    ),
    /** Some of the nodes of a Redis Cluster; empty = no cluster. */
    cluster: z.prefault(z.strictObject({ nodes: z.array(node).max(64).default([]) }), {}),
    /** Parts into which the streams are divided, each on one node of a cluster. Equal on all gateways. */
    partitions: z.number().int().min(1).max(256).default(1),
    /** A command that was not answered by then has failed, and the connection is opened anew. */
    commandTimeoutMs: z.number().int().min(50).max(30_000).default(1000),
    /** Seconds without a publication after which a stream is forgotten. */
    idleSeconds: z
      .number()
      .int()
      .min(60)
      .max(90 * 86_400)
      .default(7 * 86_400),
  }),
  {},
);

export type BrokerConfig = z.output<typeof brokerSchema>;
