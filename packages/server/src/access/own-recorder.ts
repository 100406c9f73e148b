/**
 * Puts the server's own events into the ledger: completes them, numbers them gap-free per tenant, and resolves when they
 * are durable.
 *
 * One append a tenant is under way at a time, and what comes meanwhile goes together into the next; so a number is used
 * only by an append that succeeded, and a failed one leaves no hole. After a restart the numbers go on from the ledger's
 * own, so neither does kill -9. Nothing of the ledger is imported here: `main` hands in how to append.
 */
import { hash } from 'node:crypto';
import {
  defaultMinimisation,
  type Envelope,
  type Event,
  type MinimisationPolicy,
  type MinimisedEvent,
  minimise,
  parseEvent,
  type TenantId,
  uuidv7,
} from '@watchglass/record';
import { ServerError } from '../errors.ts';
import type { World } from '../world/world.ts';
import type { OwnEvent, RecordOwn, RecordPlaced } from './own-event.ts';

export const serverEmitterId = 'server';

/** Emitters of our own records, those of the ledger included: no sender may use their names. */
export function isOwnEmitter(id: string): boolean {
  return id === serverEmitterId || id === 'ledger';
}

/** Own events in one append, and waiting for it; more are refused, and with them what they stand for. */
const batchMax = 1_000;
const waitingMax = 10_000;
/** New values are ours, not a patient's, and are what the ledger is compared with: they stay. */
const ownMinimisation: MinimisationPolicy = { ...defaultMinimisation, changes: { kind: 'keep' } };

export interface OwnRecorderOptions {
  readonly world: World;
  /** `site` of the events: which system saw it. */
  readonly site: string;
  /** Resolves once all are durable; all or nothing. */
  readonly append: (
    tenant: TenantId,
    items: readonly { readonly event: MinimisedEvent; readonly envelope: Envelope }[],
  ) => Promise<unknown>;
  /** The highest sequence number the ledger has of the emitter `server`; 0 when none. */
  readonly lastSeq: (tenant: TenantId) => number;
}

interface Waiting {
  readonly event: OwnEvent;
  readonly timeMs: number;
  readonly resolve: (index: number | undefined) => void;
  readonly reject: (error: unknown) => void;
}

interface Lane {
  lastSeq: number;
  running: boolean;
  waiting: Waiting[];
}

export function createOwnRecorder(options: OwnRecorderOptions): RecordOwn & { readonly placed: RecordPlaced } {
  const { world } = options;
  const lanes = new Map<TenantId, Lane>();

  const laneOf = (tenant: TenantId): Lane => {
    const found = lanes.get(tenant);
    if (found !== undefined) return found;
    const lane: Lane = { lastSeq: options.lastSeq(tenant), running: false, waiting: [] };
    lanes.set(tenant, lane);
    return lane;
  };

  const drain = async (tenant: TenantId, lane: Lane): Promise<void> => {
    lane.running = true;
    while (lane.waiting.length > 0) {
      const batch: Waiting[] = [];
      const items: ReturnType<typeof complete>[] = [];
      for (const waiting of lane.waiting.splice(0, batchMax)) {
        try {
          items.push(complete(waiting.event, waiting.timeMs, lane.lastSeq + items.length + 1));
          batch.push(waiting);
        } catch (error) {
          waiting.reject(error);
        }
      }
      if (items.length === 0) continue;
      try {
        const receipts = receiptsOf(await options.append(tenant, items));
        lane.lastSeq += batch.length;
        for (const [i, { resolve }] of batch.entries()) resolve(receipts[i]?.index);
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    lane.running = false;
  };

  const complete = (own: OwnEvent, timeMs: number, seq: number): { event: MinimisedEvent; envelope: Envelope } => {
    const nowMs = world.clock.now();
    const event: Event = {
      ...own,
      v: 1,
      id: uuidv7(nowMs, world.random.bytes(10)),
      time: new Date(timeMs).toISOString(),
      emitter: { id: serverEmitterId, seq },
      site: own.site ?? options.site,
    };
    const envelope: Envelope = {
      received: new Date(nowMs).toISOString(),
      submitter: 'self',
      intake: 'self',
      digest: hash('sha256', JSON.stringify(event), 'hex'),
    };
    const small = minimise(event, ownMinimisation);
    // What is stored must be readable: an own event that isn't valid is a fault of ours and stops here.
    parseEvent(small);
    return { event: small, envelope };
  };

  const record = async (event: OwnEvent): Promise<number | undefined> => {
    const lane = laneOf(event.tenant);
    if (lane.waiting.length >= waitingMax) {
      throw new ServerError('over-capacity', undefined, { retryAfterMs: 1_000 });
    }
    const done = new Promise<number | undefined>((resolve, reject) => {
      lane.waiting.push({ event, timeMs: world.clock.now(), resolve, reject });
    });
    if (!lane.running) void drain(event.tenant, lane);
    return await done;
  };
  return Object.assign(
    async (event: OwnEvent): Promise<void> => {
      await record(event);
    },
    {
      placed: async (event: OwnEvent): Promise<number> => {
        const index = await record(event);
        if (index === undefined) throw new ServerError('internal', 'expected a receipt of the ledger');
        return index;
      },
    },
  );
}

/** What the ledger answers an append; whoever appends elsewhere has none. */
function receiptsOf(appended: unknown): readonly { readonly index: number }[] {
  return (appended as { readonly receipts?: readonly { readonly index: number }[] } | undefined)?.receipts ?? [];
}
