/**
 * What the world outside knows of a ledger: what was sent, what was answered, and every signature that could be seen. After the last recovery the
 * ledger must agree with all of it.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  type Event,
  encodeEvent,
  encodeText,
  minimise,
  parseCheckpoint,
  parseTenantId,
  type TenantId,
  uuidv7,
} from '../../packages/record/src/index.ts';
import type { Appended, AppendItem } from '../../packages/server/src/ledger/ledger.ts';
import type { HoldCriteria } from '../../packages/server/src/ledger/shred.ts';
import type { SimRandom } from '../../packages/server/src/world/simulated.ts';

export const tenants: readonly TenantId[] = ['clinic', 'hospital', 'lab'].map((name) => parseTenantId(name));
const emitters = ['gateway-1', 'gateway-2', 'sdk-0'];

/** Something the ledger must never do. */
export class Violation extends Error {
  override readonly name = 'Violation';
}

/** Events that were sent together for the first time: all of them are stored, or none. */
export interface Call {
  readonly items: readonly AppendItem[];
  /** How often it was sent without an answer that says: nothing was stored. At 0 nothing of it may be there. */
  mayBeStored: number;
}

export interface Acknowledged {
  readonly index: number;
  readonly leaf: string;
  readonly item: AppendItem;
}

/** What was approved to go, as the log held it before. */
export interface ShredModel {
  readonly unit: string;
  readonly events: ReadonlyMap<number, GoneEvent>;
  /** Holds that were answered before it was ordered. */
  readonly holds: readonly HoldModel[];
  answered: boolean;
}

export interface GoneEvent {
  readonly index: number;
  readonly id: string;
  readonly actor: string | undefined;
}

export interface HoldModel {
  /** Undefined for one that was asked for and not answered. */
  id: string | undefined;
  readonly criteria: HoldCriteria;
  released: 'no' | 'perhaps' | 'yes';
}

/** Whether a hold is about an event of what went; only what the simulator's holds ask for. */
export function isAbout({ criteria: { actor, indexes } }: HoldModel, event: GoneEvent): boolean {
  return (
    (actor === undefined || actor === event.actor) &&
    (indexes === undefined || (event.index >= indexes.first && event.index <= indexes.last))
  );
}

export class LogModel {
  readonly tenant: TenantId;
  readonly calls: Call[] = [];
  /** Items that no ledger may take. */
  readonly impossible: AppendItem[] = [];
  /** By event id. */
  readonly acknowledged: Map<string, Acknowledged> = new Map();
  readonly #byIndex: Map<number, string> = new Map();
  /** Root in hex by size: every signature that was stored or answered. */
  readonly signed: Map<number, string> = new Map();
  /** The largest that was answered. */
  answered: { readonly size: number; readonly text: string } | undefined;
  /** Checkpoints somebody kept: the first and some others that were answered. */
  readonly kept: string[] = [];
  /** The key that somebody pinned when the log was new. */
  pinned: string | undefined;
  /** Somebody said that a key is known to others: what it signed may be believed no more. */
  compromised = false;
  readonly holds: HoldModel[] = [];
  /** By class and epoch. */
  readonly shreds: Map<string, ShredModel> = new Map();
  readonly seqs: Map<string, number> = new Map();
  /** Ids were forgotten: an event may be stored and answered for again. */
  forgetful = false;

  constructor(tenant: TenantId) {
    this.tenant = tenant;
  }

  /** Two signatures of one size have one root. */
  sawSignature(text: string): number {
    const { size, root } = parseCheckpoint(text);
    const known = this.signed.get(Number(size));
    const hex = Buffer.from(root).toString('hex');
    if (known !== undefined && known !== hex)
      throw new Violation(`two trees of ${size} leaves of ${this.tenant} were signed`);
    this.signed.set(Number(size), hex);
    return Number(size);
  }

