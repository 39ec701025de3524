/** Where `npm start` runs, and where it leaves what is needed to sign in. Every example can be pointed elsewhere. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const { env } = process;

export const url = env.COUNTERSIGN_URL ?? 'http://127.0.0.1:4400';
export const webSocketUrl = `${url.replace(/^http/, 'ws')}/ws`;
export const dataDir = env.COUNTERSIGN_DATA_DIR ?? '.countersign';

export const walletKey = () => readFileSync(join(dataDir, 'demo-wallet.key'), 'utf8').trim();
export const apiKeyFile = env.COUNTERSIGN_KEY_FILE ?? join(dataDir, 'cdp_api_key.json');
export const handshakeToken = () => readFileSync(join(dataDir, 'handshake.token'), 'utf8').trim();

/** How many updates to show before the example ends; without it, until Ctrl-C. */
export const count = Number(env.COUNT ?? Number.POSITIVE_INFINITY);

/** Ends with the program: hand it to whatever waits. */
export const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
