import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { canonicalise } from '../http/canonical.ts';
import { type Interaction, permissionBits, type Recognition, recognise } from './fhir-interaction.ts';
import { resourceTypes } from './fhir-types.ts';

function recognition(method: string, target: string): Recognition {
  const found = canonicalise(target);
  if (found.kind === 'refused') throw new Error(`${target} is not canonical: ${found.reason}`);
  const [, ...segments] = found.segments;
  return recognise({ method, prefix: '/fhir', segments, parameters: found.parameters });
}

function interaction(method: string, target: string): Interaction {
  const found = recognition(method, target);
  if (found.kind !== 'interaction') throw new Error(`${method} ${target} is ${found.kind}`);
  return found.interaction;
}

// method, target → operation, action, letters of SMART, safe, route
const table: readonly (readonly [string, string, string, string, string, boolean, string])[] = [
  ['GET', '/fhir/Patient/1', 'read', 'read', 'r', true, '/fhir/Patient/{id}'],
  ['HEAD', '/fhir/Patient/1', 'read', 'read', 'r', true, '/fhir/Patient/{id}'],
  ['GET', '/fhir/Patient/1/_history/2', 'vread', 'read', 'r', true, '/fhir/Patient/{id}/_history/{version}'],
  ['GET', '/fhir/Patient/1/_history', 'history-instance', 'read', 'r', true, '/fhir/Patient/{id}/_history'],
  ['GET', '/fhir/Patient/_history', 'history-type', 'execute', 's', true, '/fhir/Patient/_history'],
  ['GET', '/fhir/_history', 'history-system', 'execute', 's', true, '/fhir/_history'],
  ['GET', '/fhir/Patient?name=a', 'search-type', 'execute', 's', true, '/fhir/Patient'],
  ['POST', '/fhir/Patient/_search', 'search-type', 'execute', 's', true, '/fhir/Patient/_search'],
  ['GET', '/fhir?_type=Patient', 'search-system', 'execute', 's', true, '/fhir/'],
  ['POST', '/fhir/_search', 'search-system', 'execute', 's', true, '/fhir/_search'],
  ['GET', '/fhir/Patient/1/Observation', 'search-compartment', 'execute', 's', true, '/fhir/Patient/{id}/Observation'],
  ['GET', '/fhir/Patient/1/*', 'search-compartment', 'execute', 's', true, '/fhir/Patient/{id}/*'],
  [
    'POST',
    '/fhir/Patient/1/Observation/_search',
    'search-compartment',
    'execute',
    's',
    true,
    '/fhir/Patient/{id}/Observation/_search',
  ],
  ['POST', '/fhir/Patient', 'create', 'create', 'c', false, '/fhir/Patient'],
  ['PUT', '/fhir/Patient/1', 'update', 'update', 'u', false, '/fhir/Patient/{id}'],
  ['PATCH', '/fhir/Patient/1', 'patch', 'update', 'u', false, '/fhir/Patient/{id}'],
  ['DELETE', '/fhir/Patient/1', 'delete', 'delete', 'd', false, '/fhir/Patient/{id}'],
  ['PUT', '/fhir/Patient?identifier=1', 'conditional-update', 'update', 'us', false, '/fhir/Patient'],
  ['PATCH', '/fhir/Patient?identifier=1', 'conditional-patch', 'update', 'us', false, '/fhir/Patient'],
  ['DELETE', '/fhir/Patient?identifier=1', 'conditional-delete', 'delete', 'ds', false, '/fhir/Patient'],
  ['POST', '/fhir', 'batch', 'execute', '', false, '/fhir/'],
  ['GET', '/fhir/metadata', 'capabilities', 'read', '', true, '/fhir/metadata'],
  [
    'GET',
    '/fhir/.well-known/smart-configuration',
    'smart-configuration',
    'read',
    '',
    true,
    '/fhir/.well-known/smart-configuration',
  ],
  ['GET', '/fhir/Patient/1/$everything', '$everything', 'execute', 'rs', true, '/fhir/Patient/{id}/$everything'],
  ['POST', '/fhir/Patient/$match', '$match', 'execute', 'rs', true, '/fhir/Patient/$match'],
  ['POST', '/fhir/$process-message', '$process-message', 'execute', 'cruds', false, '/fhir/$process-message'],
];

describe('the table of interactions', () => {
  for (const [method, target, operation, action, letters, safe, route] of table) {
    it(`${method} ${target} is ${operation}`, () => {
      const found = interaction(method, target);
      assert.deepEqual(
        [found.operation, found.action, found.permissions, found.safe, found.route],
        [operation, action, permissionBits(letters), safe, route],
      );
    });
  }

  it('names the resource, its version, and the compartment', () => {
    const vread = interaction('GET', '/fhir/Patient/1/_history/2');
    assert.deepEqual([vread.type, vread.id, vread.version], ['Patient', '1', '2']);
    assert.deepEqual(interaction('GET', '/fhir/Patient/1/Observation').compartment, { type: 'Patient', id: '1' });
    assert.equal(interaction('GET', '/fhir/Patient/1/*').type, undefined);
  });

  it('has no row for anything else', () => {
    const nothing = [
      '/fhir/patient/1',
      '/fhir/Patients',
      '/fhir/Patient/',
      '/fhir/',
      '/fhir/Patient//1',
      '/fhir/Patient/a_b',
      `/fhir/Patient/${'a'.repeat(65)}`,
      '/fhir/Patient/1/observation',
      '/fhir/Patient/1/Observation/2',
      '/fhir/Patient/1/_history/2/3',
      '/fhir/$Everything',
      '/fhir/$123',
      '/fhir/Metadata',
      '/fhir/.well-known/x',
      '/fhir/Patient/%C3%A4',
    ];
    for (const target of nothing) assert.equal(recognition('GET', target).kind, 'no-route', target);
    assert.deepEqual(recognition('PUT', '/fhir/Patient'), { kind: 'method-not-allowed', allow: 'GET, POST, HEAD' });
    assert.deepEqual(recognition('POST', '/fhir/Patient/1'), {
      kind: 'method-not-allowed',
      allow: 'GET, PUT, PATCH, DELETE, HEAD',
    });
    assert.equal(recognition('DELETE', '/fhir/metadata').kind, 'method-not-allowed');
  });

  it('knows the 146 types of R4', () => {
    assert.equal(resourceTypes.size, 146);
  });

  it('never lets an id into a route, whatever the path', () => {
    const segment = fc.oneof(
      fc.constantFrom('Patient', 'Observation', '_history', '_search', '$everything', 'metadata', '*', ''),
      fc.constant('SECRET-1'),
      fc.string({ maxLength: 5 }),
    );
    fc.assert(
      fc.property(
        fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'),
        fc.array(segment, { maxLength: 6 }),
        (method, segments) => {
          const found = recognise({ method, prefix: '/fhir', segments, parameters: [] });
          if (found.kind !== 'interaction') return;
          assert.equal(found.interaction.route.includes('SECRET'), false);
          if (found.interaction.type !== undefined) assert.ok(resourceTypes.has(found.interaction.type));
        },
      ),
      { numRuns: 3_000 },
    );
  });
});
