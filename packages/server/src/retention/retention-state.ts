/**
 * What retention remembers between starts, in `DIR/retention.json`: policies as they were last recorded, confirmations, proposals, and which holds there
 * are. Working state only: each change of it is an event first, and what was shredded stands in the ledger alone.
 */
import type { RetentionClass } from '@watchglass/record';
import type { Unit } from '@watchglass/record/reader';
import { z } from 'zod';
import { ServerError } from '../errors.ts';
import type { World } from '../world/world.ts';

export interface Proposal {
  readonly id: string;
  readonly tenant: string;
  readonly about:
    | {
        readonly kind: 'shred';
        readonly units: readonly (Unit & { readonly days: number; readonly events: number })[];
      }
    | { readonly kind: 'hold-release'; readonly hold: string };
  /** What is approved: hash of the plan, or the hold. */
  readonly plan: string;
  readonly by: string;
  /** Indexes of the events that say so: before anything goes they are read again, so that this file alone approves nothing. */
  readonly proposedAt: number;
  readonly approvedAt: number | null;
  readonly atMs: number;
  readonly expiresMs: number;
  readonly approvedBy: string | null;
  readonly state: 'proposed' | 'approved' | 'ordered' | 'done';
  readonly orderedBy: string | null;
}

export interface Confirmation {
  readonly days: number;
  readonly at: number;
}

type ByClass<T> = Partial<Readonly<Record<RetentionClass, T>>>;

export interface State {
  readonly v: 1;
  /** Days in force as last recorded, by tenant and class. */
  readonly recorded: Readonly<Record<string, ByClass<number | null>>>;
  /** Days below the floor that a person confirmed, and the index of the event that says so. */
  readonly confirmed: Readonly<Record<string, ByClass<Confirmation>>>;
  readonly proposals: readonly Proposal[];
  readonly holds: Readonly<Record<string, readonly string[]>>;
}

const retentionClass = z.enum(['access', 'security', 'oversight']);
const byClass = z.partialRecord(retentionClass, z.union([z.int().min(0), z.null()]));
const moment = z.number();

const proposal: z.ZodType<Proposal> = z.strictObject({
  id: z.string(),
  tenant: z.string(),
  about: z.discriminatedUnion('kind', [
    z.strictObject({
      kind: z.literal('shred'),
      units: z.array(z.strictObject({ retentionClass, epoch: z.int().min(0), days: z.int().min(0), events: z.int() })),
    }),
    z.strictObject({ kind: z.literal('hold-release'), hold: z.string() }),
  ]),
  plan: z.string(),
  by: z.string(),
  proposedAt: z.int().min(0),
  approvedAt: z.int().min(0).nullable(),
  atMs: moment,
  expiresMs: moment,
  approvedBy: z.string().nullable(),
  state: z.enum(['proposed', 'approved', 'ordered', 'done']),
  orderedBy: z.string().nullable(),
});

const schema: z.ZodType<State> = z.strictObject({
  v: z.literal(1),
  recorded: z.record(z.string(), byClass),
  confirmed: z.record(
    z.string(),
    z.partialRecord(retentionClass, z.strictObject({ days: z.int().min(0), at: z.int().min(0) })),
  ),
  proposals: z.array(proposal),
  holds: z.record(z.string(), z.array(z.string())),
});

/** Finished and expired proposals that are kept to be shown. */
export const proposalsKeptMax = 200;

export class RetentionState {
  readonly #world: World;
  readonly #path: string;
  #state: State;

  private constructor(world: World, path: string, state: State) {
    this.#world = world;
    this.#path = path;
    this.#state = state;
  }

  /** @throws ServerError `state-unknown` */
  static async open(world: World, path: string): Promise<RetentionState> {
    const bytes = await world.disk.readFile(path);
    if (bytes === undefined)
      return new RetentionState(world, path, { v: 1, recorded: {}, confirmed: {}, proposals: [], holds: {} });
    let value: unknown;
    try {
      value = JSON.parse(new TextDecoder().decode(bytes));
    } catch {
      value = undefined;
    }
    const parsed = schema.safeParse(value);
    if (!parsed.success)
      throw new ServerError(
        'state-unknown',
        `${path} is damaged or of another version; restore it from its backup, or move it away: then proposals and confirmations are made anew`,
      );
    return new RetentionState(world, path, parsed.data);
  }

  get now(): Readonly<State> {
    return this.#state;
  }

  confirmed(tenant: string, of: RetentionClass): Confirmation | undefined {
    return this.#state.confirmed[tenant]?.[of];
  }

  /** Durable when it resolves; where it can't be written nothing has changed. */
  async change(make: (state: State) => State): Promise<void> {
    const next = make(this.#state);
    const proposals = next.proposals.slice(-proposalsKeptMax);
    const stored = { ...next, proposals };
    await this.#world.disk.replace(this.#path, new TextEncoder().encode(`${JSON.stringify(stored)}\n`), {
      mode: 0o600,
    });
    this.#state = stored;
  }
}
