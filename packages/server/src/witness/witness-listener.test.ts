import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { get } from 'node:https';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { formatSignerKey, formatVerifierKey, generateSigner } from '@watchglass/record';
import { parseWitnessConfig } from '../config/witness-config.ts';
import { selfSigned } from '../self-signed.fixture.ts';
import { makeWitnessKey, type RunningWitness, startWitness } from '../witness-main.ts';

const log = generateSigner('log.example/clinic', new Uint8Array(32).fill(1));

async function running(
  more = '',
): Promise<{ readonly dir: string; readonly witness: RunningWitness } & AsyncDisposable> {
  const dir = await mkdtemp(join(tmpdir(), 'watchglass-witness-'));
  await writeFile(join(dir, 'logs.txt'), `${formatVerifierKey(log)}\n`);
  await writeFile(join(dir, 'key'), formatSignerKey(makeWitnessKey('witness.example/w1')), { mode: 0o600 });
  const text = `data: data\nkey: key\nlogs: logs.txt\nlisten: { port: 0 }\nlog: { level: silent }\n${more}`;
  const witness = await startWitness(parseWitnessConfig(text, join(dir, 'witness.yaml')));
  return {
    dir,
    witness,
    async [Symbol.asyncDispose]() {
      await witness[Symbol.asyncDispose]();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

test('paths and methods that a witness lacks, bodies that are too large and too many requests are refused', async () => {
  await using at = await running('prefix: /w\nlimits: { perSecond: 0.001, burst: 7 }\n');
  const { url } = at.witness;
  const base = url.slice(0, -2);
  assert.match(url, /\/w$/);
  const ask = async (address: string, init: RequestInit = {}): Promise<number> => {
    const response = await fetch(address, init);
    await response.arrayBuffer();
    return response.status;
  };
  assert.equal(await ask(`${base}/add-checkpoint`, { method: 'POST', body: 'x' }), 404);
  assert.equal(await ask(`${url}/add-checkpoint`), 405);
  assert.equal(await ask(`${url}/add-checkpoint`, { method: 'POST', body: 'x' }), 400);
  assert.equal(await ask(`${url}/add-checkpoint`, { method: 'POST', body: 'x'.repeat(300_000) }), 413);
  assert.equal(await ask(`${url}/${'0'.repeat(64)}/checkpoint`), 404);
  assert.equal(await ask(`${url}/../logs.txt`), 404);
  assert.equal(await ask(`${url}/%2e%2e/key`), 404);
  assert.equal(await ask(`${url}/add-checkpoint`, { method: 'POST', body: 'x' }), 429);
  assert.equal(await ask(`${base}/healthz`), 200);
  assert.deepEqual(await (await fetch(`${base}/readyz`)).json(), { status: 'ready', logs: 1, damaged: 0 });
  assert.match(await (await fetch(`${base}/metrics`)).text(), /watchglass_witness_answers_total\{status="413"\} 1/);
});

test('a body without end is cut off at the bound', async () => {
  await using at = await running();
  const { port } = new URL(at.witness.url);
  const socket = connect(Number(port), '127.0.0.1');
  await once(socket, 'connect');
  socket.write('POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nTransfer-Encoding: chunked\r\n\r\n');
  let answer = '';
  socket.setEncoding('utf8').on('data', (text) => {
    answer += text;
  });
  socket.on('error', () => undefined);
  const closed = once(socket, 'close');
  const chunk = `4000\r\n${'a'.repeat(0x4000)}\r\n`;
  for (let i = 0; i < 64 && socket.writable; i++)
    if (!socket.write(chunk)) await Promise.race([once(socket, 'drain'), closed]);
  await closed;
  assert.match(answer, /^HTTP\/1.1 413 /);
});

test('a second process with the same data is refused, and a key that others can read', async () => {
  await using at = await running();
  const config = parseWitnessConfig(
    'data: data\nkey: key\nlogs: logs.txt\nlisten: { port: 0 }\nlog: { level: silent }\n',
    join(at.dir, 'witness.yaml'),
  );
  await assert.rejects(startWitness(config), { code: 'witness-locked' });
  await writeFile(join(at.dir, 'open-key'), formatSignerKey(makeWitnessKey('w')), { mode: 0o644 });
  await assert.rejects(startWitness({ ...config, keyFile: join(at.dir, 'open-key') }), { code: 'key-file-exposed' });
  await writeFile(join(at.dir, 'log-key'), formatSignerKey(log), { mode: 0o600 });
  await assert.rejects(startWitness({ ...config, keyFile: join(at.dir, 'log-key') }), { code: 'key-file-invalid' });
  await assert.rejects(startWitness({ ...config, logsFile: join(at.dir, 'none') }), { code: 'config-invalid' });
});

test('with a certificate it speaks TLS', async () => {
  const { cert, key } = selfSigned();
  const dir = await mkdtemp(join(tmpdir(), 'watchglass-tls-'));
  await writeFile(join(dir, 'cert.pem'), cert);
  await writeFile(join(dir, 'key.pem'), key, { mode: 0o600 });
  await using at = await running(`tls: { cert: ${dir}/cert.pem, key: ${dir}/key.pem }\n`);
  const { port, protocol } = new URL(at.witness.url);
  assert.equal(protocol, 'https:');
  const [response] = (await once(
    get({ host: 'localhost', family: 4, port, path: '/healthz', ca: cert, agent: false }),
    'response',
  )) as [IncomingMessage];
  assert.equal(response.statusCode, 200);
  response.resume();
  await rm(dir, { recursive: true });
});

test('an unknown key in the configuration is refused', () => {
  const problem = /limits\.perMinute: unknown key/;
  assert.throws(
    () => parseWitnessConfig('data: d\nkey: k\nlogs: l\nlisten: { port: 1 }\nlimits: { perMinute: 3 }\n', 'w.yaml'),
    problem,
  );
});
