/**
 * What this node has heard of one partition. Messages are numbered, so that one that never came is noticed at the
 * next one, or, when nothing follows, by asking Redis how far it is.
 */
import type { Publication } from '../../streams/publication.ts';

export interface Reception {
  /** Takes a message: hands out what is in it, and reports a gap before it. */
  take(text: string): void;
  /** The subscription is new: what was before it may have been missed. */
  restart(): void;
  /**
   * Redis stood there a while ago. Everything up to it should have come.
   *
   * @returns false if it has not
   */
  expect(epoch: string, position: number): boolean;
  /** Messages since the start; tells a subscription that hears from one that does not. */
  readonly heard: number;
}

export function createReception(deliver: (publication: Publication) => void, onGap: () => void): Reception {
  let at: { epoch: string; position: number } | null = null;
  let heard = 0;

  return {
    take(text) {
      let message: unknown;
      try {
        message = JSON.parse(text);
      } catch {
        // Somebody else's words on our channel.
        return;
      }
      if (!Array.isArray(message) || message.length < 2) return;
      const [epoch, position] = message as [string, number];
      heard++;
      const follows = at === null || (at.epoch === epoch && position <= at.position + 1);
      if (at === null || at.epoch !== epoch || position > at.position) at = { epoch, position };
      for (let i = 2; i + 2 < message.length; i += 3) {
        const publication = message[i + 2] as Publication;
        publication.epoch = message[i] as string;
        publication.sequence = message[i + 1] as number;
        deliver(publication);
      }
      // After delivery: the streams in it have shown their own holes by now.
      if (!follows) onGap();
    },
    restart() {
      at = null;
    },
    expect(epoch, position) {
      if (at !== null && at.epoch === epoch && at.position >= position) return true;
      at = { epoch, position };
      return false;
    },
    get heard() {
      return heard;
    },
  };
}
