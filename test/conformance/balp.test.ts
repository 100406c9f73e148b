/**
 * IHE Basic Audit Log Patterns: a snapshot walk that takes all examples of the guide and refuses spoiled ones, and then
 * takes what `toFhir` writes for every interaction a gateway sees.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { before, describe, test } from 'node:test';
import { type Event, parseEvent, toFhir, toFhirAll } from '@watchglass/record';
import { BalpValidator } from './balp-validator.fixture.ts';

const folder = new URL('../../../shared/reference/balp/', import.meta.url);
const skip = existsSync(folder) ? false : 'needs ../shared/reference/balp';
const profile = (name: string): string =>
  `https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.${name}`;
const plain = 'http://hl7.org/fhir/StructureDefinition/AuditEvent';

const base: Event = parseEvent({
  v: 1,
  id: '01890a5d-ac96-774b-bcce-b302099a8057',
  time: '2026-03-01T08:30:00.250Z',
  tenant: 'clinic-a',
  emitter: { id: 'gateway-1/0', seq: 7 },
  kind: 'api',
  action: 'read',
  operation: 'read',
  outcome: { status: 'success', code: 200 },
  actor: {
    id: 'person-17',
    type: 'human',
    roles: ['physician'],
    client: 'ehr',
    tokenId: 'jti-1',
    onBehalfOf: [{ id: 'agent-3', type: 'agent' }],
  },
  source: { address: '127.1.0.4', port: 51_000 },
  site: 'gateway-1.example',
  purpose: { code: 'TREAT', justification: 'encounter-9' },
  request: { method: 'GET', route: '/fhir/Observation/{id}', status: 200, id: 'r-1' },
});

const observation = { type: 'Observation', id: 'o-1', role: 'object' };
const patients = [{ id: 'wg-pt-000417', classes: ['results' as const], count: 2 }, { id: 'wg-pt-000418' }];
const actionOf = { create: 'create', update: 'update', patch: 'update', delete: 'delete' } as const;

/** Operation, profile without `Patient`. */
const covered = [
  ['read', 'Read'],
  ['vread', 'Read'],
  ['create', 'Create'],
  ['update', 'Update'],
  ['patch', 'Update'],
  ['delete', 'Delete'],
  ['search-type', 'Query'],
  ['search-system', 'Query'],
] as const;

describe('Basic Audit Log Patterns', { skip }, () => {
  let validator: BalpValidator;

  const assertValid = (event: Event, expected: string): void => {
    for (const resource of toFhirAll(parseEvent(event))) {
      assert.deepEqual(resource.meta.profile, [expected]);
      assert.deepEqual(validator.validate(JSON.parse(JSON.stringify(resource))), []);
    }
  };

  before(() => {
    validator = new BalpValidator(folder);
  });

  test('the validator takes all 46 examples of the guide', () => {
    assert.equal(validator.examples.length, 46);
    for (const { name, resource } of validator.examples) assert.deepEqual(validator.validate(resource), [], name);
  });

  test('the validator refuses every example that lost or changed what its profile asks for', () => {
    for (const { name, resource } of validator.examples) {
      const spoiled: Record<string, unknown>[] = [
        { ...resource, type: undefined },
        { ...resource, recorded: 'yesterday' },
        { ...resource, outcome: '5' },
        { ...resource, action: 'X' },
        { ...resource, agent: [] },
        { ...resource, agent: undefined },
        { ...resource, source: {} },
        { ...resource, more: 1 },
        {
          ...resource,
          agent: (resource.agent as unknown[]).map((agent) => ({ ...(agent as object), requestor: undefined })),
        },
        {
          ...resource,
          entity: ((resource.entity ?? [{}]) as unknown[]).map((entity) => ({
            ...(entity as object),
            what: {},
            query: 1,
          })),
        },
      ];
      // The profiles of token use leave type and subtype open.
      if (!/accessTokenUse/.test(JSON.stringify(resource.meta))) {
        const other = { system: 'urn:x', code: 'x' };
        spoiled.push({ ...resource, type: other }, { ...resource, subtype: [other] });
      }
      for (const [i, bad] of spoiled.entries()) {
        const clean = JSON.parse(JSON.stringify(bad)) as Record<string, unknown>;
        assert.notDeepEqual(validator.validate(clean), [], `${name}, ${i}`);
      }
    }
  });

  test('the validator refuses an example under another pattern’s profile', () => {
    const example = validator.examples.find(({ name }) => name.includes('auditBasicReadServer'))?.resource;
    assert.ok(example);
    for (const name of ['PatientCreate', 'PatientUpdate', 'PatientDelete', 'PatientQuery']) {
      assert.notDeepEqual(validator.validateAs(example, profile(name)), []);
    }
  });

  for (const [operation, name] of covered) {
    const action = Object.hasOwn(actionOf, operation) ? actionOf[operation as keyof typeof actionOf] : 'read';
    const query = name === 'Query';
    const targets = query ? [{ type: 'Observation', role: 'query' }] : [observation];
    const request = query
      ? { method: 'GET', route: '/fhir/Observation', query: ['patient', '_count'], status: 200, id: 'r-1' }
      : { ...base.request, method: 'X' };
    const event: Event = { ...base, operation, action, targets, request };

    test(`${operation} without a patient is ${name}`, () => assertValid(event, profile(name)));

    test(`${operation} with patients is Patient${name}, one resource for each`, () => {
      const exposed: Event = { ...event, exposure: { patients, count: 3, truncated: true } };
      assert.equal(toFhirAll(exposed).length, 2);
      assertValid(exposed, profile(`Patient${name}`));
    });

    test(`${operation} by a service, with hardly anything known, is valid`, () => {
      const { source: _source, site: _site, purpose: _purpose, request: _request, ...little } = event;
      assertValid({ ...little, actor: { id: 'nightly-job', type: 'service' } }, profile(name));
    });

    for (const status of ['denied', 'failed', 'error'] as const) {
      test(`${operation} that was ${status} is a plain AuditEvent with an OperationOutcome`, () => {
        const outcome = { status, code: status === 'denied' ? 403 : 503, reason: 'policy-denied' };
        assertValid({ ...event, outcome }, plain);
        assertValid({ ...event, outcome: { status }, exposure: { patients } }, plain);
        assert.equal(toFhir({ ...event, outcome }).contained?.[0]?.resourceType, 'OperationOutcome');
      });
    }
  }

  test('what BALP has no pattern for is a plain AuditEvent', () => {
    for (const operation of [
      'history-instance',
      'history-type',
      'capabilities',
      '$everything',
      'batch',
      'transaction',
      'operation',
    ]) {
      assertValid({ ...base, operation, action: 'execute', targets: [observation] }, plain);
      assertValid({ ...base, operation, exposure: { patients } }, plain);
    }
    for (const kind of ['auth', 'access-change', 'data', 'file', 'network', 'review', 'system'] as const) {
      assertValid({ ...base, kind, operation: 'login', action: 'execute' }, plain);
    }
    assertValid({ ...base, operation: 'read' }, plain);
  });

  test('several targets, versions and reports are valid', () => {
    const targets = [
      { type: 'DiagnosticReport', id: 'd-1', version: '3' },
      observation,
      { type: 'Encounter', id: 'e-1', patient: 'wg-pt-000417' },
    ];
    assertValid({ ...base, operation: 'vread', targets }, profile('PatientRead'));
    assertValid({ ...base, operation: 'search-type', targets }, profile('PatientQuery'));
  });
});
