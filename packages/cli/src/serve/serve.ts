/** Runs a gateway, and a sandbox behind it where one was asked for, until it is told to stop. */
import { accessSync, constants, mkdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import {
  type ConfigInput,
  createGateway,
  createLog,
  type Gateway,
  type Logger,
  parseConfig,
} from '@countersign/gateway';
import { CliError } from '../cli-error.ts';
import { composeConfig } from '../config-sources.ts';
import { EXIT } from '../exit-codes.ts';
import { type Io, printable } from '../io.ts';
import { demoKey } from './demo-key.ts';
import { demoToken } from './demo-token.ts';
import { demoWallet } from './demo-wallet.ts';
import { type Ready, readyLine, readyPage } from './ready.ts';
import { startFailure } from './start-failure.ts';

export interface ServeFlags {
  config?: string | undefined;
  sandbox: boolean;
  /** Seed of the sandbox: the same seed gives the same market. */
  seed?: string | undefined;
  /** Things that happen in the sandbox per second. */
  rate?: number | undefined;
  /** File of recorded publications that the sandbox publishes instead of a simulation. */
  replay?: string | undefined;
  /** Seconds after which the sandbox cancels the orders of a user who has no connection any more. */
  cancelOnDisconnect?: number | undefined;
  json: boolean;
  /** Settings given as flags, in the shape of the settings file. */
  settings: Record<string, unknown>;
}

interface Closable {
  close(): Promise<void>;
}

/** @returns the exit code, once everything has been closed */
export async function serve(flags: ServeFlags, io: Io): Promise<number> {
  const { input, warnings } = composeConfig({ file: flags.config, env: io.env, flags: flags.settings });
  for (const line of warnings) io.err(`warning: ${line}`);

  let config: ReturnType<typeof parseConfig>;
  try {
    config = parseConfig(input);
  } catch (error) {
    throw startFailure(error, '');
  }
  // A person at a terminal is shown the page below; a line of JSON for each event would bury it.
  const quiet = !flags.json && io.errIsTerminal && input.logLevel === undefined;
  const log = createLog({ level: quiet ? 'warn' : config.logLevel });
  const dataDir = resolve(config.dataDir);
  const opened: Closable[] = [];
  const release = io.handleStop();
  const faults = catchFaults(log);
  try {
    const { ready, gateway } = await start(input, flags, dataDir, log, opened);
    if (flags.json) io.out(readyLine(ready));
    else {
      const program = ['node', process.argv[1] ?? 'countersign'];
      for (const line of readyPage(ready, { program, dataDir, cwd: process.cwd(), sandbox: flags.sandbox })) {
        io.out(line);
      }
    }
    const ending = await Promise.race([stopped(io.stop), faults.fault, drained(gateway)]);
    if (!flags.json && ending === 'stopped') {
      io.err('stopping: connections are being closed (Ctrl-C again stops at once)');
    }
    await gateway.drain();
    return ending === 'fault' ? EXIT.failure.code : EXIT.ok.code;
  } catch (error) {
    throw startFailure(error, dataDir);
  } finally {
    for (const each of opened.reverse()) await each.close().catch(() => undefined);
    faults.release();
    release();
  }
}

async function start(
  input: ConfigInput,
  flags: ServeFlags,
  dataDir: string,
  log: Logger,
  opened: Closable[],
): Promise<{ ready: Ready; gateway: Gateway }> {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const wallet = flags.sandbox ? await demoWallet(dataDir) : undefined;
  const sandbox = flags.sandbox ? await openSandbox(flags, log) : undefined;
  if (sandbox) opened.push(sandbox);
  const settings = sandbox ? forSandbox(input, sandbox) : input;
  const gateway = await createGateway({ ...settings, dataDir }, { log });
  opened.push(gateway);
  const urls = await gateway.start();
  const { admin, backend } = gateway.credentials;
  if (sandbox) {
    const backendToken = readFileSync(backend.tokenFile, 'utf8').trim();
    await sandbox.start({ internalUrl: urls.internal, backendToken });
  }
  let handshakeToken: { tokenFile: string } | undefined;
  let apiKey: Awaited<ReturnType<typeof demoKey>> | undefined;
  if (wallet) {
    const bearer = readFileSync(admin.tokenFile, 'utf8').trim();
    const operator = { origin: urls.internal, bearer };
    apiKey = await demoKey(dataDir, operator, wallet.address);
    handshakeToken = await demoToken(dataDir, urls.rest, operator, wallet.address);
  }
  const credentials = {
    ...(wallet ? { wallet } : {}),
    ...(apiKey ? { apiKey } : {}),
    ...(handshakeToken ? { handshakeToken } : {}),
    admin,
    backend,
  };
  const { rest, websocket, socketio, internal } = urls;
  return { ready: { rest, websocket, socketio, internal, credentials }, gateway };
}

/** The venue, and for new users the tier that limits nobody on a laptop, unless the settings say otherwise. */
function forSandbox(input: ConfigInput, sandbox: { url: string; webhook: string }): ConfigInput {
  const { venue, wallet, tiers, leases } = input;
  const newUser = { ...(tiers === undefined ? { tier: 'developer' } : {}), ...wallet?.newUser };
  return {
    ...input,
    venue: { ...venue, url: sandbox.url },
    wallet: { ...wallet, newUser },
    leases: { webhook: sandbox.webhook, ...leases },
  };
}

async function openSandbox({ seed, rate, replay, cancelOnDisconnect }: ServeFlags, log: Logger) {
  if (replay !== undefined) {
    try {
      accessSync(replay, constants.R_OK);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      throw new CliError('config', `cannot read the recording ${printable(replay)} (${code})`);
    }
  }
  const { createSandbox } = await import('@countersign/sandbox');
  return createSandbox({
    log: log.child({ component: 'sandbox' }),
    ...(seed === undefined ? {} : { seed }),
    ...(rate === undefined ? {} : { rate }),
    ...(replay === undefined ? {} : { replay }),
    ...(cancelOnDisconnect === undefined ? {} : { cancelOnDisconnect }),
  });
}

/** What ends the waiting: a signal, or an error that nobody caught. */
type Ending = 'stopped' | 'fault' | 'drained';

/** By an operator's command: then nothing is left to wait for. */
const drained = (gateway: Gateway): Promise<Ending> => gateway.ended.then(() => 'drained');

/**
 * The last resort (R84): after an uncaught error the state of the process is unknown, so it drains and goes.
 * Stays in place while draining: a second fault must not cut the drain short.
 */
function catchFaults(log: Logger): { fault: Promise<Ending>; release(): void } {
  let end: (ending: Ending) => void = () => undefined;
  const fault = new Promise<Ending>((resolvePromise) => {
    end = resolvePromise;
  });
  const onFault = (error: unknown) => {
    const err = error instanceof Error ? error : new Error(String(error));
    log.fatal({ event: 'process.fault', err }, 'uncaught error: draining');
    end('fault');
  };
  process.on('uncaughtException', onFault);
  process.on('unhandledRejection', onFault);
  return {
    fault,
    release() {
      process.off('uncaughtException', onFault);
      process.off('unhandledRejection', onFault);
    },
  };
}

function stopped(stop: AbortSignal): Promise<Ending> {
  return new Promise((resolvePromise) => {
    const end = () => resolvePromise('stopped');
    if (stop.aborted) end();
    else stop.addEventListener('abort', end, { once: true });
  });
}

/** A whole number given as a flag. */
export function numberFlag(name: string, text: string | undefined, most: number): number | undefined {
  if (text === undefined) return undefined;
  const value = /^\d{1,15}(?:\.\d{1,6})?$/.test(text) ? Number(text) : Number.NaN;
  if (!(value <= most)) throw new CliError('usage', `--${name} needs a number from 0 to ${most}`);
  return value;
}
