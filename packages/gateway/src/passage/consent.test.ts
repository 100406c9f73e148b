/** Consent on the road: asked before the API for whom the request names, and before the release for whom the answer names. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  endedAfterEach,
  eventsOf,
  type FetchOptions,
  observation,
  type Road,
  searchset,
  sendJson,
  serve,
  startRoad,
} from '../gateway.fixture.ts';
import type { ConsentQuestion } from '../policy/consent.ts';

const startOne = endedAfterEach(startRoad);
const listen = endedAfterEach(serve);

/** `p-9` has not agreed. */
async function start(
  options: { readonly down?: boolean; readonly more?: string; readonly upstream?: object } = {},
): Promise<Road & { readonly questions: ConsentQuestion[] }> {
  const questions: ConsentQuestion[] = [];
  const service = await listen((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const question = JSON.parse(Buffer.concat(chunks).toString('utf8')) as ConsentQuestion;
      questions.push(question);
      if (options.down === true) response.writeHead(500).end();
      else response.end(JSON.stringify({ permit: question.patient !== 'p-9' }));
    });
  });
  const road = await startOne({
    policy: `
version: 1
purposeOfUse: {header: X-Purpose-Of-Use, allow: [TREAT, BTG]}
consent: {url: '${service.url}', patientsMax: 3${options.more ?? ''}}
breakGlass: {reasons: [emergency], overridesConsent: true}
roles:
  physician:
    allow:
      - {interactions: [read, search, create, delete], types: ['*']}
      - {interactions: [batch, capabilities]}
    breakGlass:
      - {interactions: [read], types: ['*']}
`,
    ...(options.upstream === undefined
      ? {}
      : { upstream: (_request, response) => sendJson(response, 200, options.upstream) }),
  });
  return Object.assign(road, { questions });
}

async function lastReason(of: Road): Promise<string | undefined> {
  return (await eventsOf(of)).at(-1)?.outcome.reason;
}

