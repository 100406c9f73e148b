/** Real-shaped records through the whole road: the hospital serves bulk FHIR NDJSON of the reference folder, where that is present. */
import assert from 'node:assert/strict';
import { existsSync, globSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { makeFolder, until, watchglassJson } from './command.fixture.ts';
import { startDemo } from './demo.fixture.ts';

const reference = join(import.meta.dirname, '../../../shared/reference/synthea');
const skip = existsSync(reference) ? false : 'there is no ../shared/reference/synthea beside the repository';

test('records of the reference folder are read through the gateway, found and intact', { skip }, async () => {
  const [patients] = globSync('**/*Patient*.ndjson', { cwd: reference });
  assert.ok(patients, 'the folder has no patients');
  await using folder = await makeFolder('records');
  await using demo = await startDemo({
    dataDir: join(folder.path, 'data'),
    args: ['--no-traffic', '--records', join(reference, dirname(patients))],
  });
  const roster = JSON.parse(await readFile(join(demo.dataDir, 'demo/roster.json'), 'utf8')) as { patients: string[] };
  const served = (await readFile(join(reference, patients), 'utf8')).trim().split('\n');
  const first = (JSON.parse(served[0]!) as { id: string }).id;
  assert.ok(roster.patients.includes(first));

  const token = demo.person('physician').token;
  const one = await demo.throughGateway(`/fhir/Patient/${first}`, token);
  assert.equal(one.status, 200, one.text);
  const conditions = await demo.throughGateway(`/fhir/Condition?patient=${first}&_count=20`, token);
  assert.equal(conditions.status, 200, conditions.text);
  const bundle = JSON.parse(conditions.text) as { entry?: { resource: { resourceType: string } }[] };
  assert.ok((bundle.entry ?? []).some(({ resource }) => resource.resourceType === 'Condition'));

  const found = await until(async () => {
    const page = await watchglassJson<{
      count: number;
      events: { operation: string; exposure?: { patients?: { classes?: string[] }[] } }[];
    }>(['search', '--data', demo.dataDir, '--patient', first]);
    return page.events.some(({ operation }) => operation === 'search-type') && page.count >= 2 ? page : undefined;
  }, 'both reads in the search');
  const search = found.events.find(({ operation }) => operation === 'search-type')!;
  assert.ok(
    search.exposure?.patients?.some(({ classes }) => classes?.includes('conditions')),
    JSON.stringify(search),
  );
  const report = await watchglassJson<{ intact: boolean }>(['verify', demo.dataDir, '--full']);
  assert.equal(report.intact, true);
});
