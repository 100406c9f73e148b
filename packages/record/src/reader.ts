/**
 * `@watchglass/record/reader`: the bytes of a ledger, read and written (docs/format.md). Node only; needs nothing of the
 * server. The server's ledger is built on the same codec.
 */
export {
  type BlockHeader,
  type BlockInput,
  type BlockScope,
  blockPlaintextBytesMax,
  blockRangesMax,
  eventsOf,
  forEachRecord,
  type IndexRange,
  openBlock,
  parseBlockHeader,
  sealBlock,
  sealBlockBeside,
} from './codec/block.ts';
export {
  type EmitterRun,
  type EncodedGroup,
  encodeGroup,
  encodeMaskedHeader,
  encodeSegmentHeader,
  type Group,
  type GroupTenant,
  groupHeaderBytes,
  groupMaskOf,
  maskGroup,
  type ParsedGroup,
  parseGroup,
  parseSegmentHeader,
  segmentHeaderBytes,
  segmentSaltBytes,
} from './codec/group.ts';
export {
  type HeldHeader,
  type HeldScope,
  heldPlaintextBytesMax,
  holdSeedData,
  openHeld,
  openHoldTerms,
  parseHeldHeader,
  parseHoldTerms,
  sealHeld,
  sealHoldTerms,
} from './codec/hold-copy.ts';
export { isInRanges, parseRanges } from './codec/index-ranges.ts';
export {
  type Destruction,
  findKek,
  isKeeperFault,
  type Kek,
  type KekFinder,
  type Keyring,
  type Keyrings,
  kekIdOf,
  kekOfBytes,
  keyringOf,
  localKek,
  sharedKeyring,
  wrapOnly,
} from './codec/kek.ts';
export { blockKeyOf, openingKeyOf, StepKeys, stepKeyOf } from './codec/key-tree.ts';
export { emptyManifest, encodeManifest, type Manifest, type ManifestTenant, parseManifest } from './codec/manifest.ts';
export {
  blockFileName,
  commitmentFileName,
  commitmentsPerFile,
  heldFileName,
  holdIdPattern,
  parseArchiveName,
  parseHeldName,
  parseNumberName,
  parseSegmentName,
  parseUnitName,
  rotationFileName,
  sealFileName,
  seedFileName,
  segmentName,
  shredFileName,
  shredRangesName,
  type Unit,
  unitName,
} from './codec/names.ts';
export { Openings, stepEventsMax } from './codec/openings.ts';
export { RecordPacker } from './codec/packed-records.ts';
export {
  encodeSeedFile,
  parseSeedFile,
  rewrapSeed,
  type SeedFile,
  type SeedScope,
  unwrapSeed,
  wrapSeed,
} from './codec/seed-file.ts';
export {
  encodeRanges,
  encodeReleased,
  encodeShredRecord,
  hashShredTerms,
  type OpenedEvent,
  parseReleased,
  parseShredRecord,
  type ShredRecord,
  type ShredTerms,
  shredTermsText,
} from './codec/shred-record.ts';
export { parseWrappedSecret, unwrapSecret, type WrappedSecret, wrapSecret } from './codec/wrapped-secret.ts';
export { commitInto } from './commitment.ts';
export { Committer } from './committer.ts';
export { commitFields } from './field-commitment.ts';
export { BlockIndex, type BlockPlace, firstIndexOf, frameHeaderBytes } from './reader/block-index.ts';
export { storedCommitments } from './reader/commitment-store.ts';
export type { Witnessed } from './reader/cosigned-check.ts';
export { type Finding, type FindingCode, findingTable } from './reader/findings.ts';
export { HeldCopies, holdSeed, holdsIn } from './reader/held-copies.ts';
export { type HeldHead, readHeldHeads } from './reader/held-head.ts';
export { isMissing, type LedgerFiles, nodeFiles, type ReadableFile, readRange } from './reader/ledger-files.ts';
export { localKeys } from './reader/local-keys.ts';
export { MeaningCheck, type MeaningOptions, ownEmitters } from './reader/meaning-check.ts';
export {
  type MeaningCode,
  type MeaningFinding,
  MeaningFindings,
  meaningTable,
  type TellMeaning,
} from './reader/meaning-findings.ts';
export { type OfflineLedger, openLedger } from './reader/offline-ledger.ts';
export { type OpenedRecord, RecordReader, type Remains } from './reader/record-reader.ts';
export { SeedKeeper } from './reader/seed-keeper.ts';
export { ShreddedUnits } from './reader/shredded-units.ts';
export { walkSegment } from './reader/snapshot.ts';
export { type VerifiedStatements, verifyStatements } from './reader/statements.ts';
export type { CheckedSuccession, Predecessor } from './reader/succession-check.ts';
export type { OpenTimestamp } from './reader/tenant-check.ts';
export { parseTimestampName, type Timestamps } from './reader/timestamp-check.ts';
export { type VerifyOptions, type VerifyReport, verifyLedger } from './reader/verify-ledger.ts';
export type { VerifiedTenant } from './reader/verify-tenant.ts';
