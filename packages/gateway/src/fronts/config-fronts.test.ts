/** Which doors for other proxies `gateway.yaml` allows. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { stringify } from 'yaml';

import { readGatewayConfig } from '../config/config.ts';
import { samplePolicyPath } from '../policy/sample-policy.ts';

let folder: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'watchglass-config-'));
  await writeFile(join(folder, 'write.key'), 'wgk_0123456789abcdefghij\n');
  for (const name of ['cert.pem', 'key.pem', 'ca.pem']) await writeFile(join(folder, name), name);
});
after(() => rm(folder, { recursive: true, force: true }));

async function read(fronts: object, more: object = {}): Promise<ReturnType<typeof readGatewayConfig>> {
  const path = join(folder, 'gateway.yaml');
  const config = {
    listen: { port: 9441 },
    url: 'https://api.example.test',
    upstream: { url: 'http://127.0.0.1:9443' },
    issuers: [{ issuer: 'http://localhost:9442', audience: 'urn:watchglass:api' }],
    policy: samplePolicyPath(),
    routes: [{ prefix: '/fhir', kind: 'fhir' }],
    server: { url: 'http://localhost:9440', writeKeyFile: 'write.key' },
    spool: { dir: 'spool' },
    fronts,
    ...more,
  };
  await writeFile(path, stringify(config));
  return readGatewayConfig(path);
}

const tls = { cert: 'cert.pem', key: 'key.pem', clientCa: 'ca.pem' };

describe('fronts in gateway.yaml', () => {
  it('are a socket, an address of this machine, or ask for a certificate', async () => {
    assert.equal((await read({ authz: { socket: 'a.sock' } })).fronts?.authz?.socket, join(folder, 'a.sock'));
    assert.equal((await read({ spop: { port: 0 } })).fronts?.spop?.host, '127.0.0.1');
    assert.equal((await read({ grpc: { port: 0 }, outcomes: {} })).fronts?.grpc?.host, '127.0.0.1');
    const wide = await read({ authz: { host: '0.0.0.0', port: 9445, tls } });
    assert.equal(wide.fronts?.authz?.tls?.clientCa, 'ca.pem');
  });

  it('anything else stops the start', async () => {
    for (const [fronts, message, more] of [
      [{ authz: { host: '0.0.0.0', port: 1 } }, /expected authz\.tls/],
      [{ spop: { host: '::', port: 1 } }, /expected spop\.tls/],
      [{ grpc: { host: '0.0.0.0', port: 1 } }, /expected grpc\.tls/],
      [{ spop: { host: '127.0.0.1.example.org', port: 1 } }, /expected spop\.tls/],
      [{ authz: { port: 1, socket: 'a.sock' } }, /either authz\.socket or authz\.port/],
      [{ authz: {} }, /either authz\.socket or authz\.port/],
      [{ authz: { socket: 'a.sock', tls } }, /no authz\.tls on a unix socket/],
      [{ authz: { host: '0.0.0.0', port: 1, tls: { cert: 'cert.pem', key: 'key.pem' } } }, /clientCa/],
      [{ outcomes: { port: 1 } }, /expected authz, spop or grpc/],
      [{ spop: { port: 1 }, outcomes: { port: 1, host: '0.0.0.0' } }, /outcomes\.host/],
      [{ spop: { port: 1 }, outcomes: {} }, /outcomes\.port/],
      [{ authz: { port: 1 } }, /expected url/, { url: undefined }],
    ] as const)
      await assert.rejects(read(fronts, more ?? {}), message, JSON.stringify(fronts));
  });
});
