import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ensureLocalCertificates } from './local-certificates.ts';

const dayMs = 86_400_000;

async function withFolder(run: (dir: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'watchglass-tls-'));
  try {
    await run(dir);
  } finally {
    await rm(dir, { recursive: true });
  }
}

test('a client that trusts the local CA reaches localhost, 127.0.0.1 and nothing else', () =>
  withFolder(async (dir) => {
    const files = await ensureLocalCertificates(dir, 'gateway');
    const [ca, cert, key] = await Promise.all([files.ca, files.cert, files.key].map((path) => readFile(path)));
    const server = createServer({ cert: cert!, key: key! }, (_request, response) => response.end('here'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const ask = (servername: string, host: string): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        const asked = request(
          { host: '127.0.0.1', port, ca: ca!, servername, headers: { host }, agent: false },
          (response) => {
            response.resume().on('end', () => resolve(response.statusCode));
          },
        );
        asked.on('error', reject).end();
      });
    try {
      assert.equal(await ask('localhost', 'localhost'), 200);
      assert.equal(await ask('', '127.0.0.1'), 200);
      await assert.rejects(ask('watchglass.example', 'watchglass.example'), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
    } finally {
      server.close();
    }
  }));

test('the CA signs certificates and nothing but certificates, and its key is nowhere', () =>
  withFolder(async (dir) => {
    const files = await ensureLocalCertificates(dir, 'gateway');
    const ca = new X509Certificate(await readFile(files.ca));
    const cert = new X509Certificate(await readFile(files.cert));
    assert.equal(ca.ca, true);
    assert.equal(cert.ca, false);
    assert.ok(cert.checkIssued(ca));
    assert.match(cert.subjectAltName ?? '', /DNS:localhost, IP Address:127\.0\.0\.1, IP Address:0:0:0:0:0:0:0:1/);
    assert.equal((await stat(files.key)).mode & 0o777, 0o600);
    assert.equal(new X509Certificate(await readFile(files.cert)).checkPrivateKey(await keyOf(files.key)), true);
  }));

test('good certificates stay, and those that end within a month are replaced', () =>
  withFolder(async (dir) => {
    const first = await readFile((await ensureLocalCertificates(dir, 'gateway')).cert, 'utf8');
    const nowMs = Date.now();
    assert.equal(await readFile((await ensureLocalCertificates(dir, 'gateway', nowMs)).cert, 'utf8'), first);
    const later = await ensureLocalCertificates(dir, 'gateway', nowMs + 340 * dayMs);
    assert.notEqual(await readFile(later.cert, 'utf8'), first);
  }));

test('a damaged certificate is made anew', () =>
  withFolder(async (dir) => {
    const files = await ensureLocalCertificates(dir, 'gateway');
    await chmod(files.cert, 0o644);
    await writeFile(files.cert, 'not a certificate');
    await ensureLocalCertificates(dir, 'gateway');
    assert.ok(new X509Certificate(await readFile(files.cert)).checkHost('localhost'));
  }));

async function keyOf(path: string): Promise<import('node:crypto').KeyObject> {
  const { createPrivateKey } = await import('node:crypto');
  return createPrivateKey(await readFile(path));
}
