/** Prints one JSON line per step, for whoever runs the client. */

/** The environment that the runner gives every client. */
export const env = {
  rest: process.env.GATEWAY_REST,
  websocket: process.env.GATEWAY_WEBSOCKET,
  socketio: process.env.GATEWAY_SOCKETIO,
  internal: process.env.GATEWAY_INTERNAL,
  adminTokenFile: process.env.ADMIN_TOKEN_FILE,
  address: process.env.WALLET_ADDRESS,
  privateKey: process.env.WALLET_KEY,
  chainId: Number(process.env.CHAIN_ID),
  accessTtl: Number(process.env.ACCESS_TTL),
  leeway: Number(process.env.LEEWAY),
  seeds: process.env.SEEDS,
};

export function report(step, ok, detail = '') {
  process.stdout.write(`${JSON.stringify({ step, ok, detail: String(detail).slice(0, 400) })}\n`);
}

/** Runs one step. What it returns is the detail; what it throws is why it failed. */
export async function step(name, work) {
  try {
    report(name, true, (await work()) ?? '');
  } catch (error) {
    report(name, false, error?.stack?.split('\n').slice(0, 3).join(' ') ?? error);
  }
}

export function expect(condition, what) {
  if (!condition) throw new Error(what);
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Polls until `look` gives something. */
export async function until(what, ms, look) {
  const end = Date.now() + ms;
  for (;;) {
    const found = look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`no ${what} within ${ms} ms`);
    await sleep(10);
  }
}
