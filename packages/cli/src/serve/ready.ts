/** What `serve` says when it is ready: one line of JSON for programs, a page with commands to paste for people. */
import { join, relative } from 'node:path';

export interface Ready {
  /** Origin; clients append `/v1` or `/api/v1`. */
  rest: string;
  websocket: string;
  socketio: string;
  internal: string;
  credentials: {
    wallet?: { address: string; keyFile: string };
    /** `name` is public; what signs is in the file. */
    apiKey?: { name: string; keyFile: string };
    /** For Socket.IO's `auth.token`, and behind Bearer. */
    handshakeToken?: { tokenFile: string };
    admin: { tokenFile: string };
    backend: { tokenFile: string };
  };
}

export const readyLine = ({ rest, websocket, socketio, internal, credentials }: Ready): string =>
  JSON.stringify({ event: 'ready', rest, websocket, socketio, internal, credentials });

/** Single quotes where a shell would see more than one word. */
const quoted = (word: string) => (/^[\w./:@=-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

const shown = (path: string, cwd: string) => {
  const near = relative(cwd, path);
  return quoted(near.startsWith('..') ? path : near);
};

/**
 * @param options.program how to start this program again, as words of a shell
 * @param options.sandbox false when there is no feed to listen to and no wallet to try
 */
export function readyPage(
  { rest, websocket, socketio, internal, credentials }: Ready,
  options: { program: string[]; dataDir: string; cwd: string; sandbox: boolean },
): string[] {
  const program = options.program.map((word) => shown(word, options.cwd)).join(' ');
  const lines = [
    'Countersign is ready.',
    '',
    `  REST        ${rest}/v1   (also ${rest}/api/v1)`,
    `  WebSocket   ${websocket}`,
    `  Socket.IO   ${socketio}`,
    `  health      ${internal}/health   (internal listener: also metrics, admin, backend)`,
    `  data        ${shown(options.dataDir, options.cwd)}`,
    `  admin       ${shown(credentials.admin.tokenFile, options.cwd)}`,
    `  backend     ${shown(credentials.backend.tokenFile, options.cwd)}`,
  ];
  const { wallet, apiKey, handshakeToken } = credentials;
  if (wallet)
    lines.push(
      `  wallet      ${wallet.address}  (key in ${shown(wallet.keyFile, options.cwd)}, for trying only)`,
    );
  if (apiKey) lines.push(`  API key     ${shown(apiKey.keyFile, options.cwd)}  (${apiKey.name})`);
  if (handshakeToken)
    lines.push(`  token       ${shown(handshakeToken.tokenFile, options.cwd)}  (for Socket.IO, auth.token)`);
  lines.push('', 'In another terminal:', '');
  if (wallet)
    lines.push(`  ${program} login --url ${rest} --key-file ${shown(wallet.keyFile, options.cwd)} --save`);
  if (wallet) {
    const out = shown(join(options.dataDir, 'bot_api_key.json'), options.cwd);
    lines.push(`  ${program} key create --nickname bot --scopes view,trade --out ${out}`);
  }
  if (options.sandbox) {
    lines.push(
      `  ${program} listen --url ${rest} --channel tickerUpdate --market inclusionPreconf`,
      `  ${program} listen --url ${rest} --channel accountOrderUpdate --market inclusionPreconf`,
    );
  }
  lines.push(
    `  curl -s ${rest}/v1/p/network`,
    `  curl -s ${internal}/health`,
    '',
    'Ctrl-C stops it: connections are told, what was promised is kept.',
  );
  return lines;
}
