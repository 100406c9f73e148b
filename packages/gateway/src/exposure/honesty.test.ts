/** What an answer can hide whom it is about in: none of it may look like nothing left. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { countMembers, parsePartialJson } from '../http/partial-json.ts';
import { learnExposure } from './exposure.ts';
import { pagesOf } from './exposure-pages.ts';

const json = 'application/fhir+json';

function learn(
  value: unknown,
  options: { contentType?: string; complete?: boolean } = {},
): ReturnType<typeof learnExposure> {
  const bytes =
    value instanceof Uint8Array ? value : Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));
  return learnExposure(bytes, { contentType: options.contentType ?? json, complete: options.complete ?? true });
}

function idsOf(value: unknown): string[] {
  return (learn(value).exposure.patients ?? []).map(({ id }) => id);
}

const about = (reference: unknown, more: object = {}): object => ({
  resourceType: 'Condition',
  id: 'c-1',
  subject: reference,
  ...more,
});

describe('somebody whom no id names', () => {
  for (const [what, resource] of [
    ['an identifier', about({ identifier: { system: 'urn:mrn', value: '1' } })],
    ['a name', about({ display: 'somebody' })],
    [
      'a contained patient',
      about({ reference: '#p' }, { contained: [{ resourceType: 'Patient', id: 'p', name: [{}] }] }),
    ],
    [
      'a contained patient nobody refers to',
      about({ reference: 'Patient/p-1' }, { contained: [{ resourceType: 'Patient' }] }),
    ],
    ['a search', about({ reference: 'Patient?identifier=x' })],
    ['an id that is none', about({ reference: 'Patient/a_b' })],
    ['a urn that is nowhere else', about({ reference: 'urn:uuid:7b1e1a3c-0000-4000-8000-000000000001' })],
    ['a group', about({ reference: 'Group/g-1' })],
    [
      'a reference deep inside',
      { resourceType: 'Basic', extension: [{ valueReference: { type: 'Patient', identifier: {} } }] },
    ],
    ['nothing at all', about(undefined)],
    ['a patient without an id', { resourceType: 'Patient', name: [{}] }],
    ['a patient with an id that is none', { resourceType: 'Patient', id: 'a_b' }],
  ] as const) {
    it(`but ${what} makes the list of patients one that is not whole`, () => {
      const { exposure, unattributed } = learn(resource);
      assert.equal(exposure.truncated, true);
      assert.equal(exposure.count, 1);
      assert.equal(unattributed, true);
    });
  }

  it('is not looked for where nobody is', () => {
    for (const resource of [
      { resourceType: 'Practitioner', id: '1' },
      { resourceType: 'Schedule', id: '1', actor: [{ reference: 'Practitioner/1' }] },
      { resourceType: 'Appointment', id: '1', participant: [{ actor: { display: 'Room 1' } }] },
      { resourceType: 'Observation', id: '1', subject: { reference: 'Device/1' } },
      {
        resourceType: 'Encounter',
        id: '1',
        subject: { reference: 'Patient/p-1', display: 'x' },
        participant: [{ individual: { display: 'Dr' } }],
      },
      {
        resourceType: 'Bundle',
        type: 'searchset',
        total: 0,
        link: [{ relation: 'self', url: 'http://x/fhir/Patient?name=x' }],
      },
    ]) {
      assert.equal(learn(resource).exposure.truncated, undefined, JSON.stringify(resource));
    }
  });
});

describe('a patient', () => {
  it('is found in every place that names one', () => {
    const named = { reference: 'Patient/p-9' };
    for (const resource of [
      { resourceType: 'Parameters', parameter: [{ name: 'x', valueReference: named }] },
      { resourceType: 'Parameters', parameter: [{ part: [{ part: [{ part: [{ resource: about(named) }] }] }] }] },
      {
        resourceType: 'Bundle',
        entry: [
          {
            resource: {
              resourceType: 'Bundle',
              entry: [{ resource: { resourceType: 'Parameters', parameter: [{ resource: about(named) }] } }],
            },
          },
        ],
      },
      { resourceType: 'Bundle', type: 'history', entry: [{ request: { method: 'DELETE', url: 'Patient/p-9' } }] },
      {
        resourceType: 'Bundle',
        type: 'batch-response',
        entry: [{ response: { status: '201', location: 'https://x/fhir/Patient/p-9/_history/1' } }],
      },
      {
        resourceType: 'Bundle',
        entry: [{ fullUrl: 'https://x/fhir/Patient/p-9', resource: { resourceType: 'Patient', gender: 'other' } }],
      },
      { resourceType: 'List', entry: [{ item: named }] },
      { resourceType: 'Group', member: [{ entity: named }] },
      { resourceType: 'Binary', contentType: 'application/pdf', securityContext: named, data: 'AAAA' },
      {
        resourceType: 'DocumentReference',
        context: { related: [named] },
        subject: { reference: 'Patient/p-9' },
        content: [{ attachment: { data: 'AAAA' } }],
      },
      { resourceType: 'Patient', id: 'p-9', link: [{ other: { reference: 'Patient/p-9' } }] },
      about({ reference: 'https://other.example:8443/base/r4/Patient/p-9/_history/3' }),
      { resourceType: 'Observation', contained: [{ resourceType: 'Specimen', subject: named }], subject: named },
      [about(named)],
      { data: { found: [about(named)] } },
    ])
      assert.deepEqual(idsOf(resource), ['p-9'], JSON.stringify(resource));
  });

  it('linked to another exposes both', () => {
    assert.deepEqual(idsOf({ resourceType: 'Patient', id: 'a', link: [{ other: { reference: 'Patient/b' } }] }), [
      'a',
      'b',
    ]);
  });

  it('has the classes of contained resources as well', () => {
    const { exposure } = learn({
      resourceType: 'Encounter',
      id: '1',
      subject: { reference: 'Patient/a' },
      contained: [{ resourceType: 'Condition', id: 'c' }],
    });
    assert.deepEqual(exposure.patients?.[0]?.classes, ['encounters', 'conditions']);
  });
});

describe('an answer that is read in more than one way', () => {
  it('is never whole', () => {
    for (const text of [
      '{"resourceType":"Patient","id":"a","id":"b"}',
      '{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Patient","id":"a"}}],"entry":[]}',
      '{"resourceType":"Patient","id":"a","x":{"y":1,"y" \n: 2}}',
      '[{"resourceType":"Patient","id":"a"}]',
      '{"data":{"PatientList":[{"id":"a","name":"x"}]}}',
      '"a text"',
      'null',
      '{}',
    ])
      assert.equal(learn(text).exposure.truncated, true, text);
  });

  it('only because of a byte order mark is read without it', () => {
    const text = '\ufeff{"resourceType":"Patient","id":"a"}';
    assert.deepEqual(idsOf(text), ['a']);
    assert.equal(learn(text).exposure.truncated, undefined);
    assert.deepEqual(learn(`${text.slice(0, -1)},"name":[{"te`, { complete: false }).exposure.patients?.length, 1);
  });

  it('in UTF-16, or in a type that is no JSON, is truncated', () => {
    const text = '{"resourceType":"Patient","id":"a"}';
    assert.equal(
      learn(Buffer.from(text, 'utf16le'), { contentType: `${json}; charset=utf-16` }).exposure.truncated,
      true,
    );
    for (const contentType of ['text/json', 'application/xml', 'multipart/mixed'])
      assert.equal(learn(text, { contentType }).exposure.truncated, true);
    assert.equal(learn(text, { contentType: 'application/vnd.hl7.v4+json' }).exposure.truncated, undefined);
  });

  it('counts members as they are written', () => {
    assert.equal(countMembers('{"a":1,"a":{"b" : [{"c\\"":":"},"d:"]}}'), 4);
    assert.equal(countMembers(''), 0);
    assert.equal(countMembers('{"a'), 0);
  });
});

describe('an answer that is large or deep', () => {
  it('is read in a time that grows with its length only', () => {
    const shapes: ((count: number) => string)[] = [
      (count) => `{"resourceType":"Basic","a":${'['.repeat(count)}${'1,'.repeat(count)}`,
      (count) => `{"resourceType":"Basic","a":${'['.repeat(count)}${']'.repeat(count)}}`,
      (count) => `{"resourceType":"Basic","a":${'{"a":'.repeat(count)}1${'}'.repeat(count)}}`,
    ];
    for (const shape of shapes) {
      const text = shape(300_000);
      const parseMicros = Math.max(
        1_000,
        leastCpuMicros(() => parses(text)),
      );
      // One that grew with the square would take thousands of times as long as the parser does.
      assert.ok(leastCpuMicros(() => learn(text)) < 50 * parseMicros);
      assert.ok(leastCpuMicros(() => learn(text, { complete: false })) < 50 * parseMicros);
    }
    assert.equal(learn(`${shapes[0]?.(300_000)}`, { complete: false }).exposure.truncated, true);
  });

  it('may be cut inside of a character', () => {
    const whole = Buffer.from(
      JSON.stringify({
        resourceType: 'Bundle',
        entry: [{ resource: { resourceType: 'Patient', id: 'a', name: 'é€😀' } }, { x: 'é€😀' }],
      }),
    );
    for (let cut = whole.indexOf('},{"x"') + 2; cut < whole.length; cut++)
      assert.deepEqual(
        (learn(whole.subarray(0, cut), { complete: false }).exposure.patients ?? []).map(({ id }) => id),
        ['a'],
        String(cut),
      );
    assert.equal(parsePartialJson('{'), undefined);
  });

  it('about more patients than an event can hold goes into several, none left out', () => {
    for (const count of [0, 1, 1_000, 1_024, 1_025, 5_000]) {
      const patients = Array.from({ length: count }, (_, n) => ({
        id: `7b1e1a3c-0000-4000-8000-${String(n).padStart(12, '0')}`,
        classes: ['results' as const],
        count: 1,
      }));
      const pages = pagesOf(patients);
      assert.deepEqual(pages.flat(), patients);
      for (const page of pages) assert.ok(page.length <= 1_024 && JSON.stringify(page).length < 57_000);
    }
  });
});

/** Of three runs, in time of this process alone: others on the machine don't count. */
function leastCpuMicros(run: () => unknown): number {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 3; i++) {
    const before = process.cpuUsage();
    run();
    const { user, system } = process.cpuUsage(before);
    least = Math.min(least, user + system);
  }
  return least;
}

function parses(text: string): boolean {
  try {
    return JSON.parse(text) !== undefined;
  } catch {
    return false;
  }
}
