import type { Phrase } from './dialect.ts';

/** The two ways of phrasing a message, and the bare text `ping`. */
export type EthgasForm = 'op' | 'cmd' | 'text';

/** What an answer has to repeat of its request. The texts are ready JSON, '' where there is nothing to repeat. */
export interface EthgasPhrase {
  form: EthgasForm;
  /** The word after `op` or `cmd`. */
  command: string;
  id: string;
  arg: string;
  /** Of a query: the instrument it was about, as JSON text. */
  instrument: string;
  /** Of a query: how many items were asked for, as JSON text. */
  limit: string;
}

export const ethgasPhrase = (form: EthgasForm, command: string, id = '', arg = ''): EthgasPhrase => ({
  form,
  command,
  id,
  arg,
  instrument: '',
  limit: '',
});

/** Only this dialect's own phrases ever come back to it. */
export const asEthgasPhrase = (phrase: Phrase): EthgasPhrase => phrase as EthgasPhrase;
