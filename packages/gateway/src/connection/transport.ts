import type { CloseCode } from '@countersign/protocol';
import type { Outbox } from '../streams/outbox.ts';

/** What a connection needs of the door it came through. Doors turn it into bytes. */
export interface Transport {
  /** Ready frames leave through here, in order. */
  readonly outbox: Outbox;
  /** Queues one text message, in order with everything in the outbox. */
  send(text: string): void;
  /** Sends what is queued, then the close code. Calls after the first do nothing. */
  close(code: CloseCode): void;
  /** Drops the connection now; nothing that is queued leaves any more. */
  terminate(): void;
}
