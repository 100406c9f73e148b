/**
 * Sequence numbers for senders that have none: gap-free per tenant and emitter, given at the door.
 *
 * A number that was not used after all (the batch was refused, or the event was stored before) is given out again first. An event that comes again
 * under its id gets the number it had, so that sending again costs no number; how many ids are remembered is bounded, and the ledger knows the rest.
 */
import type { TenantId } from '@watchglass/record';

/** Ids remembered with their number, per emitter. */
const rememberedMax = 50_000;

interface Lane {
  last: number;
  readonly free: number[];
  readonly seqOf: Map<string, number>;
}

export interface Numbered {
  readonly emitter: string;
  readonly seq: number;
  /** It comes again under a number given before. */
  readonly again: boolean;
}

export class DoorSequence {
  readonly #lanes: Map<string, Lane> = new Map();
  readonly #lastSeq: (tenant: TenantId, emitter: string) => number;

  /** `lastSeq`: the highest number the ledger has of an emitter; 0 when none. */
  constructor(lastSeq: (tenant: TenantId, emitter: string) => number) {
    this.#lastSeq = lastSeq;
  }

  /** A number for the event with this id. */
  number(tenant: TenantId, emitter: string, id: string): Numbered {
    const lane = this.#lane(tenant, emitter);
    const known = lane.seqOf.get(id);
    if (known !== undefined) return { emitter, seq: known, again: true };
    const seq = lane.free.shift() ?? ++lane.last;
    return { emitter, seq, again: false };
  }

  /** The event was stored under its number. */
  used(tenant: TenantId, { emitter, seq }: Numbered, id: string): void {
    const { seqOf } = this.#lane(tenant, emitter);
    if (seqOf.size >= rememberedMax) seqOf.delete(seqOf.keys().next().value as string);
    seqOf.set(id, seq);
  }

  /** The number was not used: somebody else gets it. */
  giveBack(tenant: TenantId, { emitter, seq, again }: Numbered): void {
    if (again) return;
    const lane = this.#lane(tenant, emitter);
    if (seq === lane.last) lane.last -= 1;
    else {
      lane.free.push(seq);
      lane.free.sort((a, b) => a - b);
    }
    while (lane.free.at(-1) === lane.last && lane.last > 0) {
      lane.free.pop();
      lane.last -= 1;
    }
  }

  #lane(tenant: TenantId, emitter: string): Lane {
    const key = `${tenant}\0${emitter}`;
    let lane = this.#lanes.get(key);
    if (lane === undefined) {
      lane = { last: this.#lastSeq(tenant, emitter), free: [], seqOf: new Map() };
      this.#lanes.set(key, lane);
    }
    return lane;
  }
}
