/** The market of an instrument, by its name (wire facts 4.1). */
export const marketOf = (instrument: string): string =>
  instrument.startsWith('ETH-WB-') ? 'wholeBlock' : 'inclusionPreconf';
