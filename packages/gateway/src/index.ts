/** Everything that `@watchglass/gateway` offers. */
export { type Batch, type BatchEntry, parseBatch } from './batch.ts';
export { canonicalise, type Parameter, parseParameters, type Target } from './canonical.ts';
export { type GatewayConfig, type IssuerConfig, readGatewayConfig } from './config.ts';
export { GatewayError, type GatewayErrorCode, gatewayErrorCodes } from './errors.ts';
export { exposedPatientsMax, type Learned, learnExposure, targetsMax } from './exposure.ts';
export { type Interaction, interactionNames, permissionBits, type Recognition, recognise } from './fhir-interaction.ts';
export { type RunningGateway, type StartOptions, startGateway } from './main.ts';
export { countMembers, parsePartialJson } from './partial-json.ts';
export { type Policy, parsePolicy } from './policy.ts';
export { patientIdOf } from './reference.ts';
export { type Refusal, type RefusalCode, refusals } from './refusal.ts';
export { samplePolicyPath } from './sample-policy.ts';
export { type Grant, judgeScopes, parseScopes, type ScopeVerdict } from './scope.ts';
