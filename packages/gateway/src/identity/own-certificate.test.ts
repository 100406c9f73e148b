/** The gateway's own certificates: exchanged under open connections, refused where they don't work, told when they are over; and how strictly TLS is spoken. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';

import { selfSigned } from '../certificate.fixture.ts';
import { readGatewayConfig } from '../config/config.ts';
import { endedAfterEach, type Road, sendJson, startRoad } from '../gateway.fixture.ts';
import { securityHeadersOf } from '../secure.ts';
import { judgeCertificate } from './own-certificate.ts';

const start = endedAfterEach(startRoad);

const nowMs = Date.UTC(2026, 5, 1);

async function connectTo(of: Road, options: object = {}): Promise<TLSSocket> {
  const socket = connect({
    port: of.gateway.port,
    host: '127.0.0.1',
    servername: 'localhost',
    rejectUnauthorized: false,
    ...options,
  });
  await once(socket, 'secureConnect');
  return socket;
}

async function shownBy(of: Road): Promise<string> {
  const socket = await connectTo(of);
  const { fingerprint256 } = socket.getPeerCertificate();
  socket.destroy();
  return fingerprint256;
}

async function put(of: Road, pair: { readonly cert: string; readonly key: string }): Promise<void> {
  await writeFile(join(of.folder, 'cert.pem'), pair.cert);
  await writeFile(join(of.folder, 'key.pem'), pair.key);
}

async function toldOf(of: Road, operation: string): Promise<string | undefined> {
  for (;;) {
    const event = (await of.settled()).find((one) => one.operation === operation);
    if (event !== undefined) return event.outcome.reason;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('a certificate', () => {
  it('is judged before it is shown', () => {
    const [one, two] = [selfSigned(), selfSigned()];
    const over = selfSigned({ to: '240101000000Z' });
    const early = selfSigned({ from: '480101000000Z' });
    assert.equal(judgeCertificate(one, nowMs).kind, 'good');
    for (const [fault, material] of [
      ['not-a-pair', { cert: one.cert, key: two.key }],
      ['unreadable', { cert: one.cert.slice(0, 200), key: one.key }],
      ['unreadable', { cert: one.cert, key: '' }],
      ['unreadable', { cert: '', key: one.key }],
      ['expired', over],
      ['not-yet-valid', early],
    ] as const)
      assert.deepEqual(judgeCertificate(material, nowMs), { kind: 'refused', fault });
  });

  it('is exchanged when its files change, and a request under way does not notice', async () => {
    const waiting = Promise.withResolvers<void>();
    const of = await start({
      tls: true,
      adjust: ({ tls, ...config }) => ({ ...config, tls: tls && { ...tls, reloadEveryMs: 20 } }),
      upstream: (_request, response) =>
        void waiting.promise.then(() => sendJson(response, 200, { resourceType: 'Patient', id: '1' })),
    });
    const before = await shownBy(of);
    const kept = await connectTo(of);
    const fetching = of.fetch('/fhir/Patient/1');
    while (of.asked.length === 0) await new Promise((resolve) => setImmediate(resolve));
    await put(of, selfSigned());
    assert.equal(await toldOf(of, 'certificate-replaced'), undefined);
    assert.notEqual(await shownBy(of), before);
    waiting.resolve();
    assert.equal((await fetching).status, 200);
    kept.write(
      `GET /fhir/Patient/1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${of.token}\r\nConnection: close\r\n\r\n`,
    );
    const [answer] = (await once(kept, 'data')) as [Buffer];
    assert.match(answer.toString('latin1'), /^HTTP\/1\.1 200 /);
    kept.destroy();
  });

  it('that is no good stays in its files, and the one in use is shown', async () => {
    const of = await start({
      tls: true,
      config: { admin: { host: '127.0.0.1', port: 0 } },
      adjust: ({ tls, ...config }) => ({ ...config, tls: tls && { ...tls, reloadEveryMs: 20 } }),
    });
    const before = await shownBy(of);
    await writeFile(join(of.folder, 'key.pem'), selfSigned().key);
    assert.equal(await toldOf(of, 'certificate-refused'), 'not-a-pair');
    assert.equal(await shownBy(of), before);
    assert.equal((await fetch(`${of.gateway.adminUrl}/readyz`)).status, 200);
    const metrics = await (await fetch(`${of.gateway.adminUrl}/metrics`)).text();
    assert.match(metrics, /watchglass_gateway_listener_certificate_expires_seconds 2\d{9}/);
  });

  it('that is over is still shown, and readiness and the record say so', async () => {
    const of = await start({
      tls: true,
      config: { admin: { host: '127.0.0.1', port: 0 } },
      adjust: ({ tls, ...config }) => ({
        ...config,
        tls: tls && { ...tls, ...selfSigned({ to: '240101000000Z' }) },
      }),
    });
    const ready = await fetch(`${of.gateway.adminUrl}/readyz`);
    assert.deepEqual([ready.status, await ready.json()], [503, { ready: false, problems: ['certificate-expired'] }]);
    assert.equal(await toldOf(of, 'certificate-refused'), 'expired');
    await assert.rejects(connectTo(of, { rejectUnauthorized: true }));
  });

  it('that does not belong to its key stops the start', async () => {
    const of = await start({ tls: true });
    await writeFile(join(of.folder, 'key.pem'), selfSigned().key);
    assert.throws(() => readGatewayConfig(join(of.folder, 'gateway.yaml')), {
      code: 'config-invalid',
      message: /tls: expected a certificate and the key that belongs to it, got not-a-pair/,
    });
  });
});

describe('TLS', () => {
  it('is 1.2 with forward secrecy and authenticated encryption, or 1.3; nothing else', async () => {
    const of = await start({ tls: true });
    for (const [options, protocol] of [
      [{ maxVersion: 'TLSv1.2' }, 'TLSv1.2'],
      [{}, 'TLSv1.3'],
      [{ maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-CHACHA20-POLY1305' }, 'TLSv1.2'],
    ] as const) {
      const socket = await connectTo(of, options);
      assert.equal(socket.getProtocol(), protocol);
      assert.match(socket.getCipher().name, /GCM|CHACHA20/);
      socket.destroy();
    }
    for (const options of [
      { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA256' },
      { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES256-SHA' },
      { maxVersion: 'TLSv1.2', ciphers: 'AES128-GCM-SHA256' },
      { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' },
    ])
      await assert.rejects(connectTo(of, options), JSON.stringify(options));
  });

  it('is asked of browsers for a year, except for names that are this machine', async () => {
    const headersOf = (url: string): object => securityHeadersOf(new URL(url));
    assert.deepEqual(headersOf('https://gw.example'), { 'strict-transport-security': 'max-age=31536000' });
    for (const url of ['http://gw.example', 'https://localhost:9441', 'https://127.0.0.1', 'https://[::1]:1'])
      assert.deepEqual(headersOf(url), {}, url);
    const of = await start({ tls: true, config: { url: 'https://gw.example' } });
    for (const raw of [
      `GET /fhir/Patient/1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${of.token}\r\nConnection: close\r\n\r\n`,
      'GET /fhir/Patient/1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
      'GARBAGE\r\n\r\n',
    ])
      assert.match((await of.raw(raw)).toLowerCase(), /strict-transport-security: max-age=31536000\r\n/);
    const refusal = await of.raw('GET /fhir/Patient/1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    for (const header of ["content-security-policy: default-src 'none'", 'x-content-type-options: nosniff'])
      assert.ok(refusal.toLowerCase().includes(header), header);
  });
});

describe('an upstream that asks for a certificate', () => {
  it('is shown the one of the configuration', async () => {
    const [api, mine] = [selfSigned(), selfSigned()];
    let shown = '';
    const server = createServer(
      { ...api, ca: mine.cert, requestCert: true, rejectUnauthorized: true },
      (request, response) => {
        shown = (request.socket as TLSSocket).getPeerCertificate().fingerprint256;
        sendJson(response, 200, { resourceType: 'Patient', id: '1' });
      },
    ).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const of = await start({
      adjust: (config) => ({
        ...config,
        upstream: {
          ...config.upstream,
          url: `https://localhost:${port}`,
          ca: api.cert,
          certificate: { current: mine, files: { cert: '/nowhere', key: '/nowhere' } },
        },
      }),
    });
    assert.equal((await of.fetch('/fhir/Patient/1')).status, 200);
    assert.match(shown, /^[0-9A-F:]{95}$/);
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    await closed;
  });
});
