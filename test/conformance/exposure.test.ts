/**
 * Exposure over other people's resources: the examples of FHIR R4 and the records of Synthea. Whose they are is found a second time by a plain reading of the text, and the two have to agree on every
 * one of them.
 */
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Learned, learnExposure } from '@watchglass/gateway';

const reference = new URL('../../../shared/reference/', import.meta.url);
const examples = new URL('fhir-r4-examples/', reference);
const synthea = new URL('synthea/', reference);

interface Resource {
  readonly resourceType: string;
  readonly id?: string;
}

function learn(text: string, contentType = 'application/fhir+json'): Learned {
  return learnExposure(Buffer.from(text), { contentType, complete: true });
}

function idsOf({ exposure }: Learned): string[] {
  return (exposure.patients ?? []).map(({ id }) => id).sort();
}

/** The reading that is too simple to be wrong: whatever looks like a reference to a patient, and every patient that stands as a resource of its own. */
function plainly(text: string): string[] {
  const found = new Set<string>();
  for (const match of text.matchAll(
    /"reference"\s*:\s*"(?:[^"]*\/)?Patient\/([A-Za-z0-9.-]{1,64})(?:\/_history\/[^"/]+)?"/g,
  ))
    found.add(match[1] as string);
  collectPatients(JSON.parse(text), found);
  return [...found].sort();
}

function collectPatients(value: unknown, found: Set<string>): void {
  if (typeof value !== 'object' || value === null) return;
  const { resourceType, id } = value as Partial<Resource>;
  if (resourceType === 'Patient' && typeof id === 'string') found.add(id);
  for (const [key, below] of Object.entries(value)) if (key !== 'contained') collectPatients(below, found);
}

describe('examples of FHIR R4', {
  skip: existsSync(examples) ? false : 'needs ../shared/reference/fhir-r4-examples',
}, () => {
  const texts = (): { readonly name: string; readonly text: string }[] =>
    globSync('*.json', { cwd: fileURLToPath(examples) })
      .sort()
      .map((name) => ({ name, text: readFileSync(new URL(name, examples), 'utf8') }))
      .filter(({ text }) => typeof (JSON.parse(text) as Partial<Resource>).resourceType === 'string');

  test('name the patients that a plain reading of them names', () => {
    let withPatients = 0;
    for (const { name, text } of texts()) {
      const ids = idsOf(learn(text));
      assert.deepEqual(ids, plainly(text), name);
      if (ids.length > 0) withPatients += 1;
    }
    assert.ok(withPatients > 80, `${withPatients} examples name a patient`);
  });

  test('are read whole; where one is about somebody without an id, it says so', () => {
    for (const { name, text } of texts()) {
      const { exposure, unread } = learn(text);
      assert.equal(unread, false, name);
      if (exposure.truncated !== true) continue;
      // It has to have a reason that can be seen in the text.
      const seen = /"contained"|"identifier"|"display"|urn:|Group\/|Patient\?/.test(text) || !plainly(text).length;
      assert.ok(seen, `${name} is truncated without a reason`);
    }
  });

  test('have data classes that fit their types', () => {
    const expected: Record<string, string> = {
      AllergyIntolerance: 'allergies',
      Appointment: 'appointments',
      CarePlan: 'care-plans',
      Claim: 'billing',
      Condition: 'conditions',
      Consent: 'consents',
      Coverage: 'billing',
      DiagnosticReport: 'results',
      DocumentReference: 'documents',
      Encounter: 'encounters',
      ExplanationOfBenefit: 'billing',
      ImagingStudy: 'images',
      Immunization: 'immunizations',
      MedicationRequest: 'medications',
      MedicationStatement: 'medications',
      Observation: 'results',
      Patient: 'demographics',
      Procedure: 'procedures',
      QuestionnaireResponse: 'notes',
      RelatedPerson: 'demographics',
    };
    const seen = new Set<string>();
    for (const { name, text } of texts()) {
      const { resourceType } = JSON.parse(text) as Resource;
      const wanted = expected[resourceType];
      if (wanted === undefined) continue;
      seen.add(resourceType);
      for (const { classes } of learn(text).exposure.patients ?? [])
        assert.ok(
          classes?.some((dataClass) => dataClass === wanted),
          name,
        );
    }
    assert.ok(seen.size >= 5, [...seen].join(' '));
  });

  test('in one Bundle, and in a Bundle of Bundles, are the sum of their parts', () => {
    const resources = texts().map(({ text }) => JSON.parse(text) as Resource);
    const single = new Set(texts().flatMap(({ text }) => idsOf(learn(text))));
    const bundle = { resourceType: 'Bundle', type: 'collection', entry: resources.map((resource) => ({ resource })) };
    assert.deepEqual(idsOf(learn(JSON.stringify(bundle))), [...single].sort());
    const nested = { resourceType: 'Bundle', type: 'collection', entry: [{ resource: bundle }] };
    assert.deepEqual(idsOf(learn(JSON.stringify(nested))), [...single].sort());
    const parameters = {
      resourceType: 'Parameters',
      parameter: [{ name: 'a', part: [{ name: 'b', part: [{ name: 'c', resource: bundle }] }] }],
    };
    assert.deepEqual(idsOf(learn(JSON.stringify(parameters))), [...single].sort());
    const lines = resources.map((resource) => JSON.stringify(resource)).join('\n');
    assert.deepEqual(idsOf(learn(lines, 'application/fhir+ndjson')), [...single].sort());
  });

  test('cut off anywhere name nobody else, and always say so', () => {
    for (const { name, text } of texts().slice(0, 60)) {
      const all = new Set(plainly(text));
      const bytes = Buffer.from(text);
      for (let cut = 1; cut < bytes.length; cut += Math.max(211, bytes.length >> 4)) {
        const learned = learnExposure(bytes.subarray(0, cut), {
          contentType: 'application/fhir+json',
          complete: false,
        });
        assert.equal(learned.exposure.truncated, true, name);
        for (const id of idsOf(learned)) assert.ok(all.has(id), `${name} at ${cut}`);
      }
    }
  });
});

describe('records of Synthea', { skip: existsSync(synthea) ? false : 'needs ../shared/reference/synthea' }, () => {
  const files = (): string[] => globSync('**/*.000.ndjson', { cwd: fileURLToPath(synthea) }).sort();
  const aboutNobody = new Set(['Location', 'Organization', 'Practitioner', 'PractitionerRole']);

  test('each name their patient, whole and by the same id as a plain reading', () => {
    let count = 0;
    for (const file of files()) {
      for (const line of readFileSync(new URL(file, synthea), 'utf8').split('\n')) {
        if (line === '') continue;
        const learned = learn(line);
        const ids = idsOf(learned);
        assert.deepEqual(ids, plainly(line), file);
        assert.equal(learned.exposure.truncated, undefined, `${file} ${line.slice(0, 90)}`);
        assert.equal(ids.length > 0, !aboutNobody.has(basename(file, '.000.ndjson')), `${file} ${line.slice(0, 90)}`);
        count += 1;
      }
    }
    assert.ok(count > 5_000, `${count} records`);
  });

  test('as a bulk export are counted to the last', () => {
    for (const file of files()) {
      const text = readFileSync(new URL(file, synthea), 'utf8');
      const learned = learn(text, 'application/fhir+ndjson');
      assert.equal(learned.exposure.count, text.trim().split('\n').length, file);
      assert.deepEqual([...learned.types], [basename(file, '.000.ndjson')]);
      assert.equal(learned.exposure.truncated, undefined, file);
    }
  });
});
