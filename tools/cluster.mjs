/**
 * `npm run cluster`: several gateways on one PostgreSQL and one Redis behind a TCP balancer, with a simulated venue,
 * on this machine and without containers. For development: the databases are private and end with it.
 *
 *   --nodes N             gateways (default 2)
 *   --port N              port of the balancer (default 4400)
 *   --internal-port N     port of the balancer of the internal listeners (default 4401)
 *   --data-dir folder     keys and credentials that all nodes share (default .countersign-cluster)
 *   --no-sandbox          without the simulated venue
 *   --json                one line of JSON when everything is ready
 *
 * Ctrl-C drains one node after the other, as a rolling restart would.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { setUp } from './setup.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** @param {string} text @param {string} name @param {number} least @param {number} most */
function whole(text, name, least, most) {
  const value = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  process.stderr.write(`cluster: --${name} needs a number from ${least} to ${most}\n`);
  process.exit(2);
}

function flags() {
  const options = {
    nodes: { type: 'string', default: '2' },
    port: { type: 'string', default: '4400' },
    'internal-port': { type: 'string', default: '4401' },
    'data-dir': { type: 'string', default: '.countersign-cluster' },
    'no-sandbox': { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  };
  try {
    return parseArgs({ options }).values;
  } catch (error) {
    process.stderr.write(`cluster: ${error.message}\n`);
    process.exit(2);
  }
}

const given = flags();
if (given.help) {
  const text = readFileSync(fileURLToPath(import.meta.url), 'utf8');
  const lines = text.slice(0, text.indexOf('*/')).split('\n').slice(1, -1);
  process.stdout.write(`${lines.map((line) => line.replace(/^ \* ?/, '')).join('\n')}\n`);
  process.exit(0);
}
const nodes = whole(given.nodes, 'nodes', 1, 16);
const port = whole(given.port, 'port', 0, 65_535);
const internalPort = whole(given['internal-port'], 'internal-port', 0, 65_535);
const dataDir = resolve(given['data-dir']);
const venue = !given['no-sandbox'];
const say = (line) => process.stderr.write(`cluster: ${line}\n`);

let stop = () => {};
const stopped = new Promise((done) => {
  stop = done;
});
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => stop());

await setUp({ build: true });
const { missingForCluster, startCluster } = await import('@countersign/testkit');
const { createSandbox } = await import('@countersign/sandbox');
const missing = missingForCluster();
if (missing.length > 0) {
  say(`this needs ${missing.join(' and ')} (on Debian: apt-get install ${missing.join(' ')})`);
  process.exit(1);
}
const built = (name) => import(pathToFileURL(join(root, 'packages/cli/dist/serve', `${name}.js`)).href);

mkdirSync(dataDir, { recursive: true, mode: 0o700 });
const opened = [];
try {
  const sandbox = venue ? await createSandbox() : null;
  if (sandbox !== null) opened.push(sandbox);
  const cluster = await startCluster({
    nodes,
    port,
    internalPort,
    dataDir,
    env: {
      COUNTERSIGN_LOG_LEVEL: process.env.COUNTERSIGN_LOG_LEVEL ?? 'warn',
      ...(sandbox === null
        ? {}
        : {
            COUNTERSIGN_VENUE_URL: sandbox.url,
            COUNTERSIGN_WALLET_NEW_USER_TIER: 'developer',
            COUNTERSIGN_SANDBOX_FAULTS: 'true',
          }),
    },
    progress: say,
  });
  opened.push(cluster);
  const { rest, websocket, socketio, internal } = cluster;
  const secret = (name) => readFileSync(join(dataDir, `${name}.token`), 'utf8').trim();
  const credentials = {
    admin: { tokenFile: join(dataDir, 'admin.token') },
    backend: { tokenFile: join(dataDir, 'backend.token') },
  };
  if (sandbox !== null) {
    await sandbox.start({ internalUrl: internal, backendToken: secret('backend') });
    const operator = { origin: internal, bearer: secret('admin') };
    const { demoWallet } = await built('demo-wallet');
    const { demoKey } = await built('demo-key');
    const { demoToken } = await built('demo-token');
    credentials.wallet = await demoWallet(dataDir);
    credentials.apiKey = await demoKey(dataDir, operator, credentials.wallet.address);
    credentials.handshakeToken = await demoToken(dataDir, rest, operator, credentials.wallet.address);
  }
  const running = cluster.nodes.map(({ process: { pid, ready } }) => ({
    pid,
    rest: ready.rest,
    internal: ready.internal,
  }));
  if (given.json) {
    const ready = { event: 'ready', rest, websocket, socketio, internal, credentials, nodes: running };
    process.stdout.write(`${JSON.stringify(ready)}\n`);
  } else {
    for (const line of page({ rest, websocket, socketio, internal, credentials, running })) console.log(line);
  }
  await stopped;
  for (const [index, node] of cluster.nodes.entries()) {
    say(`draining node ${index + 1}`);
    await node.stop('SIGTERM');
  }
} catch (error) {
  say(error.message);
  process.exitCode = 1;
} finally {
  for (const each of opened.reverse()) await each.close();
}

function page({ rest, websocket, socketio, internal, credentials, running }) {
  const near = (path) => relative(process.cwd(), path);
  const program = 'node packages/cli/dist/main.js';
  const { wallet, apiKey, handshakeToken } = credentials;
  return [
    `A cluster of ${running.length} is ready. Behind the balancer:`,
    '',
    `  REST        ${rest}/v1`,
    `  WebSocket   ${websocket}`,
    `  Socket.IO   ${socketio}`,
    `  internal    ${internal}`,
    ...(wallet ? [`  wallet      ${wallet.address}  (key in ${near(wallet.keyFile)}, for trying only)`] : []),
    ...(apiKey ? [`  API key     ${near(apiKey.keyFile)}  (${apiKey.name})`] : []),
    ...(handshakeToken
      ? [`  token       ${near(handshakeToken.tokenFile)}  (for Socket.IO, auth.token)`]
      : []),
    '',
    ...running.map(
      (node, index) =>
        `  node ${index + 1}      pid ${node.pid}   ${node.rest}   health ${node.internal}/readyz`,
    ),
    '',
    'In another terminal:',
    '',
    ...(wallet
      ? [`  ${program} login --url ${rest} --key-file ${near(wallet.keyFile)} --save`]
      : [`  curl -s ${internal}/readyz`]),
    ...(wallet
      ? [
          `  ${program} listen --url ${rest} --channel accountOrderUpdate --market inclusionPreconf`,
          `  kill -9 ${running[0].pid}      # the feed goes on at another node, without a hole`,
        ]
      : []),
    '',
    'Ctrl-C stops it.',
  ];
}
