/**
 * `@watchglass/record/reader`: the bytes of a ledger, read and written (docs/format.md). Node only; needs nothing of the
 * server. The server's ledger is built on the same codec.
 */
export {
  type BlockHeader,
  type BlockScope,
  blockPlaintextBytesMax,
  blockRangesMax,
  eventsOf,
  forEachRecord,
  type IndexRange,
  openBlock,
  parseBlockHeader,
  sealBlock,
} from './codec/block.ts';
export {
  type EmitterRun,
  type EncodedGroup,
  encodeGroup,
  encodeSegmentHeader,
  type Group,
  type GroupTenant,
  groupHeaderBytes,
  type ParsedGroup,
  parseGroup,
  parseSegmentHeader,
  segmentHeaderBytes,
} from './codec/group.ts';
export { type Kek, localKek } from './codec/kek.ts';
export { blockKeyOf, openingKeyOf, StepKeys, stepKeyOf } from './codec/key-tree.ts';
export { emptyManifest, encodeManifest, type Manifest, type ManifestTenant, parseManifest } from './codec/manifest.ts';
export {
  blockFileName,
  commitmentFileName,
  commitmentsPerFile,
  parseArchiveName,
  parseSegmentName,
  seedFileName,
  segmentName,
} from './codec/names.ts';
export { Openings, stepEventsMax } from './codec/openings.ts';
export {
  encodeSeedFile,
  parseSeedFile,
  type SeedFile,
  type SeedScope,
  unwrapSeed,
  wrapSeed,
} from './codec/seed-file.ts';
export { commitInto } from './commitment.ts';
export { BlockIndex, type BlockPlace, firstIndexOf, frameHeaderBytes } from './reader/block-index.ts';
export { storedCommitments } from './reader/commitment-store.ts';
export type { Witnessed } from './reader/cosigned-check.ts';
export { type Finding, type FindingCode, findingTable } from './reader/findings.ts';
export { isMissing, type LedgerFiles, nodeFiles, type ReadableFile, readRange } from './reader/ledger-files.ts';
export { type OfflineLedger, openLedger } from './reader/offline-ledger.ts';
export { type OpenedRecord, RecordReader } from './reader/record-reader.ts';
export { SeedKeeper } from './reader/seed-keeper.ts';
export { walkSegment } from './reader/snapshot.ts';
export type { OpenTimestamp } from './reader/tenant-check.ts';
export { parseTimestampName, type Timestamps } from './reader/timestamp-check.ts';
export { type VerifyOptions, type VerifyReport, verifyLedger } from './reader/verify-ledger.ts';
export type { VerifiedTenant } from './reader/verify-tenant.ts';
