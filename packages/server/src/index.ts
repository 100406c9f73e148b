/** `@watchglass/server`: the server of one configuration. This is the whole public list. */
export {
  configKeys,
  type EmbeddedIssuer,
  type ForeignIssuer,
  type Listen,
  type LogLevel,
  parseConfig,
  readConfig,
  type ServerConfig,
  type TlsFiles,
} from './config/config.ts';
export { ConfigError } from './config/error.ts';
export type { ConfigKey } from './config/key-list.ts';
export { parseWitnessConfig, readWitnessConfig, type WitnessConfig } from './config/witness-config.ts';
export { type ErrorEntry, type ErrorPlace, ServerError, type ServerErrorCode, serverErrors } from './errors.ts';
export { type FsckOptions, type FsckReport, type FsckTenant, fsck } from './fsck.ts';
export { LedgerError, type LedgerErrorCode } from './ledger/errors.ts';
export type { KekStatus } from './ledger/kek/key-service.ts';
export type { KeysSettings } from './ledger/kek/settings.ts';
export type { KeyChange } from './ledger/ledger.ts';
export type { SucceededLog } from './ledger/succeed.ts';
export { openTimestamp, type Timestamp, type TimestampExpectation } from './ledger/timestamps/timestamp.ts';
export { readRoots } from './ledger/timestamps/timestamping.ts';
export {
  type ChangedKey,
  changeLocalKey,
  type LocalLedgerOptions,
  succeedLocalLedger,
} from './local-ledger.ts';
export { type RunningServer, type StartOptions, startServer } from './main.ts';
export { listKeysOf, type OfflineKeys, openOfflineKeys } from './offline-keys.ts';
export { makeWitnessKey, type RunningWitness, startWitness } from './witness-main.ts';