  answer(items: readonly AppendItem[], { receipts, checkpoint }: Appended): void {
    const size = this.sawSignature(checkpoint);
    if (this.kept.length === 0 || size % 7 === 0) this.kept.push(checkpoint);
    if (size >= (this.answered?.size ?? 0)) this.answered = { size, text: checkpoint };
    assert.equal(receipts.length, items.length);
    for (const [at, { id, index, leaf }] of receipts.entries()) {
      const item = items[at] as AppendItem;
      if (id !== item.event.id) throw new Violation(`the receipt at position ${at} is of another event`);
      if (index >= size) throw new Violation(`the answered checkpoint of ${size} leaves doesn't cover index ${index}`);
      const hex = Buffer.from(leaf).toString('hex');
      const known = this.acknowledged.get(id);
      if (known !== undefined && this.forgetful) continue;
      if (known !== undefined && (known.index !== index || known.leaf !== hex))
        throw new Violation(`event ${id} was answered with index ${known.index}, and then with ${index}`);
      const other = this.#byIndex.get(index);
      if (other !== undefined && other !== id) throw new Violation(`index ${index} was given to ${other} and to ${id}`);
      this.acknowledged.set(id, { index, leaf: hex, item });
      this.#byIndex.set(index, id);
    }
  }
}

/** Everything outside of the ledger in one history. */
export class Outside {
  readonly logs: ReadonlyMap<TenantId, LogModel> = new Map(tenants.map((tenant) => [tenant, new LogModel(tenant)]));
  #forgetful = false;
  /** Seals that were about to be stored, and statements on keys that were: each name has one content. */
  readonly #statements: Map<string, string> = new Map();
  /** What was seen on the disk that must never be: told at the next step. */
  violation: string | undefined;

  /** The clock went so far ahead once that ids are forgotten: what is sent again may be stored twice. */
  get forgetful(): boolean {
    return this.#forgetful;
  }

  sawStatement(path: string, bytes: Uint8Array): void {
    const hex = Buffer.from(bytes).toString('hex');
    const known = this.#statements.get(path);
    if (known !== undefined && known !== hex) this.violation ??= `two statements were signed as ${path}`;
    this.#statements.set(path, hex);
  }

  statements(): ReadonlyMap<string, string> {
    return this.#statements;
  }

  forget(): void {
    this.#forgetful = true;
    for (const log of this.logs.values()) log.forgetful = true;
  }

  log(tenant: TenantId): LogModel {
    return this.logs.get(tenant) as LogModel;
  }
}

/** Events without PHI, of a few emitters whose sequences have no holes, with times of the simulated clock. */
export class EventMaker {
  readonly #random: SimRandom;

  constructor(random: SimRandom) {
    this.#random = random;
  }

  make(log: LogModel, nowMs: number, facts: Partial<Event> = {}): AppendItem {
    const random = this.#random;
    const emitter = random.pick(emitters);
    const seq = (log.seqs.get(emitter) ?? 0) + 1;
    log.seqs.set(emitter, seq);
    const received = new Date(nowMs).toISOString();
    const event = minimise({
      v: 1,
      id: uuidv7(nowMs, random.bytes(10)),
      time: received,
      tenant: log.tenant,
      emitter: { id: emitter, seq },
      kind: random.pick(['api', 'api', 'api', 'auth', 'review', 'data'] as const),
      action: 'read',
      operation: 'read',
      outcome: { status: 'success', code: 200 },
      actor: { id: `person-${seq % 7}`, type: 'human' },
      ...facts,
    });
    const digest = createHash('sha256').update(encodeEvent(event)).digest('hex');
    return { event, envelope: { received, submitter: 'key:sim', intake: 'http', digest } };
  }
}

/** The bytes that must be stored for an item. */
export function textOf({ event, envelope }: AppendItem): string {
  const { received, submitter, intake, digest } = envelope;
  return encodeText({ received, submitter, intake, digest, event });
}
