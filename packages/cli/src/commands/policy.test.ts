/** `watchglass policy`: cases that come out as they should or not, and the reasons of one request. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { samplePolicyPath } from '@watchglass/gateway';
import { run } from '../main.ts';

const policy = `version: 1
purposeOfUse: {header: X-Purpose-Of-Use, allow: [TREAT, BTG]}
hours:
  day: [{zone: UTC, from: '07:00', to: '19:00'}]
assurance:
  strong: {acr: ['urn:example:gold']}
breakGlass: {reasons: [emergency]}
roles:
  nurse:
    allow:
      - {name: by-day, interactions: [read], types: [Observation], hours: [day]}
      - {name: surely, interactions: [delete], types: [Observation], assurance: strong}
    breakGlass:
      - {interactions: [read], types: ['*']}
`;

let folder: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'watchglass-policy-'));
  await writeFile(join(folder, 'policy.yaml'), policy);
});
after(() => rm(folder, { recursive: true, force: true }));

async function watchglass(
  ...argv: readonly string[]
): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  let out = '';
  let err = '';
  const code = await run(['policy', ...argv], {
    stdout: { write: (text) => (out += text) },
    stderr: { write: (text) => (err += text) },
    env: {},
    cwd: folder,
    signal: new AbortController().signal,
  });
  return { code, out, err };
}

async function cases(yaml: string): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  await writeFile(join(folder, 'cases.yaml'), yaml);
  return watchglass('test', '--policy', 'policy.yaml', '--case', 'cases.yaml');
}

test('the policy that comes with it does what its cases say', async () => {
  const sample = samplePolicyPath();
  const { code, out } = await watchglass(
    'test',
    '--policy',
    sample,
    '--case',
    join(dirname(sample), 'hospital.cases.yaml'),
    '--json',
  );
  const { ok, cases: results, sha256 } = JSON.parse(out) as { ok: boolean; cases: unknown[]; sha256: string };
  assert.deepEqual([code, ok, results.length], [0, true, 8]);
  assert.match(sha256, /^[0-9a-f]{64}$/);
});

test('cases that come out as expected, one a line, end with 0', async () => {
  const { code, out } = await cases(`cases:
  - {name: by day, roles: [nurse], path: /fhir/Observation/1, at: '2026-11-24T12:00:00Z', expect: allow}
  - {name: at night, roles: [nurse], path: /fhir/Observation/1, at: '2026-11-24T22:00:00Z', expect: deny, because: policy-time}
  - {name: delete, roles: [nurse], method: DELETE, path: /fhir/Observation/1, expect: step-up, because: surely}
  - {name: emergency, roles: [nurse], path: /fhir/Patient/1, purpose: BTG, expect: break-glass}
  - {name: two readings, roles: [nurse], path: /fhir/../Patient/1, expect: deny}
`);
  assert.equal(code, 0);
  assert.deepEqual(out.trimEnd().split('\n'), [
    '✔ by day: allow (by-day)',
    '✔ at night: deny (policy-time)',
    '✔ delete: step-up (assurance)',
    '✔ emergency: break-glass (roles.nurse.breakGlass.0)',
    '✔ two readings: deny (target-dot-segment)',
  ]);
});

test('a case that comes out otherwise is said and ends with 1', async () => {
  const { code, out, err } = await cases(`cases:
  - {name: by day, roles: [nurse], path: /fhir/Observation/1, at: '2026-11-24T12:00:00Z', expect: deny}
  - {name: at night, roles: [nurse], path: /fhir/Observation/1, at: '2026-11-24T22:00:00Z', expect: deny, because: scope}
`);
  assert.equal(code, 1);
  assert.match(out, /✘ by day: expected deny, got allow \(by-day\)/);
  assert.match(out, /✘ at night: expected deny \(scope\), got deny \(policy-time\)/);
  assert.match(err, /2 of 2 cases came out otherwise/);
});

test('a file that is wrong is refused with its line', async () => {
  const wrong = await cases('cases:\n  - {name: x, path: /fhir/Patient/1, expcet: allow}\n');
  assert.equal(wrong.code, 1);
  assert.match(wrong.err, /cases\.yaml: line 2: unknown key cases\.0\.expcet; did you mean expect\?/);
  const missing = await watchglass('test', '--policy', 'policy.yaml', '--case', 'nowhere.yaml');
  assert.equal(missing.code, 1);
  assert.match(missing.err, /expected cases in nowhere\.yaml, got ENOENT/);
  assert.equal((await watchglass('explain', '--policy', 'nowhere.yaml', '--path', '/fhir/Patient/1')).code, 1);
});

test('one request is explained by the rules that speak of it, with their lines', async () => {
  const { code, out } = await watchglass(
    ...['explain', '--policy', 'policy.yaml', '--role', 'nurse', '--path', '/fhir/Observation/1'],
    ...['--at', '2026-11-24T22:00:00Z'],
  );
  assert.equal(code, 0);
  assert.deepEqual(out.trimEnd().split('\n'), [
    'deny: policy-time, by by-day',
    '  it is read of Observation',
    '  policy.yaml:11 allow by-day: does not hold: time',
  ]);
  const json = await watchglass(
    ...[
      'explain',
      '--policy',
      'policy.yaml',
      '--role',
      'nurse',
      '--path',
      '/fhir/Patient/1',
      '--purpose',
      'BTG',
      '--json',
    ],
  );
  const explained = JSON.parse(json.out) as { outcome: string; considered: { kind: string; result: string }[] };
  assert.equal(explained.outcome, 'break-glass');
  assert.deepEqual(
    explained.considered.map(({ kind, result }) => [kind, result]),
    [['breakGlass', 'holds']],
  );
});

test('of an API that is no FHIR a request is what its map says, in cases and in an explanation', async () => {
  await writeFile(
    join(folder, 'api.yaml'),
    'version: 1\nroutes:\n  GET /observations/{id}: { type: Observation, patient: path id }\n',
  );
  const { code, out } = await cases(`prefix: /api
map: api.yaml
cases:
  - {name: by day, roles: [nurse], path: /api/observations/1, at: '2026-11-24T12:00:00Z', expect: allow, because: by-day}
  - {name: unnamed, roles: [nurse], path: /api/others/1, expect: deny, because: not-found}
`);
  assert.equal(code, 0, out);
  const asked = [
    'explain',
    '--policy',
    'policy.yaml',
    '--role',
    'nurse',
    '--prefix',
    '/api',
    '--path',
    '/api/observations/1',
  ];
  const explained = await watchglass(...asked, '--map', 'api.yaml', '--at', '2026-11-24T22:00:00Z');
  assert.match(explained.out, /^deny: policy-time, by by-day\n {2}it is read of Observation\n/);
  const missing = await watchglass(...asked, '--map', 'nowhere.yaml');
  assert.equal(missing.code, 1);
  assert.match(missing.err, /expected a map of routes in .*nowhere\.yaml, got ENOENT; check the path/);
});
