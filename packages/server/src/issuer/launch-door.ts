/**
 * `POST /launches`: an EHR prepares a launch for one of its people (SMART App Launch 2.2 leaves to each EHR how). It shows an access token of its own, got as a backend
 * service with the scope `watchglass/launches`; what it may say is who works on whose record with which application. The answer is `{launch, expiresAt}`, and the EHR then
 * opens the application with `iss` (the FHIR base) and `launch`.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TenantId } from '@watchglass/record';
import { jwtVerify } from 'jose';
import { z } from 'zod';
import type { Access, Person, RecordOwn } from '../access/access.ts';
import { sourceOf } from '../access/change.ts';
import type { World } from '../world/world.ts';
import { createAttemptLimit } from './attempt-limit.ts';
import { apiAudience } from './claims.ts';
import { type IssuerClient, launchesScope } from './issuer-client.ts';
import type { Launches } from './launches.ts';
import { addressOf, countedAs, readBody } from './request.ts';
import { issuerAlgorithm, type SigningKey } from './signing-key.ts';

export const launchesPath = '/launches';

const fhirId = z.string().regex(/^[A-Za-z0-9\-.]{1,64}$/);
const orderSchema = z.strictObject({
  client: z.string().min(1).max(64),
  person: z.string().min(1).max(64),
  patient: fhirId.optional(),
  encounter: fhirId.optional(),
  intent: z
    .string()
    .regex(/^[!-~]{1,64}$/)
    .optional(),
  needPatientBanner: z.boolean().default(true),
});

export function createLaunchDoor(parts: {
  readonly issuer: string;
  readonly signingKey: SigningKey;
  readonly people: Pick<Access['people'], 'get' | 'find'>;
  readonly clients: readonly IssuerClient[];
  readonly launches: Launches;
  readonly world: World;
  readonly record: RecordOwn;
  readonly homeTenant: TenantId;
}): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  const { people, clients, launches, world } = parts;
  const limit = createAttemptLimit(world.clock);

  const ehrOf = async (request: IncomingMessage): Promise<string | undefined> => {
    const [, token] = /^Bearer ([\w.-]+)$/.exec(request.headers.authorization ?? '') ?? [];
    if (token === undefined) return undefined;
    try {
      const { payload } = await jwtVerify(token, parts.signingKey.publicKeys, {
        issuer: parts.issuer,
        audience: apiAudience,
        algorithms: [issuerAlgorithm],
        typ: 'at+jwt',
        requiredClaims: ['exp', 'sub', 'client_id'],
        currentDate: new Date(world.clock.now()),
      });
      const { client_id: id, sub, scope, cnf } = payload;
      const isService = id === sub && typeof scope === 'string' && scope.split(' ').includes(launchesScope);
      // One that is bound to a key needs a proof, which is not read here.
      return isService && cnf === undefined && clients.some((one) => one.id === id && one.ehr === true)
        ? String(id)
        : undefined;
    } catch {
      return undefined;
    }
  };
  const personOf = (name: string): Person | undefined => {
    const person = people.get(name) ?? people.find(name);
    return person?.disabled === false ? person : undefined;
  };

  return async (request, response) => {
    if (request.method !== 'POST') {
      response.setHeader('allow', 'POST');
      return answer(response, 405, { error: 'invalid_request', error_description: 'expected POST' });
    }
    const ehr = await ehrOf(request);
    if (ehr === undefined) {
      const waitMs = limit.take(countedAs(request));
      if (waitMs > 0) response.setHeader('retry-after', String(Math.ceil(waitMs / 1_000)));
      else await say(request, { ehr: 'unknown', reason: 'launch-token' });
      response.setHeader('www-authenticate', `Bearer scope="${launchesScope}"`);
      return answer(response, waitMs > 0 ? 429 : 401, { error: 'invalid_token' });
    }
    const order = orderSchema.safeParse(jsonOf(await readBody(request, 'application/json')));
    if (!order.success) {
      const [issue] = order.error.issues;
      await say(request, { ehr, reason: 'launch-order' });
      return answer(response, 400, {
        error: 'invalid_request',
        error_description: `expected client and person, and maybe patient, encounter, intent and needPatientBanner; at ${issue?.path.join('/') || 'the body'}: ${issue?.code ?? 'invalid'}`,
      });
    }
    const { client, person: name, needPatientBanner, ...whose } = order.data;
    const person = personOf(name);
    const isClient = clients.some((one) => one.id === client && one.redirectUris.length > 0);
    if (person === undefined || !isClient) {
      await say(request, { ehr, reason: isClient ? 'launch-person' : 'launch-client' });
      return answer(response, 422, {
        error: 'invalid_request',
        error_description: isClient ? 'nobody in force has this id or username' : 'no application has this client id',
      });
    }
    await say(request, { ehr, person, client, ...(whose.patient === undefined ? {} : { patient: whose.patient }) });
    const { patient, encounter, intent } = whose;
    const made = launches.make({
      ehr,
      client,
      person: person.id,
      needPatientBanner,
      ...(patient === undefined ? {} : { patient }),
      ...(encounter === undefined ? {} : { encounter }),
      ...(intent === undefined ? {} : { intent }),
    });
    answer(response, 201, { launch: made.launch, expiresAt: new Date(made.untilMs).toISOString() });
  };

  /** Before the launch is: what can't be recorded is not prepared. */
  function say(
    request: IncomingMessage,
    said: { ehr: string; reason?: string; person?: Person; client?: string; patient?: string },
  ): Promise<void> {
    const { ehr, reason, person, client, patient } = said;
    return parts.record({
      tenant: person?.tenant ?? parts.homeTenant,
      kind: 'auth',
      action: 'create',
      operation: 'launch-made',
      outcome: reason === undefined ? { status: 'success' } : { status: 'denied', reason },
      actor: {
        id: ehr,
        type: 'service',
        ...(ehr === 'unknown' ? {} : { client: ehr }),
        authentication: { method: 'bearer' },
      },
      targets: [
        ...(person === undefined ? [] : [{ type: 'Person', id: person.id, role: 'object' }]),
        ...(client === undefined ? [] : [{ type: 'Client', id: client, role: 'receiver' }]),
        ...(patient === undefined ? [] : [{ type: 'Patient', id: patient, patient, role: 'object' }]),
      ],
      ...sourceOf(addressOf(request)),
    });
  }
}

function jsonOf(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? '');
  } catch {
    return undefined;
  }
}

function answer(response: ServerResponse, status: number, body: object): void {
  response.statusCode = status;
  response.setHeader('content-type', 'application/json');
  response.setHeader('cache-control', 'no-store');
  response.end(JSON.stringify(body));
}
