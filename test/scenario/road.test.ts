/** The main road over real processes: a request through the gateway, found and proven, and everything intact. */
import assert from 'node:assert/strict';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { makeFolder, until, watchglass, watchglassJson } from './command.fixture.ts';
import { type Demo, startDemo } from './demo.fixture.ts';

let folder: Awaited<ReturnType<typeof makeFolder>>;
let demo: Demo;
let patient: string;

before(async () => {
  folder = await makeFolder('road');
  demo = await startDemo({ dataDir: join(folder.path, 'data') });
  patient = await aPatient(demo);
});

after(async () => {
  await demo?.[Symbol.asyncDispose]();
  await folder?.[Symbol.asyncDispose]();
});

async function aPatient({ dataDir }: Demo): Promise<string> {
  const roster = JSON.parse(await readFile(join(dataDir, 'demo/roster.json'), 'utf8')) as {
    patients: (string | { id: string })[];
  };
  const first = roster.patients[3]!;
  return typeof first === 'string' ? first : first.id;
}

interface Found {
  readonly events: readonly {
    readonly index: number;
    readonly operation?: string;
    readonly actor: { readonly id: string };
    readonly outcome: { readonly status: string };
    readonly exposure?: { readonly patients?: readonly { readonly id: string }[] };
  }[];
  readonly next: string | null;
  readonly count: number;
}

test('demo.json says what the contract says, for its owner only', async () => {
  const { file } = demo;
  assert.deepEqual(Object.keys(file).sort(), ['ca', 'people', 'pids', 'tenant', 'urls', 'writeKey']);
  assert.deepEqual(Object.keys(file.urls).sort(), ['console', 'gateway', 'issuer', 'server', 'upstream']);
  for (const url of Object.values(file.urls)) assert.doesNotMatch(url, /\/$/);
  for (const role of [
    'physician',
    'nurse',
    'billing',
    'privacy-officer',
    'security-analyst',
    'auditor',
    'administrator',
  ]) {
    const person = demo.person(role);
    assert.ok(person.username && person.password && person.token, role);
  }
  assert.match(file.writeKey, /^wgk_/);
  assert.match(file.ca, /^\//);
  assert.equal((await stat(join(demo.dataDir, 'demo.json'))).mode & 0o777, 0o600);
});

/** The search without the start of a command, for measuring. */
async function countByHttp(filters: Record<string, string>): Promise<number> {
  const token = (await readFile(join(demo.dataDir, 'keys/operator.token'), 'utf8')).trim();
  const response = await fetch(`${demo.file.urls.server}/v1/events/search`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(filters),
  });
  return ((await response.json()) as Found).count;
}

test('a physician’s read through the gateway is found at once, proven, and everything is intact', async (t) => {
  const physician = demo.person('physician');
  const from = new Date(Date.now() - 50).toISOString();
  const answer = await demo.throughGateway(`/fhir/Patient/${patient}`, physician.token);
  assert.equal(answer.status, 200, answer.text);
  assert.equal((JSON.parse(answer.text) as { id: string }).id, patient);
  const answeredMs = performance.now();
  await until(
    async () => ((await countByHttp({ patient, operation: 'read', from })) > 0 ? true : undefined),
    'the read',
  );
  const tookMs = Math.round(performance.now() - answeredMs);
  t.diagnostic(`found ${tookMs} ms after the answer`);
  const search = ['search', '--data', demo.dataDir, '--patient', patient, '--operation', 'read', '--from', from];
  const found = await watchglassJson<Found>(search);
  const event = found.events[0]!;
  assert.equal(event.outcome.status, 'success');
  assert.doesNotMatch(JSON.stringify(found), new RegExp(patient), 'a plain identifier left the search');

  const out = join(folder.path, 'read.tlog-proof');
  const proven = await watchglass(['prove', String(event.index), '--data', demo.dataDir, '--out', out]);
  assert.equal(proven.code, 0, proven.err);
  assert.match(proven.out, /proven/);
  assert.match(await readFile(out, 'utf8'), /^c2sp\.org\/tlog-proof@v1\n/);

  const verified = await watchglassJson<{ intact: boolean; findings: unknown[] }>(['verify', demo.dataDir]);
  assert.deepEqual([verified.intact, verified.findings], [true, []]);
  const remote = await watchglassJson<{ intact: boolean }>(['verify', demo.file.urls.server]);
  assert.equal(remote.intact, true);
});

test('a privacy officer proves what a record says; a proof for another event does not hold', async () => {
  const officer = demo.person('privacy-officer');
  await demo.throughGateway(`/fhir/Patient/${patient}`, demo.person('nurse').token);
  const as = ['--server', demo.file.urls.server, '--token', officer.token];
  const found = await until(async () => {
    const page = await watchglassJson<Found>(['search', ...as, '--patient', patient, '--actor', await idOf('nurse')]);
    return page.count > 0 ? page : undefined;
  }, 'the nurse’s read');
  const { index } = found.events[0]!;
  const vkey = (await (await fetch(`${demo.file.urls.server}/log/${demo.file.tenant}/vkey`)).text()).trim();
  const out = join(folder.path, 'opened.tlog-proof');
  const proven = await watchglassJson<{ intact: boolean; record: { event: { targets: { id?: string }[] } } }>([
    'prove',
    String(index),
    ...as,
    '--vkey',
    vkey,
    '--out',
    out,
  ]);
  assert.equal(proven.intact, true);
  assert.match(JSON.stringify(proven.record.event), new RegExp(patient), 'the opened record says which patient');

  const offline = await watchglass(['verify', out, '--vkey', vkey]);
  assert.equal(offline.code, 0, offline.err);
  const text = await readFile(out, 'utf8');
  await writeFile(out, text.replace(`index ${index}\n`, `index ${index - 1}\n`));
  const moved = await watchglass(['verify', out, '--vkey', vkey]);
  assert.equal(moved.code, 3, moved.err + moved.out);
  const otherKey = vkey.replace(/\+[0-9a-f]{8}\+.*/, '+00000000+AAAA');
  assert.notEqual((await watchglass(['prove', String(index), ...as, '--vkey', otherKey])).code, 0);
});

