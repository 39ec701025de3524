/**
 * Notices that no request asked for, in the two dialects that have events: the name on the wire and the sentence.
 * The coinbase dialect says the first as an error frame whose `reason` begins with the name, and the second by
 * going on.
 */
export const ACCESS_NOTICES = Object.freeze({
  /** This node cannot confirm that nothing was revoked: private streams rest and private commands are refused. */
  access_unconfirmed:
    'Access cannot be confirmed just now. Private streams rest and go on by themselves; nothing has to be sent.',
  access_confirmed: 'Access is confirmed again. Private streams that rested go on from where they were.',
} as const);
