/**
 * The door for people and tools: REST and OpenAPI, sign-in for the console, the log's public resources, the console's files.
 *
 * Promises: every route is public by name (public-routes.ts) or mounts through `audited` (audited.ts), so that what was asked is durable in
 * the ledger before the answer leaves; errors are problem+json and carry no PHI; log lines carry route templates, never URLs.
 *
 * `createApi(deps: ApiDeps): Promise<Api>` is in create-api.ts; nothing listens before `listen`.
 */

import type { TenantId } from '@watchglass/record';
import type { TrustedProxies } from '@watchglass/record/source';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { Access, RecordOwn, RecordPlaced } from '../access/access.ts';
import type { Indexes } from '../indexes/indexes.ts';
import type { KeyService } from '../ledger/kek/key-service.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { WitnessReport } from '../ledger/witness/witness-report.ts';
import type { Decisions } from '../respond/decisions.ts';
import type { Retention } from '../retention/retention.ts';
import type { Completeness } from '../review/completeness/completeness.ts';
import type { BundleMaker } from '../review/make-bundle.ts';
import type { Review } from '../review/review.ts';
import type { RewrapJob } from '../review/rewrap-job.ts';
import type { Tracing } from '../trace/tracing.ts';
import type { World } from '../world/world.ts';

export interface ApiDeps {
  readonly world: World;
  readonly log: Logger;
  readonly access: Access;
  readonly ledger: Pick<
    Ledger,
    'state' | 'tenants' | 'head' | 'origin' | 'vkey' | 'vkeys' | 'statements' | 'resource' | 'emitters' | 'statistics'
  >;
  readonly indexes: Pick<Indexes, 'status' | 'pseudonyms'>;
  readonly review: Review;
  /** The report of red intervals. */
  readonly completeness: Completeness;
  readonly bundles: BundleMaker;
  /** The key-encryption keys; without them nothing is mounted for them. */
  readonly keys?: { readonly service: KeyService; readonly rewraps: RewrapJob };
  readonly retention: Retention;
  /** What gateways are told. */
  readonly decisions: Decisions;
  readonly door: EventDoor;
  /** Where requests are spans. */
  readonly tracing?: Tracing | undefined;
  /** Resolves once the event is durable. */
  readonly record: RecordOwn;
  readonly recordPlaced: RecordPlaced;
  /** The tenant whose log takes events that belong to none: the first configured. */
  readonly homeTenant: TenantId;
  /** Public URL of the server, without trailing slash. */
  readonly url: string;
  readonly version: string;
  /** How the logs stand with their witnesses, as of now. */
  readonly witnesses: () => WitnessReport;
  readonly demo: boolean;
  /** Whose `X-Forwarded-For` is believed; nobody's without. */
  readonly proxies?: TrustedProxies;
  /** PEM. Without it the server speaks plain HTTP, which the configuration allows on loopback in the demo only. */
  readonly tls?: { readonly cert: string | Uint8Array; readonly key: string | Uint8Array };
  /** Directory of the built console; without it `/` answers 404. */
  readonly consoleDir?: string;
  /** The identity provider people sign in with; without it the console can't be signed in to. */
  readonly signIn?: SignInSettings;
}

export interface SignInSettings {
  /** Issuer URL; discovered at the first sign-in. */
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string;
  /** Resource indicator and audience of the access tokens. */
  readonly audience: string;
}

/** The room behind `POST /v1/events` (intake/). */
export interface EventDoor {
  take(request: {
    readonly authorization: string | undefined;
    readonly contentType: string | undefined;
    readonly contentEncoding: string | undefined;
    readonly contentLength: number | undefined;
    readonly body: AsyncIterable<Uint8Array>;
    readonly address: string | undefined;
  }): Promise<{
    readonly receipts: readonly { readonly id: string; readonly index: number; readonly leaf: string }[];
    readonly checkpoint: string;
  }>;
  statistics(): {
    readonly accepted: number;
    readonly duplicates: number;
    readonly refused: Readonly<Record<string, number>>;
    readonly bytesInFlight: number;
  };
}

/** A route, and whether it is recorded (the operation) or open to all (the reason). */
export interface MountedRoute {
  readonly method: string;
  readonly url: string;
  readonly audited: string | undefined;
  readonly open: string | undefined;
}

export interface Api extends AsyncDisposable {
  /** Everything mounted. */
  readonly routes: readonly MountedRoute[];
  readonly fastify: FastifyInstance;
  /** Resolves to the address it listens at, e.g. `http://127.0.0.1:9440`. Port 0 takes a free one. */
  listen(at: { readonly host: string; readonly port: number }): Promise<string>;
}
