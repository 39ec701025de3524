/** Settings of the Socket.IO door. What it shares with WebSocket connections is set there. */
import { z } from 'zod';

export const socketioSchema = z.prefault(
  z.strictObject({
    /** Allows HTTP long-polling besides WebSocket (R69). Needs a balancer that keeps a client on one node. */
    polling: z.boolean().default(false),
    /** Bytes of one message. */
    messageLimit: z
      .number()
      .int()
      .min(1024)
      .max(16 * 1024 * 1024)
      .default(64 * 1024),
    /** Seconds between the pings of Engine.IO, and for an answer to one. Clients learn both at connect. */
    pingInterval: z.number().min(1).max(300).default(25),
    pingTimeout: z.number().min(1).max(300).default(20),
    /** Seconds in which a new transport must have shown its token. */
    connectDeadline: z.number().min(0.1).max(60).default(5),
  }),
  {},
);
