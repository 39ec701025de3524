/**
 * The ETHGas dialect: two phrasings of the same commands (`op` with a list, `cmd` with an object), each
 * answered in kind. Pushes follow the phrasing that the peer used last.
 */
import type { Conversation, Dialect } from './dialect.ts';
import { createEthgasAnswers } from './ethgas-answers.ts';
import { ethgasChannels } from './ethgas-channels.ts';
import { ethgasCmdEncoder, ethgasOpEncoder } from './ethgas-encoder.ts';
import { parseEthgas } from './ethgas-parse.ts';
import { asEthgasPhrase, type EthgasForm } from './ethgas-phrase.ts';
import { withLimits } from './limits-member.ts';

export interface EthgasOptions {
  /** Seconds that a connection may stay without a login or a subscription. Default 10. */
  idleSeconds?: number;
}

export function createEthgasDialect({ idleSeconds = 10 }: EthgasOptions = {}): Dialect {
  return Object.freeze({
    name: 'ethgas',
    channels: ethgasChannels,
    // python-ethgas may subscribe before its login is answered (wire facts 5.4).
    holdsPrivate: true,
    idleSeconds,
    settlesBy: 'success',
    speaks: (message) => 'op' in message || 'cmd' in message,
    open: openConversation,
  } satisfies Dialect);
}

function openConversation(connectionId: string): Conversation {
  const answers = createEthgasAnswers(connectionId);
  let form: EthgasForm = 'op';

  return {
    get encoder() {
      return form === 'cmd' ? ethgasCmdEncoder : ethgasOpEncoder;
    },
    parse(text) {
      const commands = parseEthgas(text, form);
      const first = commands[0];
      if (first !== undefined) {
        const spoken = asEthgasPhrase(first.phrase).form;
        if (spoken !== 'text') form = spoken;
      }
      return commands;
    },
    loggedIn: (phrase, who) => [answers.loggedIn(asEthgasPhrase(phrase), who)],
    loggedOut: (phrase) => [answers.done(asEthgasPhrase(phrase))],
    pong: (phrase) => [answers.pong(asEthgasPhrase(phrase))],
    answered: (phrase, query, payload) => [answers.answered(asEthgasPhrase(phrase), query, payload)],
    refused: (phrase, code, message) => answers.refused(asEthgasPhrase(phrase), code, message),
    subscribed: (_, joined) => joined.map((one) => answers.subscribed(asEthgasPhrase(one.want.phrase), one)),
    unsubscribed: (_, wants) => wants.map((want) => answers.done(asEthgasPhrase(want.phrase))),
    metered: withLimits,
    snapshotFirst: false,
    expired: () => answers.expired(form),
    unconfirmed: () => answers.access(form, 'access_unconfirmed'),
    confirmed: () => answers.access(form, 'access_confirmed'),
    closing: (close) => answers.closing(form, close),
  };
}
