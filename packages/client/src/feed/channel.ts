/** What streams need to know of a channel, in any dialect. */
export interface ChannelInfo {
  readonly name: string;
  readonly private: boolean;
  readonly keyedBy: 'product' | 'market' | 'nothing';
  /** As the server treats slow readers: only the newest value counts, a state with changes, or every entry counts. */
  readonly kind: 'latest' | 'book' | 'log';
  /** One stream for each account of the user. */
  readonly perAccount: boolean;
  /** Most streams of it on one connection. */
  readonly perConnection: number;
  /** A subscription to something that exists always begins with a snapshot. */
  readonly opensWithSnapshot: boolean;
  readonly patchesFollowSnapshot: boolean;
  /** False: nothing that could be missed has numbers (heartbeats). */
  readonly tracked: boolean;
}
