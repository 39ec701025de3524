/** The gateways that clients run against: one that all share, and one each for those that see theirs restart. */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type GatewayProcess, startGatewayProcess } from '@countersign/testkit';

export interface ConformanceGateway {
  /** What a client has to know. */
  readonly env: Readonly<Record<string, string>>;
  /** @returns what the gateway complained about: every warning of a gateway is a finding, seen by a client or not */
  stop(): Promise<string[]>;
}

/** @param settings of the gateway, as environment variables */
export async function startGateway(settings: Record<string, string>): Promise<ConformanceGateway> {
  const dataDir = await mkdtemp(join(tmpdir(), 'countersign-conformance-'));
  const process = await startGatewayProcess({ dataDir, flags: ['--sandbox'], env: settings });
  return {
    env: clientEnv(process, dataDir),
    async stop() {
      const complaints = await end(process);
      await rm(dataDir, { recursive: true, force: true });
      return complaints;
    },
  };
}

/**
 * A gateway for one client. A POST to the client's `RESTART_URL` stops it as an operator would, starts it again
 * on the same ports and the same data, and answers when it is ready.
 */
export async function startRestartable(settings: Record<string, string>): Promise<ConformanceGateway> {
  const dataDir = await mkdtemp(join(tmpdir(), 'countersign-conformance-'));
  const start = (flags: readonly string[]) =>
    startGatewayProcess({ dataDir, flags: ['--sandbox', ...flags], env: settings });
  const complaints: string[] = [];
  let process = await start([]);
  const ports = [
    '--port',
    new URL(process.ready.rest).port,
    '--internal-port',
    new URL(process.ready.internal).port,
  ];
  const control = createServer((_request, response) => {
    const again = async () => {
      complaints.push(...(await end(process)));
      process = await start(ports);
    };
    again().then(
      () => response.writeHead(204).end(),
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
  });
  await new Promise<void>((resolve) => control.listen(0, '127.0.0.1', resolve));
  const { port } = control.address() as AddressInfo;
  return {
    env: { ...clientEnv(process, dataDir), RESTART_URL: `http://127.0.0.1:${port}/` },
    async stop() {
      control.close();
      control.closeAllConnections();
      complaints.push(...(await end(process)));
      await rm(dataDir, { recursive: true, force: true });
      return complaints;
    },
  };
}

function clientEnv({ ready }: GatewayProcess, dataDir: string): Record<string, string> {
  const { apiKey, handshakeToken } = ready.credentials as {
    apiKey: { keyFile: string };
    handshakeToken: { tokenFile: string };
  };
  return {
    GATEWAY_REST: ready.rest,
    GATEWAY_WEBSOCKET: ready.websocket,
    GATEWAY_SOCKETIO: ready.socketio,
    GATEWAY_INTERNAL: ready.internal,
    ADMIN_TOKEN_FILE: join(dataDir, 'admin.token'),
    API_KEY_FILE: apiKey.keyFile,
    HANDSHAKE_TOKEN_FILE: handshakeToken.tokenFile,
  };
}

async function end(process: GatewayProcess): Promise<string[]> {
  const code = await process.stop();
  return [
    ...(code === 0 ? [] : [`the gateway ended with ${code}`]),
    ...process.log.filter((line) => /"level":"(warn|error|fatal)"/.test(line)),
  ];
}
