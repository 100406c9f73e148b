import assert from 'node:assert/strict';
import { test } from 'node:test';
import { request } from 'undici';
import { textAt } from '../resource.ts';
import { bodyBytesMax } from './body.ts';
import { createFhirHandler, type FhirHandler } from './handler.ts';
import { type FhirServer, serveFhir } from './http.ts';
import { Store } from './store.ts';

const now = (): Date => new Date('2026-03-04T12:00:00Z');

function start(handler?: FhirHandler, failures: unknown[] = []): Promise<FhirServer> {
  const store = new Store(now);
  for (let index = 0; index < 3; index++) store.load({ resourceType: 'Patient', id: `p${index}` });
  return serveFhir({
    handler: handler ?? createFhirHandler(store, now),
    host: '127.0.0.1',
    port: 0,
    onFailure: (error) => failures.push(error),
  });
}

test('FHIR is spoken at /fhir, with its media type and the request id that came', async () => {
  await using server = await start();
  const { statusCode, headers, body } = await request(`${server.url}/fhir/Patient/p0`, {
    headers: { 'x-request-id': 'r-1' },
  });
  assert.equal(statusCode, 200);
  assert.equal(headers['content-type'], 'application/fhir+json; charset=utf-8');
  assert.equal(headers['x-request-id'], 'r-1');
  assert.equal(textAt(await body.json(), 'id'), 'p0');
  for (const path of ['/', '/fhirs', '/Patient/p0']) {
    const other = await request(`${server.url}${path}`);
    assert.equal(other.statusCode, 404);
    await other.body.dump();
  }
});

test('HEAD has the headers of GET and no body', async () => {
  await using server = await start();
  const { statusCode, headers, body } = await request(`${server.url}/fhir/Patient/p0`, { method: 'HEAD' });
  assert.equal(statusCode, 200);
  assert.ok(Number(headers['content-length']) > 20);
  assert.equal(await body.text(), '');
});

test('links are made from where the client thinks it is', async () => {
  await using server = await start();
  const next = async (headers: Record<string, string>): Promise<string | undefined> => {
    const { body } = await request(`${server.url}/fhir/Patient?_count=2`, { headers });
    return textAt(await body.json(), 'link.url')?.replace(/\?.*/, '');
  };
  assert.equal(await next({}), `${server.url}/fhir/Patient`);
  assert.equal(
    await next({ 'x-forwarded-host': 'api.example:9441', 'x-forwarded-proto': 'https' }),
    'https://api.example:9441/fhir/Patient',
  );
  assert.equal(await next({ 'x-forwarded-host': 'evil.example/x"' }), 'http://localhost/fhir/Patient');
});

test('a body past the bound is a 413', async () => {
  await using server = await start();
  const { statusCode, body } = await request(`${server.url}/fhir/Patient`, {
    method: 'POST',
    headers: { 'content-type': 'application/fhir+json' },
    body: Buffer.alloc(bodyBytesMax + 1, 0x20),
  });
  assert.equal(statusCode, 413);
  assert.equal(textAt(await body.json(), 'issue.code'), 'too-long');
});

test('a hospital that breaks answers 500 without saying what with, and reports it', async () => {
  const failures: unknown[] = [];
  const broken: FhirHandler = {
    handle() {
      throw new TypeError('secret of Mrs Example');
    },
  };
  await using server = await start(broken, failures);
  const { statusCode, body } = await request(`${server.url}/fhir/Patient`);
  assert.equal(statusCode, 500);
  assert.doesNotMatch(await body.text(), /secret/);
  assert.equal(failures.length, 1);
});
