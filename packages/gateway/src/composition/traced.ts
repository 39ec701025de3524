/** What is traced besides the store and the broker: requests, and the steps of a login. */
import type { ListenerOptions } from '../doors/http/listener.ts';
import type { Config } from '../operations/config.ts';
import type { Tracing } from '../operations/tracing.ts';
import type { WalletLogin } from '../session/wallet-login.ts';

/** Spans for the requests of a listener; nothing where nobody traces. */
export function requestTracing({
  tracing,
  config,
}: {
  tracing: Tracing | null;
  config: Pick<Config, 'tracing'>;
}): Pick<ListenerOptions, 'tracing'> {
  if (tracing === null) return {};
  const { inbound } = config.tracing;
  return {
    tracing: {
      begin: (name, attributes, headers) =>
        // What a stranger says about a trace is not believed: it could join or fill up somebody else's.
        tracing.begin(name, attributes, {
          kind: 'server',
          root: true,
          ...(inbound ? { parent: headers } : {}),
        }),
    },
  };
}

/** The two halves of a login as spans; what they ask of the store are spans inside these. */
export function tracedLogin(login: WalletLogin, tracing: Tracing | null): WalletLogin {
  if (tracing === null) return login;
  return {
    begin: (request) => tracing.span('login challenge', {}, () => login.begin(request)),
    complete: (request) => tracing.span('login verify', {}, () => login.complete(request)),
  };
}
