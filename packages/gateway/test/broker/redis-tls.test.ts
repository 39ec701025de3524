import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer, type Server } from 'node:tls';
import { findRedis, type RedisServer, startRedis } from '@countersign/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { contractChannels } from './contract.ts';
import { openNode } from './redis-node.ts';

const bin = findRedis();

/** A certificate for this machine's loopback, and one for a client, each signed by itself. */
function certificates(folder: string): { server: string; client: string } {
  const make = (name: string) => {
    const base = join(folder, name);
    const config = `${base}.conf`;
    writeFileSync(
      config,
      `[req]\ndistinguished_name=dn\nx509_extensions=ext\nprompt=no\n[dn]\nCN=${name}\n[ext]\nsubjectAltName=IP:127.0.0.1\n`,
    );
    execFileSync(
      'openssl',
      [
        ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1'],
        ...['-config', config, '-keyout', `${base}.key`, '-out', `${base}.crt`],
      ],
      { stdio: 'ignore' },
    );
    return base;
  };
  return { server: make('server'), client: make('client') };
}

describe.skipIf(bin === null)('a broker on Redis over TLS [needs redis-server]', () => {
  let redis: RedisServer;
  let front: Server;
  let folder: string;
  let names: { server: string; client: string };
  const url = () => `rediss://127.0.0.1:${(front.address() as AddressInfo).port}`;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'countersign-tls-'));
    names = certificates(folder);
    redis = await startRedis(bin as string);
    const options = {
      cert: readFileSync(`${names.server}.crt`),
      key: readFileSync(`${names.server}.key`),
      ca: readFileSync(`${names.client}.crt`),
      requestCert: true,
    };
    front = createServer(options, (client) => {
      const upstream = connect(redis.port, '127.0.0.1');
      for (const [from, to] of [
        [client, upstream],
        [upstream, client],
      ] as const) {
        from.on('error', () => to.destroy());
        from.on('close', () => to.destroy());
        from.pipe(to);
      }
    }).listen(0, '127.0.0.1');
    front.on('tlsClientError', () => {});
    await once(front, 'listening');
  });
  afterAll(async () => {
    front?.close();
    await redis?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('believes the certificate that it was told to, and shows its own', async () => {
    const tls = { ca: `${names.server}.crt`, cert: `${names.client}.crt`, key: `${names.client}.key` };
    const { broker } = await openNode(url(), { tls }, contractChannels);
    try {
      const heard = new Promise((resolve) => broker.onPublication(resolve));
      await broker.publish([{ channel: 'trades', key: 'K', time: 1, data: { n: 1 } }]);
      expect(await heard).toMatchObject({ sequence: 1, data: { n: 1 } });
    } finally {
      await broker.close();
    }
  });

  it('does not talk to a server whose certificate nobody vouches for', async () => {
    await expect(openNode(url(), {}, contractChannels)).rejects.toThrow(/SELF_SIGNED_CERT/);
  });

  it('names a file that cannot be read', async () => {
    const tls = { ca: join(folder, 'none.crt') };
    await expect(openNode(url(), { tls }, contractChannels)).rejects.toThrow(/^broker\.tls\.ca: .*ENOENT$/);
  });
});
