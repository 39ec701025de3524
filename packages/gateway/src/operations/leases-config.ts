/** Settings of leases and of the membership of nodes that they stand on. */
import { z } from 'zod';

export const leasesSchema = z.prefault(
  z.strictObject({
    /** Where events are sent to (docs/guides/leases.md); null = no leases are taken. */
    webhook: z
      .url({ protocol: /^https?$/ })
      .max(2048)
      .refine((url) => {
        const { username, password, hash } = new URL(url);
        return username === '' && password === '' && hash === '';
      }, 'must have no user, password or fragment: events are signed instead')
      .nullable()
      .default(null),
    /** Armed leases at most, over all nodes: each node remembers all of them. */
    most: z.number().int().min(1).max(1_000_000).default(100_000),
  }),
  {},
);

export const nodesSchema = z.prefault(
  z.strictObject({
    /** Seconds without a word after which a node is given up, and its connections count as gone. */
    deadAfter: z.number().min(4).max(300).default(6),
  }),
  {},
);
