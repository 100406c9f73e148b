/** `POST /v1/bundles` against the whole server: what is in the file, what proves it, what is recorded, and what is refused. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type BundleReport, splitBundle, verifyBundle } from '@watchglass/record';
import { ask, clinic, indexed, post, startTestServer, type TestServer, testEvent } from './server.fixture.ts';

let server: TestServer;
let officer: string;
const why = { purpose: 'HOPERAT', reason: 'Complaint 17 of March' };

before(async () => {
  server = await startTestServer();
  officer = await server.token('privacy-officer');
  for (let i = 0; i < 30; i++) {
    const patient = i % 3 === 0 ? 'wg-pt-000417' : `wg-pt-1000${i}`;
    const answer = await post(server, [
      testEvent({
        actor: { id: i % 2 === 0 ? 'nurse-1' : 'dr-ito', type: 'human' },
        targets: [{ type: 'Observation', id: `o-${i}`, patient }],
      }),
    ]);
    assert.equal(answer.statusCode, 201);
  }
  await indexed(server);
});
after(() => server[Symbol.asyncDispose]());

async function bundle(body: object, token = officer): Promise<BundleReport & { readonly text: string }> {
  const answer = await ask(server, token, '/v1/bundles', { ...why, ...body });
  assert.equal(answer.statusCode, 200, answer.body);
  const { evidence, page } = splitBundle(answer.body);
  const report = verifyBundle(evidence, { page, vkey: server.ledger.vkey(clinic) });
  assert.deepEqual(report.findings, []);
  return { ...report, text: answer.body };
}

test('a patient’s whole history is one intact file, and says how it was found', async () => {
  const { size } = server.ledger.head(clinic);
  const { contents, events, maker, checkpoint, pinned } = await bundle({ filters: { patient: 'wg-pt-000417' } });
  assert.ok(pinned);
  assert.equal(events.length, 10);
  for (const { record } of events) assert.equal(record?.event.targets?.[0]?.patient, 'wg-pt-000417');
  assert.deepEqual(contents?.query, {
    how: 'index',
    filters: [['patient', 'wg-pt-000417']],
    size,
    unindexed: 0,
  });
  assert.deepEqual(contents?.purpose, { code: 'HOPERAT', reason: 'Complaint 17 of March' });
  assert.equal(maker?.index, size, 'its own record comes next');
  assert.equal(Number(checkpoint?.size), size + 1);
});

test('what was asked, why and how much is in the log before the file leaves', async () => {
  const { maker } = await bundle({ filters: { patient: 'wg-pt-000417', kind: 'api' } });
  const event = maker?.record?.event;
  assert.equal(event?.operation, 'bundle');
  assert.deepEqual(event?.exposure, { count: 10 });
  assert.deepEqual(event?.request?.query, ['patient', 'kind']);
  assert.deepEqual(event?.purpose, { code: 'HOPERAT' });
  assert.deepEqual(event?.changes, [{ path: '/reason', op: 'add', after: 'Complaint 17 of March' }]);
  assert.deepEqual(
    event?.targets?.map(({ type }) => type),
    ['Bundle', 'Patient'],
  );
  assert.doesNotMatch(JSON.stringify(event?.targets), /wg-pt/, 'whom it is about stands there by pseudonym');
  assert.doesNotMatch(server.log(), /wg-pt-000417|Complaint/);
});

test('a bundle is not answered when its event cannot be recorded', async () => {
  let refuse = false;
  await using other = await startTestServer({
    beforeRecord: () => {
      if (refuse) throw new Error('no room');
    },
  });
  assert.equal((await post(other, [testEvent()])).statusCode, 201);
  const token = await other.token('auditor');
  refuse = true;
  const answer = await ask(other, token, '/v1/bundles', { ...why, indexes: [0] });
  assert.equal(answer.statusCode, 500);
  assert.doesNotMatch(answer.body, /evidence/);
});

test('a history by a scan of every record is the one by the index', async () => {
  for (const filters of [
    { patient: 'Patient/wg-pt-000417', kind: 'api' },
    { actor: 'dr-ito' },
    { resource: 'Observation', actor: 'nurse-1' },
    { kind: 'api', q: 'DR-' },
  ]) {
    const byIndex = await bundle({ filters });
    const byScan = await bundle({ filters, scan: true });
    assert.equal(byScan.contents?.query.how, 'scan');
    assert.deepEqual(
      byScan.events.map(({ index }) => index),
      byIndex.events.map(({ index }) => index),
    );
  }
});

test('events are chosen by index and range, once each, and their neighbours stay out', async () => {
  const { contents, events, text } = await bundle({ indexes: [9, [4, 6], 5] });
  assert.deepEqual(
    events.map(({ index }) => index),
    [4, 5, 6, 9],
  );
  assert.deepEqual(contents?.query.filters, [['indexes', '9, 4-6, 5']]);
  assert.equal(text.match(/"index":/g)?.length, 5, 'four events and the maker’s own');
});

test('the question is named only as far as the answer shows it', async () => {
  const [, pseudonym = ''] = /(·[A-Z2-7]{12})/u.exec(
    (await ask(server, officer, '/v1/events/search', { patient: 'wg-pt-000417', limit: 1 })).body,
  ) as RegExpExecArray;
  const byPseudonym = await bundle({ filters: { patient: pseudonym } });
  assert.deepEqual(byPseudonym.contents?.query.filters, [['patient', 'wg-pt-000417']]);
  const byText = await bundle({ filters: { q: 'rse-1', kind: 'api' } });
  assert.deepEqual(byText.contents?.query.filters, [
    ['kind', 'api'],
    ['q', '…'],
  ]);
});

test('it takes the right to open, a purpose and a reason', async () => {
  for (const [token, status] of [
    [await server.token('security-analyst'), 403],
    [await server.token('administrator'), 403],
    [server.operator, 403],
    [await server.token('auditor'), 200],
  ] as const)
    assert.equal((await ask(server, token, '/v1/bundles', { ...why, indexes: [0] })).statusCode, status);
  for (const [body, at] of [
    [{ indexes: [0], reason: 'x' }, '/purpose'],
    [{ indexes: [0], purpose: 'because', reason: 'x' }, '/purpose'],
    [{ indexes: [0], purpose: 'TREAT' }, '/reason'],
    [{ indexes: [0], purpose: 'TREAT', reason: ' ' }, '/reason'],
    [{ indexes: [0], purpose: 'TREAT', reason: 'a\nb' }, '/reason'],
    [why, '/indexes'],
    [{ ...why, indexes: [0], filters: { actor: 'a' } }, '/indexes'],
    [{ ...why, indexes: [0], scan: true }, '/scan'],
    [{ ...why, indexes: ['0'] }, '/indexes/0'],
    [{ ...why, indexes: [[6, 4]] }, '/indexes/0'],
    [{ ...why, filters: {} }, '/filters'],
    [{ ...why, indexes: [0], withhold: ['actor'] }, '/withhold/0'],
    [{ ...why, indexes: [0], more: 1 }, ''],
  ] as const) {
    const answer = await ask(server, officer, '/v1/bundles', body);
    assert.equal(answer.statusCode, 422, answer.body);
    assert.equal(answer.json().code, 'input-invalid');
    assert.equal(answer.json().errors[0].path, at);
  }
});

test('nothing to show, too much to show, and fields that cannot be withheld are refused in codes', async () => {
  for (const [body, status, code] of [
    [{ filters: { patient: 'nobody' } }, 404, 'not-found'],
    [{ indexes: [99_999] }, 404, 'not-found'],
    [{ indexes: [[0, 30_000]] }, 422, 'bundle-too-large'],
    [{ filters: { kind: 'none' } }, 400, 'query-invalid'],
    [{ indexes: [0], withhold: ['/actor/id'] }, 422, 'withholding-refused'],
  ] as const) {
    const answer = await ask(server, officer, '/v1/bundles', { ...why, ...body });
    assert.deepEqual([answer.statusCode, answer.json().code], [status, code]);
  }
});

test('without the page that it is put into there is no bundle', async () => {
  await using other = await startTestServer({ page: undefined });
  assert.equal((await post(other, [testEvent()])).statusCode, 201);
  const answer = await ask(other, await other.token('auditor'), '/v1/bundles', { ...why, indexes: [0] });
  assert.equal(answer.statusCode, 503);
});

test('fields are withheld where the log allows it, and what is shown is proven', async () => {
  await using fields = await startTestServer({ leafType: 2 });
  const events = ['417', '418'].map((n) =>
    testEvent({
      actor: { id: `dr-${n}`, type: 'human' },
      targets: [{ type: 'Patient', id: `wg-pt-000${n}`, patient: `wg-pt-000${n}` }],
    }),
  );
  assert.equal((await post(fields, events)).statusCode, 201);
  await indexed(fields);
  const token = await fields.token('auditor');
  const first = fields.ledger.head(clinic).size - 2;
  const withheld = async (body: object) => await ask(fields, token, '/v1/bundles', { ...why, ...body });

  const one = await withheld({ indexes: [first], withhold: ['/actor/id', '/targets/*/id', '/targets/*/patient'] });
  assert.equal(one.statusCode, 200, one.body);
  assert.doesNotMatch(one.body, /wg-pt-000417|dr-417|wg-pt-000418/);
  const report = verifyBundle(splitBundle(one.body).evidence, { vkey: fields.ledger.vkey(clinic) });
  assert.deepEqual(report.findings, []);
  const [event] = report.events;
  assert.equal(event?.withheld, true);
  assert.deepEqual(event?.record?.event.targets, [{ type: 'Patient', id: null, patient: null }]);
  assert.equal(event?.record?.digest, null);
  assert.equal(event?.record?.event.action, 'read');

  const named = await withheld({ filters: { patient: 'wg-pt-000418', kind: 'api' }, withhold: ['/targets'] });
  const shown = verifyBundle(splitBundle(named.body).evidence);
  assert.deepEqual(shown.findings, []);
  assert.match(shown.contents?.query.filters[0]?.[1] ?? '', /^\u00b7/, 'what is withheld is not named in the question');
  assert.doesNotMatch(named.body, /wg-pt-000418/);

  for (const [withhold, at] of [
    [['/targets/*/patient'], '/targets/0/id'],
    [['/nothing'], '/withhold/0'],
    [['/actor/id', '/purpose/code'], '/withhold/1'],
  ] as const) {
    const refused = await withheld({ indexes: [first], withhold });
    assert.equal(refused.statusCode, 422);
    assert.equal(refused.json().code, 'withholding-refused');
    assert.equal(refused.json().errors[0].path, at);
    assert.doesNotMatch(refused.body, /wg-pt/);
  }

  const whole = await withheld({ indexes: [first, first + 1] });
  assert.deepEqual(verifyBundle(splitBundle(whole.body).evidence).findings, [], 'whole events of such a log open too');
});

test('two bundles at a time, and a third when one has gone', async () => {
  const make = async (): Promise<number> =>
    (await ask(server, officer, '/v1/bundles', { ...why, filters: { kind: 'api' } })).statusCode;
  const statuses = await Promise.all([make(), make(), make()]);
  assert.deepEqual(statuses.sort(), [200, 200, 429]);
  assert.equal(await make(), 200);
});