async function idOf(role: string): Promise<string> {
  const tokens = JSON.parse(await readFile(join(demo.dataDir, 'demo/tokens.json'), 'utf8')) as {
    people: { id: string; username: string }[];
  };
  return tokens.people.find(({ username }) => username === demo.person(role).username)!.id;
}

test('a search through the gateway exposes patients, and each of them can be asked for', async () => {
  const physician = demo.person('physician');
  const answer = await demo.throughGateway('/fhir/Patient?_count=5', physician.token);
  assert.equal(answer.status, 200, answer.text);
  const bundle = JSON.parse(answer.text) as { entry: { resource: { resourceType: string; id: string } }[] };
  const seen = bundle.entry.map(({ resource }) => resource).filter(({ resourceType }) => resourceType === 'Patient');
  assert.equal(seen.length, 5);
  const last = seen.at(-1)!.id;
  const found = await until(async () => {
    const page = await watchglassJson<Found>([
      'search',
      '--data',
      demo.dataDir,
      '--patient',
      last,
      '--operation',
      'search-type',
    ]);
    return page.count > 0 ? page : undefined;
  }, 'the search that showed the patient');
  assert.equal(found.events[0]!.exposure?.patients?.length, 5);
});

test('who may not is refused, and that is on record too', async () => {
  const billing = demo.person('billing');
  const refused = await demo.throughGateway(`/fhir/Observation?patient=${patient}`, billing.token);
  assert.equal(refused.status, 403, refused.text);
  assert.equal((await demo.throughGateway(`/fhir/Patient/${patient}`)).status, 401);
  assert.equal((await demo.throughGateway(`/fhir/Patient/${patient}`, `${billing.token}x`)).status, 401);
  // A role of Watchglass has no business at the hospital.
  assert.equal((await demo.throughGateway(`/fhir/Patient/${patient}`, demo.person('auditor').token)).status, 403);
  const found = await until(async () => {
    const page = await watchglassJson<Found>([
      'search',
      '--data',
      demo.dataDir,
      '--actor',
      await idOf('billing'),
      '--outcome',
      'denied',
    ]);
    return page.count > 0 ? page : undefined;
  }, 'the refusal');
  assert.equal(found.events[0]!.outcome.status, 'denied');
});

test('the search answers each role by its rights', async () => {
  const ask = async (role: string): Promise<number> => {
    const response = await fetch(`${demo.file.urls.server}/v1/events?limit=1`, {
      headers: { authorization: `Bearer ${demo.person(role).token}` },
    });
    await response.arrayBuffer();
    return response.status;
  };
  for (const role of ['privacy-officer', 'auditor', 'security-analyst', 'administrator'])
    assert.equal(await ask(role), 200, role);
  for (const role of ['physician', 'nurse', 'billing']) assert.equal(await ask(role), 403, role);
  const nobody = await fetch(`${demo.file.urls.server}/v1/events`);
  assert.equal(nobody.status, 401);
  assert.match(nobody.headers.get('content-type') ?? '', /application\/problem\+json/);
  const { code, err } = await watchglass([
    'search',
    '--server',
    demo.file.urls.server,
    '--token',
    demo.person('nurse').token,
  ]);
  assert.equal(code, 1);
  assert.match(err, /403/);
});

test('a search is itself on record, without the plain identifier', async () => {
  await watchglassJson<Found>(['search', '--data', demo.dataDir, '--patient', patient]);
  const found = await until(async () => {
    const page = await watchglassJson<Found>([
      'search',
      '--data',
      demo.dataDir,
      '--kind',
      'review',
      '--operation',
      'search',
    ]);
    return page.count > 0 ? page : undefined;
  }, 'the record of the search');
  assert.equal(found.events[0]!.actor.id, 'operator');
  assert.doesNotMatch(JSON.stringify(found), new RegExp(patient));
});

test('tail shows what happens while it happens', async () => {
  const tail = watchglassJson<{ operation: string }>([
    'tail',
    '--data',
    demo.dataDir,
    '--operation',
    'read',
    '--count',
    '1',
  ]);
  const reading = new AbortController();
  const keepReading = (async () => {
    while (!reading.signal.aborted) {
      await demo.throughGateway(`/fhir/Patient/${patient}`, demo.person('physician').token);
    }
  })();
  assert.equal((await tail).operation, 'read');
  reading.abort();
  await keepReading;
});

test('a first event by curl is five fields, and its receipt is proven', async () => {
  const response = await fetch(`${demo.file.urls.server}/v1/events`, {
    method: 'POST',
    headers: { authorization: `Bearer ${demo.file.writeKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      kind: 'file',
      action: 'read',
      operation: 'download',
      outcome: { status: 'success' },
      actor: { id: 'curl' },
    }),
  });
  assert.equal(response.status, 201);
  const { receipts } = (await response.json()) as { receipts: { index: number; leaf: string }[] };
  const proven = await watchglassJson<{ leaf: string }>(['prove', String(receipts[0]!.index), '--data', demo.dataDir]);
  assert.equal(proven.leaf, receipts[0]!.leaf);
});
