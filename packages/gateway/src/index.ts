/** Everything that `@watchglass/gateway` offers. */

export { type GatewayConfig, type IssuerConfig, readGatewayConfig } from './config/config.ts';
export { GatewayError, type GatewayErrorCode, gatewayErrorCodes } from './errors.ts';
export { exposedPatientsMax, type Learned, learnExposure, targetsMax } from './exposure/exposure.ts';
export { type Batch, type BatchEntry, parseBatch } from './fhir/batch.ts';
export {
  type Interaction,
  interactionNames,
  permissionBits,
  type Recognition,
  recognise,
} from './fhir/fhir-interaction.ts';
export { patientIdOf } from './fhir/reference.ts';
export { type Grant, judgeScopes, parseScopes, type ScopeVerdict } from './fhir/scope.ts';
export { canonicalise, type Parameter, parseParameters, type Target } from './http/canonical.ts';
export { countMembers, parsePartialJson } from './http/partial-json.ts';
export type { ReplayStore } from './identity/replay-store.ts';
export type { Revoke } from './identity/revocations.ts';
export { startGateway } from './main.ts';
export { type Refusal, type RefusalCode, refusals } from './passage/refusal.ts';
export { type CaseResult, type Expected, runCases, summary } from './policy/cases.ts';
export type { ConsentHook, ConsentQuestion } from './policy/consent.ts';
export { type Considered, type Explanation, explain, type Supposed } from './policy/explain.ts';
export { loadPolicy } from './policy/load-policy.ts';
export { parsePolicy } from './policy/policy.ts';
export { readJsonMap } from './policy/read-json-map.ts';
export { samplePolicyPath } from './policy/sample-policy.ts';
export type { Policy } from './policy/tables.ts';
export type { FrontDoors, RunningGateway, StartOptions } from './running-gateway.ts';
