import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';
import { patientIdOf } from '../fhir/reference.ts';
import { parsePartialJson } from '../http/partial-json.ts';
import { exposedPatientsMax, learnExposure, targetsMax } from './exposure.ts';

const json = 'application/fhir+json; charset=utf-8';

function learn(
  value: unknown,
  options: { contentType?: string; complete?: boolean } = {},
): ReturnType<typeof learnExposure> {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return learnExposure(Buffer.from(text), {
    contentType: options.contentType ?? json,
    complete: options.complete ?? true,
  });
}

function patientsOf(value: unknown): string[] {
  return (learn(value).exposure.patients ?? []).map(({ id }) => id);
}

describe('a single resource', () => {
  it('that is a patient exposes that patient', () => {
    const { exposure, targets, types } = learn({ resourceType: 'Patient', id: 'p-1', meta: { versionId: '3' } });
    assert.deepEqual(exposure.patients, [{ id: 'p-1', classes: ['demographics'], count: 1 }]);
    assert.deepEqual(targets, [
      { type: 'Patient', id: 'p-1', version: '3', patient: 'p-1', classes: ['demographics'], role: 'object' },
    ]);
    assert.deepEqual([...types], ['Patient']);
  });

  it('exposes who it is about, whichever field says so', () => {
    for (const field of ['subject', 'patient', 'beneficiary', 'individual', 'for']) {
      assert.deepEqual(
        patientsOf({ resourceType: 'Observation', id: '1', [field]: { reference: 'Patient/p-1' } }),
        ['p-1'],
        field,
      );
    }
    assert.deepEqual(
      patientsOf({
        resourceType: 'Appointment',
        id: '1',
        participant: [{ actor: { reference: 'Practitioner/x' } }, { actor: { reference: 'Patient/p-2' } }],
      }),
      ['p-2'],
    );
    assert.deepEqual(
      patientsOf({
        resourceType: 'Group',
        member: [{ entity: { reference: 'Patient/a' } }, { entity: { reference: 'Patient/b' } }],
      }).sort(),
      ['a', 'b'],
    );
  });

  it('puts the subject before others it mentions', () => {
    const { targets } = learn({
      resourceType: 'Observation',
      id: '1',
      performer: [{ reference: 'Patient/mother' }],
      subject: { reference: 'Patient/child' },
    });
    assert.equal(targets[0]?.patient, 'child');
  });

  it('says which kind of data it holds, sensitivity labels included', () => {
    const { exposure } = learn({
      resourceType: 'DocumentReference',
      id: '1',
      meta: { security: [{ code: 'PSY' }, { code: 'N' }] },
      category: [{ coding: [{ code: 'clinical-note' }] }],
      subject: { reference: 'Patient/p-1' },
    });
    assert.deepEqual(exposure.patients?.[0]?.classes, ['documents', 'behavioral-health', 'notes']);
  });

  it('about somebody that names nobody is unattributed', () => {
    assert.equal(learn({ resourceType: 'Observation', id: '1' }).unattributed, true);
    assert.equal(learn({ resourceType: 'Practitioner', id: '1' }).unattributed, false);
    assert.equal(
      learn({ resourceType: 'Observation', id: '1', subject: { identifier: { value: 'MRN-1' } } }).unattributed,
      true,
    );
  });

  it('is never repeated but for ids that are ids', () => {
    const { exposure, targets, types } = learn({
      resourceType: 'Secret name',
      id: 'John Doe',
      subject: { reference: 'Patient/John Doe' },
    });
    assert.equal(JSON.stringify([exposure, targets, [...types]]).includes('John'), false);
    assert.equal(JSON.stringify([...types]).includes('Secret'), false);
  });
});

