/** What `policy test` says of requests that are no plain FHIR interaction: it has to be what the gateway would say. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { type CaseResult, runCases } from './cases.ts';
import { eveningMs, policyOf } from './policy.fixture.ts';

const yaml = `
version: 1
roles:
  device:
    allow:
      - {name: listening, interactions: [subscribe], types: [Subscription]}
  physician:
    allow:
      - {interactions: [read, search], types: ['*']}
      - {interactions: [subscribe], types: ['*'], classes: [other, results]}
`;
const policy = policyOf(yaml);

function resultOf(one: string, of = policy): CaseResult {
  const [result] = runCases(of, `cases:\n  - {name: it, ${one}}\n`, { file: 'cases.yaml', nowMs: eveningMs });
  assert.ok(result !== undefined);
  return result;
}

describe('a case of a policy', () => {
  it('may be a WebSocket', () => {
    assert.equal(resultOf('roles: [device], path: /fhir/websocket, expect: allow, because: listening').passed, true);
    assert.equal(resultOf('roles: [nobody], path: /fhir/websocket, expect: deny, because: policy').passed, true);
    assert.equal(resultOf('roles: [device], method: POST, path: /fhir/websocket, expect: deny').passed, true);
  });

  it('says that a WebSocket is for nobody who may have some classes, or the data of one patient', () => {
    const classes = resultOf('roles: [physician], path: /fhir/websocket, expect: deny');
    assert.equal(classes.got, 'deny (response-class-policy)');
    const patient = resultOf(
      "roles: [device], path: /fhir/websocket, scopes: 'patient/*.rs', patient: p-1, expect: deny",
    );
    assert.equal(patient.got, 'deny (patient-scope-write)');
  });

  it('says that a WebSocket is for nobody where patients are asked whether they agree', () => {
    const asking = policyOf(`${yaml}consent: {url: 'http://127.0.0.1:1/', onFailure: deny}\n`);
    const got = resultOf('roles: [device], path: /fhir/websocket, expect: deny', asking).got;
    assert.equal(got, 'deny (consent-unseen)');
  });

  it('is no sealed page: nothing here could open it', () => {
    const page = resultOf('roles: [physician], path: /fhir/Observation?_sealed-page=x, expect: allow');
    assert.equal(page.got, 'deny (page-unreadable)');
    assert.equal(resultOf('roles: [physician], path: /fhir/_export/x, expect: deny').got, 'deny (not-found)');
    assert.equal(resultOf('roles: [physician], path: /fhir/Observation?code=x, expect: allow').passed, true);
  });
});
