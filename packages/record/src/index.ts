/**
 * `@watchglass/record`: what an audit event is, and how it is minimised, encoded, committed to and verified. Runs in
 * Node.js and in browsers. This is the whole public list; files and keys are in `@watchglass/record/reader`.
 */

export { type BundleFile, looksLikeBundle, pageDigest, splitBundle, splitPage } from './bundle/bundle-file.ts';
export { type BundleFinding, type BundleFindingCode, bundleFindingTable } from './bundle/bundle-findings.ts';
export type { VerifiedShred } from './bundle/bundle-shreds.ts';
export type { Cosigned as BundleCosigned } from './bundle/bundle-witnesses.ts';
export { sayCompleteness, sayNotProven, sayProven, sayQuery } from './bundle/bundle-words.ts';
export {
  type BundleContents,
  type BundleEvent,
  type BundleProof,
  type BundleQuery,
  type BundleStatements,
  bundleEventsMax,
  type Evidence,
  encodeContents,
  encodeEvidence,
  encodeProof,
  evidenceCharsMax,
  joinEvidence,
  type PartialEvent,
  readEvidence,
  type ShownEvent,
  type ShreddedEvent,
  type ShredEvidence,
  type WholeEvent,
} from './bundle/contents.ts';
export type { VerifiedEvent } from './bundle/open-event.ts';
export { type BundleReport, type BundleTrust, verifyBundle } from './bundle/verify-bundle.ts';
export {
  concatBytes,
  decodeBase64,
  encodeBase64,
  encodeHex,
  equalBytes,
  tryDecodeBase64,
  tryDecodeHex,
} from './bytes.ts';
export { type Checkpoint, formatCheckpoint, parseCheckpoint } from './checkpoint.ts';
export {
  commit,
  commitInto,
  type LeafType,
  leafDataOf,
  leafHashOf,
  type Opening,
  openingBytes,
  originHashOf,
  recordBytesMax,
} from './commitment.ts';
export {
  type CounterName,
  type Counters,
  counterNames,
  countersOf,
  countersOperation,
  countersToChanges,
  isCountersEvent,
} from './counters.ts';
export { arrangeEvent, decode, encode, encodeEvent, encodeEventText, encodeText } from './encode.ts';
export { type ErrorCode, type ErrorDetails, errorTable, type FieldError, RecordError } from './errors.ts';
export * from './event.ts';
export { eventSchema } from './event-schema.ts';
export type { AuditEvent, AuditEventAgent, AuditEventEntity, OperationOutcome } from './fhir.ts';
export {
  commitFields,
  type Disclosure,
  fieldRootOf,
  fieldRootOfDisclosure,
  withhold,
} from './field-commitment.ts';
export { Frontier, type TileNodeSink } from './frontier.ts';
export type { JsonSchema } from './json-schema.ts';
export {
  fateInChain,
  type KeyChain,
  type KeyStatements,
  openKeyChain,
  statementsMax,
} from './key-chain.ts';
export { defaultMinimisation, type MinimisationPolicy, minimise } from './minimise.ts';
export {
  type NoteParts,
  noteSignaturesMax,
  type OpenedNote,
  openNote,
  signNote,
  splitNote,
  type UnverifiedSignature,
  type VerifiedSignature,
} from './note.ts';
export {
  cosignatureVerifierOf,
  cosignerOf,
  formatSignerKey,
  formatVerifierKey,
  generateMlDsaSigner,
  generateSigner,
  type KeyType,
  parseSignerKey,
  parseVerifierKey,
  type Signer,
  sameKey,
  type Verifier,
} from './note-key.ts';
export {
  completeEvent,
  type DraftText,
  draftEvent,
  draftEventText,
  type EventDraft,
  type EventFill,
  parseEvent,
  parseEventText,
  readDraftText,
} from './parse.ts';
export {
  type Cosigned,
  isQuorum,
  openWitnessed,
  type Policy,
  type PolicyLog,
  type PolicyWitness,
  parsePolicy,
  policyEntriesMax,
  type Quorum,
  type WitnessedCheckpoint,
} from './policy.ts';
export {
  formatProof,
  leafHashOfOpening,
  type OpenedProof,
  openCheckpoint,
  openingExtra,
  openProof,
  type Proof,
  type ProofClaim,
  parseProof,
  type Trust,
  type VerifiedProof,
  verifyProof,
} from './proof.ts';
export { type RetentionClass, retentionClasses, retentionClassOf } from './retention.ts';
export {
  fateOf,
  hashRotation,
  openRotation,
  type PinnedKeyFate,
  parseRotation,
  type Rotation,
  type RotationKind,
  rotationKinds,
  signRotation,
} from './rotation.ts';
export { hashSeal, openSeal, parseSeal, type Seal, sealKeyName, signSeal } from './seal.ts';
export { splitJsonArray } from './strict-json.ts';
export { hashSuccession, openSuccession, parseSuccession, type Succession, signSuccession } from './succession.ts';
export { parseTenantId } from './tenant.ts';
export { parseTilePath, type TilePath, tilePath, tileWidth, tileWidthAt } from './tile.ts';
export { proofFromTiles, type TileReader } from './tile-proof.ts';
export { toFhir, toFhirAll } from './to-fhir.ts';
export {
  type ConsistencyClaim,
  emptyRoot,
  foldLevel,
  hashBytes,
  hashChildren,
  hashLeaf,
  type InclusionClaim,
  rootOf,
  verifyConsistency,
  verifyInclusion,
} from './tree.ts';
export { multiproofPlan, type PlacedLeaf, rootOfMultiproof } from './tree-multiproof.ts';
export {
  consistencyPlan,
  consistencyProof,
  foldStep,
  inclusionPlan,
  inclusionProof,
  type NodeReader,
  type ProofStep,
  type TreeNode,
} from './tree-proof.ts';
export { formatUuid, uuidBytes, uuidv7 } from './uuid.ts';
export {
  type AddCheckpoint,
  type Cosignatures,
  consistencyHashesMax,
  formatAddCheckpoint,
  formatSignatureLine,
  formatWitnessSize,
  openCosignatures,
  parseAddCheckpoint,
  parseWitnessSize,
  witnessBytesMax,
  witnessSizeType,
} from './witness-wire.ts';
