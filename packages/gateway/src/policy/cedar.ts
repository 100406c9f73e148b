/**
 * Cedar policies as a second opinion (cedarpolicy.com): an optional package, loaded only where a policy file says `engine: cedar`. They are checked against the shape
 * below before they are used, and can only take away: what the tables don't allow is never asked here.
 *
 * A Cedar policy that fails while it is asked would be left out by Cedar, a `forbid` too: here that denies.
 */
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';

import type * as cedar from '@cedar-policy/cedar-wasm/nodejs';

import { GatewayError } from '../errors.ts';
import { interactionNames } from '../fhir/fhir-interaction.ts';
import type { Engine, EngineAnswer, EngineQuestion } from './tables.ts';

type CedarModule = typeof cedar;

/** What policies may speak of; docs/policy.md explains it. */
export const cedarSchema: string = `
namespace Watchglass {
  entity Role;
  entity User in [Role] { issuer: String, client?: String };
  entity Patient;
  entity Resource in [Patient] { resourceType?: String };
  action ${interactionNames.map((name) => `"${name}"`).join(', ')} appliesTo {
    principal: User,
    resource: Resource,
    context: {
      operation: String,
      changes: Bool,
      breakGlass: Bool,
      purpose?: String,
      address?: ipaddr,
      acr?: String,
      amr: Set<String>,
      mfa: Bool,
      signedInSecondsAgo?: Long,
      unixSeconds: Long,
    }
  };
}`;

/** Throws `policy-invalid` with every problem: Cedar is not installed, or the text doesn't parse, or speaks of what there isn't. */
export function loadCedar(text: string, file: string): Engine {
  const wasm = requireCedar(file);
  const policies = namePolicies(wasm, text, file);
  const checked = wasm.validate({ schema: cedarSchema, policies: { staticPolicies: policies } });
  if (checked.type === 'failure') throw invalid(file, text, checked.errors);
  if (checked.validationErrors.length > 0)
    throw invalid(
      file,
      text,
      checked.validationErrors.map(({ error }) => error),
    );
  const digest = createHash('sha256').update(text).digest('hex');
  // Cedar keeps what it parsed under a name, for good: the same text is kept once.
  const name = `watchglass-${digest}`;
  const parsed = wasm.preparsePolicySet(name, { staticPolicies: policies });
  if (parsed.type === 'failure') throw invalid(file, text, parsed.errors);
  return { digest, text, permits: (question) => ask(wasm, name, question) };
}

function requireCedar(file: string): CedarModule {
  try {
    return createRequire(import.meta.url)('@cedar-policy/cedar-wasm/nodejs') as CedarModule;
  } catch (cause) {
    throw new GatewayError(
      'policy-invalid',
      `${file}: expected the package @cedar-policy/cedar-wasm, which engine: cedar needs; install it beside the gateway`,
      { cause },
    );
  }
}

/** By their `@id`, where they have one, for the event of a denial. */
function namePolicies(wasm: CedarModule, text: string, file: string): Record<string, string> {
  const parts = wasm.policySetTextToParts(text);
  if (parts.type === 'failure') throw invalid(file, text, parts.errors);
  if (parts.policy_templates.length > 0)
    throw new GatewayError('policy-invalid', `${file}: expected policies without slots, got a template`);
  const named: Record<string, string> = {};
  parts.policies.forEach((policy, position) => {
    const json = wasm.policyToJson(policy);
    const id = json.type === 'success' ? json.json.annotations?.id : undefined;
    const name = id !== undefined && /^[!-~]{1,128}$/.test(id) ? id : `policy${position}`;
    if (Object.hasOwn(named, name))
      throw new GatewayError('policy-invalid', `${file}: expected policies with different @id, got one twice`);
    named[name] = policy;
  });
  return named;
}

function ask(wasm: CedarModule, name: string, question: EngineQuestion): EngineAnswer {
  const { principal, interaction, circumstances, patient, breakGlass } = question;
  const { purpose, address, acr, amr, mfa, authenticatedMs, timeMs } = circumstances;
  const user = { type: 'Watchglass::User', id: `${principal.issuer}#${principal.id}` };
  const roles = principal.roles.map((role) => ({ type: 'Watchglass::Role', id: role }));
  const resource = { type: 'Watchglass::Resource', id: resourceId(interaction) };
  const patients = patient === undefined ? [] : [{ type: 'Watchglass::Patient', id: patient }];
  const answer = wasm.statefulIsAuthorized({
    principal: user,
    action: { type: 'Watchglass::Action', id: interaction.name },
    resource,
    context: {
      operation: interaction.operation,
      changes: !interaction.safe,
      breakGlass,
      amr: [...amr],
      mfa,
      unixSeconds: Math.floor(timeMs / 1_000),
      ...(purpose === undefined ? {} : { purpose }),
      ...(address === undefined ? {} : { address: { __extn: { fn: 'ip', arg: address } } }),
      ...(acr === undefined ? {} : { acr }),
      ...(authenticatedMs === undefined ? {} : { signedInSecondsAgo: Math.floor((timeMs - authenticatedMs) / 1_000) }),
    },
    preparsedPolicySetId: name,
    entities: [
      {
        uid: user,
        attrs: { issuer: principal.issuer, ...(principal.client === undefined ? {} : { client: principal.client }) },
        parents: roles,
      },
      ...roles.map((uid) => ({ uid, attrs: {}, parents: [] })),
      {
        uid: resource,
        attrs: interaction.type === undefined ? {} : { resourceType: interaction.type },
        parents: patients,
      },
      ...patients.map((uid) => ({ uid, attrs: {}, parents: [] })),
    ],
  });
  if (answer.type === 'failure') return { permitted: false, by: 'cedar-failed' };
  const { decision, diagnostics } = answer.response;
  const [failed] = diagnostics.errors;
  if (failed !== undefined) return { permitted: false, by: failed.policyId };
  return { permitted: decision === 'allow', by: diagnostics.reason[0] };
}

function resourceId({ type, id }: EngineQuestion['interaction']): string {
  if (type === undefined) return '*';
  return id === undefined ? type : `${type}/${id}`;
}

/** Cedar's own words name what stands in the policy, which is no secret. */
function invalid(file: string, text: string, errors: readonly cedar.DetailedError[]): GatewayError {
  const lines = errors.slice(0, 10).map(({ message, sourceLocations }) => {
    const start = sourceLocations?.[0]?.start;
    const at = start === undefined ? '' : `line ${text.slice(0, start).split('\n').length}: `;
    return `${file}: ${at}expected a Cedar policy, got: ${message.slice(0, 300)}`;
  });
  return new GatewayError('policy-invalid', lines.join('\n'));
}