describe('a Bundle', () => {
  it('is counted entry by entry, other Bundles and Parameters inside it too', () => {
    const observation = (patient: string): object => ({
      resourceType: 'Observation',
      id: `o-${patient}`,
      subject: { reference: `Patient/${patient}` },
    });
    const { exposure } = learn({
      resourceType: 'Bundle',
      entry: [
        { resource: observation('a') },
        {
          resource: { resourceType: 'Bundle', entry: [{ resource: observation('b') }, { resource: observation('a') }] },
        },
        {
          resource: {
            resourceType: 'Parameters',
            parameter: [{ resource: observation('c') }, { part: [{ resource: observation('d') }] }],
          },
        },
        { resource: { resourceType: 'OperationOutcome' } },
        { response: { status: '200' } },
      ],
    });
    assert.equal(exposure.count, 5);
    assert.deepEqual(Object.fromEntries((exposure.patients ?? []).map(({ id, count }) => [id, count])), {
      a: 2,
      b: 1,
      c: 1,
      d: 1,
    });
  });

  it('may name its patients by urn:uuid', () => {
    const uuid = '7b1e1a3c-0000-4000-8000-000000000001';
    const entry = [
      {
        fullUrl: 'urn:uuid:x',
        resource: { resourceType: 'Observation', id: 'o', subject: { reference: `urn:uuid:${uuid}` } },
      },
      { fullUrl: `urn:uuid:${uuid}`, resource: { resourceType: 'Patient', id: 'p-1' } },
    ];
    assert.deepEqual(learn({ resourceType: 'Bundle', entry }).exposure.patients, [
      { id: 'p-1', classes: ['results', 'demographics'], count: 2 },
    ]);
  });

  it('with more patients than an event may hold says truncated, and counts all resources', () => {
    const entry = Array.from({ length: exposedPatientsMax + 5 }, (_, n) => ({
      resource: { resourceType: 'Patient', id: `p-${n}` },
    }));
    const { exposure, targets } = learn({ resourceType: 'Bundle', entry });
    assert.equal(exposure.patients?.length, exposedPatientsMax);
    assert.equal(exposure.truncated, true);
    assert.equal(exposure.count, exposedPatientsMax + 5);
    assert.equal(targets.length, targetsMax);
  });

  it('that was cut off tells what it can', () => {
    const entry = Array.from({ length: 50 }, (_, n) => ({
      resource: { resourceType: 'Patient', id: `p-${n}`, name: [{ text: 'a "quoted" \\ name, with {braces]' }] },
    }));
    const text = JSON.stringify({ resourceType: 'Bundle', entry });
    for (let cut = 100; cut < text.length; cut += 97) {
      const { exposure } = learn(text.slice(0, cut), { complete: false });
      assert.equal(exposure.truncated, true);
      const whole = Math.floor((cut - 33) / 108);
      assert.ok(
        (exposure.patients?.length ?? 0) >= Math.min(whole - 1, 49),
        `${exposure.patients?.length} of ${whole} at ${cut}`,
      );
    }
  });
});

describe('what cannot be read', () => {
  it('is truncated, never silence', () => {
    for (const [body, contentType] of [
      ['<Patient/>', 'application/fhir+xml'],
      ['{broken', json],
      ['text', 'text/plain'],
      ['%PDF', 'application/pdf'],
    ] as const) {
      assert.equal(learn(body, { contentType }).exposure.truncated, true, contentType);
    }
    assert.equal(learnExposure(Buffer.from('{}'), { contentType: undefined, complete: true }).exposure.truncated, true);
    assert.equal(
      learnExposure(new Uint8Array(), { contentType: undefined, complete: true }).exposure.truncated,
      undefined,
    );
  });

  it('of bulk NDJSON is only the broken line', () => {
    const lines = '{"resourceType":"Patient","id":"a"}\n{broken\n{"resourceType":"Patient","id":"b"}\n';
    const { exposure } = learn(lines, { contentType: 'application/fhir+ndjson' });
    assert.deepEqual(
      exposure.patients?.map(({ id }) => id),
      ['a', 'b'],
    );
    assert.equal(exposure.truncated, true);
  });

  it('never makes it throw, whatever the bytes', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        fc.boolean(),
        (bytes, complete) => void learnExposure(bytes, { contentType: json, complete }),
      ),
      { numRuns: 1_000 },
    );
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => void learn(value)),
      { numRuns: 1_000 },
    );
    learn('['.repeat(500_000), { complete: false });
  });

  it('a resource with any nesting is walked', () => {
    const resource = fc.letrec((tie) => ({
      node: fc.oneof(
        { depthSize: 'small' },
        fc.constant({ reference: 'Patient/deep' }),
        fc.record({ a: tie('node'), b: fc.array(tie('node'), { maxLength: 3 }) }),
      ),
    })).node;
    fc.assert(
      fc.property(resource, (node) => {
        const expected = JSON.stringify(node).includes('Patient/deep') ? ['deep'] : [];
        assert.deepEqual(patientsOf({ resourceType: 'Basic', id: '1', extension: [node] }), expected);
      }),
      { numRuns: 500 },
    );
  });
});

describe('a reference', () => {
  it('names a patient in any of its forms', () => {
    for (const form of [
      'Patient/p-1',
      'https://x/fhir/Patient/p-1',
      'Patient/p-1/_history/2',
      'http://127.0.0.1:1/fhir/Patient/p-1/_history/2',
    ]) {
      assert.equal(patientIdOf(form), 'p-1', form);
    }
    for (const form of [
      'Patient/',
      'Patients/1',
      'XPatient/1',
      'Practitioner/1',
      '#p',
      'urn:uuid:1',
      'Patient?identifier=1',
      'Patient/a b',
      'Patient/1/x',
      'Patient/1/_history',
      'Patient/1/_history/2/3',
    ]) {
      assert.equal(patientIdOf(form), undefined, form);
    }
  });
});

describe('the beginning of a JSON text', () => {
  it('holds only what the whole text holds', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), fc.nat(), (value, at) => {
        const text = JSON.stringify([value, value]);
        const partial = parsePartialJson(text.slice(0, at % (text.length + 1)));
        if (partial === undefined) return;
        const inner = JSON.stringify(partial).replace(/[\]}]+$/, '');
        assert.ok(text.startsWith(inner) || inner === '[', `${inner} in ${text}`);
      }),
      { numRuns: 3_000 },
    );
  });
});
