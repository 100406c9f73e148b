/**
 * Intake: the doors for events. This is the HTTP one: bytes in, receipts out.
 *
 * Promises: what was answered with receipts is durable; a body with one bad event stores nothing; nothing is stored of a body that did not
 * arrive whole; the digest of an event is that of the very bytes its sender sent. No plain content of an event leaves here in an error.
 *
 * `createIntake(deps: IntakeDeps): Intake` is in create-intake.ts.
 */
import type { TenantId } from '@watchglass/record';
import type { Access, RecordOwn } from '../access/access.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { World } from '../world/world.ts';

export interface IntakeDeps {
  readonly ledger: Pick<Ledger, 'append' | 'state' | 'countRefused' | 'emitters'>;
  readonly writeKeys: Pick<Access['writeKeys'], 'verify'>;
  /** For refused keys, which are counted and recorded once a minute. */
  readonly record: RecordOwn;
  /** The tenant whose log takes events that belong to none: the first configured. */
  readonly homeTenant: TenantId;
  readonly world: World;
  /** Older events are refused; six years and a month unless said. */
  readonly ageMaxMs?: number;
}

export interface IntakeRequest {
  readonly authorization: string | undefined;
  readonly contentType: string | undefined;
  readonly contentEncoding: string | undefined;
  readonly contentLength: number | undefined;
  /** Rejects or ends early when the connection is cut. */
  readonly body: AsyncIterable<Uint8Array>;
  readonly address: string | undefined;
}

export interface IntakeAnswer {
  readonly receipts: readonly { readonly id: string; readonly index: number; readonly leaf: string }[];
  readonly checkpoint: string;
}

export interface Intake extends AsyncDisposable {
  /** @throws ServerError with a code of errors.ts; the ledger's refusals are turned into those. */
  take(request: IntakeRequest): Promise<IntakeAnswer>;
  statistics(): IntakeStatistics;
}

export interface IntakeStatistics {
  readonly accepted: number;
  readonly duplicates: number;
  /** Requests refused, by code of errors.ts. */
  readonly refused: Readonly<Record<string, number>>;
  readonly bytesInFlight: number;
}
