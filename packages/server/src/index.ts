/** `@watchglass/server`: the server of one configuration. This is the whole public list. */
export {
  ConfigError,
  type ConfigKey,
  configKeys,
  type EmbeddedIssuer,
  type ForeignIssuer,
  type Listen,
  type LogLevel,
  parseConfig,
  readConfig,
  type ServerConfig,
  type TlsFiles,
} from './config.ts';
export { type ErrorEntry, type ErrorPlace, ServerError, type ServerErrorCode, serverErrors } from './errors.ts';
export { LedgerError, type LedgerErrorCode } from './ledger/errors.ts';
export type { KeyChange } from './ledger/ledger.ts';
export type { SucceededLog } from './ledger/succeed.ts';
export {
  type ChangedKey,
  changeLocalKey,
  type LocalLedgerOptions,
  succeedLocalLedger,
} from './local-ledger.ts';
export { type RunningServer, type StartOptions, startServer } from './main.ts';
