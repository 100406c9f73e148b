import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { describe, it } from 'node:test';

import { arrangeEvent } from '@watchglass/record';
import { minimiseOutgoing } from '@watchglass/sdk';

import { recognise } from '../fhir/fhir-interaction.ts';
import { actorOf, authenticationEvent, type Captured, capture, interactionEvent, refusalEvent } from './capture.ts';
import type { EventDraftFacts } from './recorder.ts';

const id = '017f22e2-79b0-7cc3-98c4-dc0c0c07398f';
const principal = {
  id: 'dr-ada',
  issuer: 'https://idp.example',
  roles: ['physician'],
  client: 'ehr',
  session: 's-1',
  tokenId: 't-1',
  mfa: true,
  assurance: 'gold',
  methods: ['pwd', 'otp'],
  authenticatedAt: '2026-03-01T08:30:00.000Z',
  grants: [],
} as unknown as Parameters<typeof actorOf>[0];

function captured(): Captured {
  const socket = { remoteAddress: '192.0.2.7', remotePort: 4_711 } as IncomingMessage['socket'];
  const headers = { 'user-agent': 'curl/8.5.0' };
  return capture(
    { headers, socket, method: 'GET' },
    {
      id,
      auditId: id,
      timeMs: 1_772_354_400_000,
      address: '192.0.2.7',
      site: 'ward',
      knownParameters: new Set(),
      knownOperations: new Set(),
    },
  );
}

function interaction(method: string, segments: readonly string[]) {
  const found = recognise({ method, prefix: '/fhir', segments, parameters: [] });
  assert.equal(found.kind, 'interaction');
  return found.interaction;
}

describe('the event of a request', () => {
  it('has its members in the order of the schema: nobody has to arrange it', () => {
    const facts = { status: 200, requestBytes: 0, responseBytes: 2_048, durationMs: 1.5 };
    const outcome = { status: 'success', code: 200 } as const;
    const parts = { captured: captured(), actor: actorOf(principal), parameterNames: ['_count'], outcome, facts };
    const about = { patients: [{ id: 'p-1', classes: ['demographics'] as const, count: 1 }], count: 1, bytes: 2_048 };
    const events: Readonly<Record<string, EventDraftFacts>> = {
      read: interactionEvent({
        ...parts,
        interaction: interaction('GET', ['Patient', 'p-1', '_history', '2']),
        rest: { completes: id, purpose: { code: 'TREAT' }, exposure: about, id },
      }),
      search: interactionEvent({ ...parts, interaction: interaction('GET', ['Patient', 'p-1', 'Observation']) }),
      refusal: refusalEvent({
        captured: captured(),
        kind: 'network',
        operation: 'rate-limited',
        status: 429,
        reason: 'rate-address',
        route: '/fhir/Patient/{id}',
      }),
      authentication: authenticationEvent(captured(), principal),
    };
    for (const [name, draft] of Object.entries(events)) {
      const event = minimiseOutgoing({ v: 1, id, ...draft } as Parameters<typeof minimiseOutgoing>[0], {
        tenant: 'clinic',
      });
      assert.equal(arrangeEvent(event), event, `${name}: ${JSON.stringify(event)}`);
    }
  });
});
