/** What the parts of a connection need of the whole. */
import type { CloseCode, ErrorCode } from '@countersign/protocol';
import type { Conversation, Dialect, Phrase } from '../dialects/dialect.ts';
import type { CutReason } from '../streams/hub.ts';
import type { Outbox } from '../streams/outbox.ts';

export interface Host {
  readonly outbox: Outbox;
  readonly closed: boolean;
  /** Null until a message has shown which one the peer speaks. */
  readonly dialect: Dialect | null;
  /** Another object once that is known. */
  readonly conversation: Conversation;
  say(words: (conversation: Conversation) => string[]): void;
  refuse(phrase: Phrase, code: ErrorCode, message?: string): void;
  /** Says something that nobody asked for; null says nothing. */
  notify(text: string | null): void;
  /** A stream cannot go on where the reader was, and there is no frame to say so. */
  cut(reason: CutReason): void;
  close(code: CloseCode): void;
}
