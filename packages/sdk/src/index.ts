/** Everything that `@watchglass/sdk` offers. */
export type { Batch } from './batch.ts';
export { type CapturedEvent, type Client, type ClientOptions, createClient } from './client.ts';
export type { DeadLetter, DeadLetters } from './dead-letters.ts';
export { realDisk, type SpoolDisk, type SpoolFile } from './disk.ts';
export { SdkError, type SdkErrorCode, sdkErrorCodes } from './errors.ts';
export { type EventFacts, eventBytesMax, minimiseOutgoing, type OutgoingEvent } from './outgoing.ts';
export type { PostTrace } from './post.ts';
export type { ReceiptFailure } from './receipt-sample.ts';
export { type ReceiptStatus, Rechecker, type RecheckOptions, startRechecker } from './rechecker.ts';
export type { Reservation } from './room.ts';
export { Sender, type SenderOptions, type SenderStatus, startSender } from './sender.ts';
export {
  type Appended,
  type Appending,
  openSpool,
  Spool,
  type SpoolOptions,
  type SpoolState,
  type SpoolStatus,
} from './spool.ts';
