/** A data frame of any dialect, as far as streams need to understand it. */
export interface Frame {
  /** As it was subscribed to. */
  readonly channel: string;
  /** Null where the frame does not say. */
  readonly key: string | null;
  readonly sequence: number | null;
  readonly epoch: string | null;
  readonly type: 'snapshot' | 'update';
  readonly time: number | null;
  readonly parts: readonly FramePart[];
  /** The frame as it came, or how to get at it: needed only where something came twice. */
  readonly raw: string | (() => string);
  /** Of a snapshot in several frames: how many there are; null where the server does not say. */
  readonly frames: number | null;
}

export interface FramePart {
  readonly type: 'snapshot' | 'update';
  readonly item: string | null;
  readonly action: string | null;
  readonly data: unknown;
}

export const rawText = ({ raw }: Pick<Frame, 'raw'>): string => (typeof raw === 'string' ? raw : raw());