describe('consent', () => {
  it('is asked before the API for the patient the request names', async () => {
    const of = await start();
    assert.equal((await of.fetch('/fhir/Patient/p-1', { headers: { 'x-purpose-of-use': 'TREAT' } })).status, 200);
    assert.deepEqual(of.questions, [
      {
        patient: 'p-1',
        actor: { id: 'person-1', issuer: of.issuer.issuer, roles: ['physician'], client: 'demo-cli' },
        purpose: 'TREAT',
        operation: 'read',
        type: 'Patient',
      },
    ]);
    const denied = await of.fetch('/fhir/Patient/p-9');
    assert.equal(denied.status, 403);
    assert.equal(denied.json.code, 'consent-refused');
    assert.equal(await lastReason(of), 'consent');
    assert.equal(of.asked.length, 1);
  });

  it('is asked before the release for whom only the answer names', async () => {
    const of = await start({ upstream: searchset(observation('o-1', 'p-1'), observation('o-2', 'p-9')) });
    const answer = await of.fetch('/fhir/Observation?code=1');
    assert.equal(answer.json.code, 'consent-refused');
    assert.equal(await lastReason(of), 'consent');
    assert.equal(of.asked.length, 1);
  });

  it('of more patients than the policy lets ask for lets nothing out', async () => {
    const of = await start({
      upstream: searchset(...['1', '2', '3', '4'].map((id) => observation(`o-${id}`, `p-${id}`))),
    });
    assert.equal((await of.fetch('/fhir/Observation?code=1')).json.code, 'consent-refused');
    assert.equal(await lastReason(of), 'consent-too-many');
  });

  it('that nobody can be asked for lets nothing out, and changes nothing', async () => {
    const of = await start({ upstream: { resourceType: 'Observation', id: 'o-1' } });
    assert.equal((await of.fetch('/fhir/Observation/o-1')).json.code, 'consent-refused');
    assert.equal(await lastReason(of), 'consent-unknown-patient');
    assert.equal((await of.fetch('/fhir/Observation/o-1', { method: 'DELETE' })).json.code, 'consent-refused');
    assert.equal(await lastReason(of), 'consent-unknown-patient');
    assert.equal(of.asked.length, 1);
  });

  it('is not got around by a parameter or a field that names somebody else', async () => {
    const of = await start();
    const code = async (method: string, path: string, options: FetchOptions = {}): Promise<unknown> =>
      (await of.fetch(path, { method, ...options })).json.code;
    // What has an id is whose it is, whatever the query says.
    assert.equal(await code('DELETE', '/fhir/Observation/o-9?patient=p-1'), 'consent-refused');
    assert.equal(await lastReason(of), 'consent-unknown-patient');
    const named = { headers: { 'x-break-glass-patient': 'p-1' } };
    assert.equal(await code('DELETE', '/fhir/Observation/o-9', named), 'consent-refused');
    // A body that nobody could read.
    const unread = { headers: { 'content-type': 'text/plain' }, body: 'about p-9' };
    assert.equal(await code('POST', '/fhir/Observation?patient=p-1', unread), 'consent-refused');
    const batchOf = (url: string): FetchOptions => ({
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ resourceType: 'Bundle', type: 'batch', entry: [{ request: { method: 'GET', url } }] }),
    });
    for (const url of ['Observation/o-9?patient=p-1', 'Patient?subject=p-1'])
      assert.equal(await code('POST', '/fhir', batchOf(url)), 'consent-refused', url);
    assert.equal(of.asked.length, 0);
    assert.equal(await code('POST', '/fhir', batchOf('Observation?patient=p-1')), undefined);
    assert.equal(await code('DELETE', '/fhir/Observation?patient=p-1'), undefined);
    assert.equal(of.asked.length, 2);
  });

  it('counts for whom a body is about, in a batch too', async () => {
    const of = await start();
    const post = async (path: string, body: object): Promise<unknown> =>
      (
        await of.fetch(path, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(body),
        })
      ).json.code;
    assert.equal(await post('/fhir/Observation', observation('o', 'p-9')), 'consent-refused');
    const batch = (...entry: object[]): object => ({ resourceType: 'Bundle', type: 'batch', entry });
    const create = (patient: string): object => ({
      request: { method: 'POST', url: 'Observation' },
      resource: observation('o', patient),
    });
    const read = (url: string): object => ({ request: { method: 'GET', url } });
    assert.equal(await post('/fhir', batch(create('p-1'), create('p-9'))), 'consent-refused');
    assert.equal(await post('/fhir', batch(read('Patient/p-9'))), 'consent-refused');
    assert.equal(await post('/fhir', batch(create('p-1'), read('Observation/o-1'))), 'consent-refused');
    assert.equal(of.asked.length, 0);
    assert.equal(await post('/fhir', batch(create('p-1'), read('Patient/p-1'))), undefined);
    assert.equal(of.asked.length, 1);
  });

  it('that can not be asked for denies, and is not asked of who is told what the API can do', async () => {
    const of = await start({ down: true });
    const answer = await of.fetch('/fhir/Patient/p-1');
    assert.equal(answer.status, 503);
    assert.equal(answer.json.code, 'consent-unavailable');
    assert.equal(answer.headers['retry-after'], '2');
    assert.equal(await lastReason(of), 'consent-unavailable');
    assert.equal(of.asked.length, 0);
    assert.equal((await of.fetch('/fhir/metadata')).status, 200);
  });

  it('that can not be asked for lets pass what the policy wants, and the event says so', async () => {
    const of = await start({ down: true, more: ', onFailure: allow-and-flag' });
    assert.equal((await of.fetch('/fhir/Patient/p-1')).status, 200);
    const event = (await eventsOf(of)).at(-1);
    assert.deepEqual(event?.targets?.at(-1), { type: 'Consent', role: 'unchecked' });
  });

  it('yields to broken glass where the policy says so, and only with a reason', async () => {
    const of = await start();
    const fetch = (headers: Record<string, string>): ReturnType<Road['fetch']> =>
      of.fetch('/fhir/Patient/p-9', { headers: { 'x-purpose-of-use': 'BTG', ...headers } });
    assert.equal((await fetch({})).json.code, 'break-glass-refused');
    const answer = await fetch({ 'x-break-glass-reason': 'emergency' });
    assert.equal(answer.status, 200);
    assert.match(String(answer.headers['x-break-glass']), /^open; reason=emergency/);
    assert.equal((await eventsOf(of)).filter(({ operation }) => operation === 'break-glass-opened').length, 1);
  });
});
