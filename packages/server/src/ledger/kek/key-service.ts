/**
 * What can be done with the key-encryption keys of a running installation: look, rotate, wrap anew, destroy. Changes are made one at a time, and each is handed to
 * `record` before it happens: what can't be recorded does not happen.
 *
 * A rotation makes another key current and touches no file: what older keys wrapped stays readable. Wrapping anew then moves files to the current key,
 * each by one rename; whatever ends it in the middle, doing it again goes on where it stopped. Only a key that nothing needs any more can be destroyed.
 */
import { RecordError, type TenantId } from '@watchglass/record';
import type { Destruction, Kek } from '@watchglass/record/reader';
import type { World } from '../../world/world.ts';
import { LedgerError } from '../errors.ts';
import type { KekEntry } from './keyring-file.ts';
import type { OpenedKeyrings } from './open-keyrings.ts';
import type { Ring } from './ring.ts';
import type { WrappedFile, WrappedFiles } from './wrapped-file.ts';

/** Files under way at once: a keeper far away answers in tens of milliseconds, and has quotas. */
const filesAtOnce = 4;
/** Files that turn up while others are moved are moved in another pass. */
const passesMax = 8;

export interface KekStatus {
  readonly id: string;
  readonly provider: string;
  /** Undefined for keys that tenants share. */
  readonly tenant: string | undefined;
  readonly state: 'current' | 'older' | 'ending' | 'destroyed';
  readonly since: string;
  /** When it was, or will be, destroyed. */
  readonly until: string | undefined;
  /** Files wrapped under it, of the tenants asked about. */
  readonly files: { readonly seeds: number; readonly others: number };
}

/** What is about to change, or has: public parts only. */
export type KeyChange =
  | {
      readonly kind: 'turn';
      readonly tenant: string | undefined;
      readonly from: string | undefined;
      readonly to: string;
    }
  | { readonly kind: 'rewrap'; readonly tenant: TenantId; readonly to: string; readonly files: number }
  | {
      readonly kind: 'rewrapped';
      readonly tenant: TenantId;
      readonly to: string;
      readonly files: number;
      readonly left: number;
      readonly failed: number;
    }
  | { readonly kind: 'destroy'; readonly tenant: string | undefined; readonly id: string; readonly files: number }
  | {
      readonly kind: 'destroyed';
      readonly tenant: string | undefined;
      readonly id: string;
      readonly until: string | undefined;
    };

export type RecordKeyChange = (change: KeyChange) => Promise<void>;

export interface RewrapOptions {
  readonly tenants: readonly TenantId[];
  /** False for what shall not survive the older keys; all survive unless said. Asked of each file in each pass. */
  readonly keep?: (file: WrappedFile) => boolean;
  readonly record: RecordKeyChange;
  readonly onProgress?: (progress: RewrapProgress) => void;
  readonly signal?: AbortSignal;
}

export interface RewrapProgress {
  readonly done: number;
  readonly total: number;
}

export interface RewrapReport {
  readonly rewrapped: number;
  /** Under the current key already. */
  readonly already: number;
  /** Not kept: still under an older key. */
  readonly left: number;
  /** Files that don't open: under a key that is lost, or damaged. */
  readonly failed: readonly { readonly place: string; readonly code: string; readonly message: string }[];
}

export interface KeyServiceParts {
  readonly keyrings: OpenedKeyrings;
  /** Everything that is kept wrapped, room by room. */
  readonly sources: readonly WrappedFiles[];
  readonly tenants: () => readonly TenantId[];
  readonly world: World;
}

export class KeyService {
  readonly #parts: KeyServiceParts;
  #last: Promise<unknown> = Promise.resolve();

  constructor(parts: KeyServiceParts) {
    this.#parts = parts;
  }

  /** Keys by ring, oldest first, with how many files of these tenants are under each. */
  async list(tenants: readonly TenantId[] = this.#parts.tenants()): Promise<readonly KekStatus[]> {
    const files = (await Promise.all(tenants.map((tenant) => this.#files(tenant)))).flat();
    const { keyrings } = this.#parts;
    const rings = keyrings
      .rings()
      .filter(({ tenant }) => tenant === undefined || tenants.some((one) => one === tenant));
    return rings.flatMap((ring) =>
      ring.entries.map((entry) => {
        const under = files.filter(({ kek, tenant }) => kek === entry.id && reaches(ring, tenant));
        const seeds = under.filter(({ kind }) => kind === 'seed').length;
        return {
          id: entry.id,
          provider: entry.settings.provider,
          tenant: ring.tenant,
          state: stateOf(ring, entry),
          since: entry.since,
          until: entry.until,
          files: { seeds, others: under.length - seeds },
        };
      }),
    );
  }

  /** @param key of a keeper elsewhere: its name there; a fresh one is made unless given. @throws LedgerError, RecordError */
  rotate(asked: {
    readonly tenant: string | undefined;
    readonly key?: string | undefined;
    readonly record: RecordKeyChange;
  }): Promise<{ readonly from: string | undefined; readonly to: string }> {
    return this.#alone(async () => {
      const { keyrings } = this.#parts;
      const ring = this.#ring(asked.tenant);
      const prepared = await keyrings.prepare(ring, asked.key);
      const from = ring.currentId;
      const to = prepared.entry.id;
      if (to === from)
        throw new LedgerError(
          'keyring-invalid',
          `${to} is current already; name another key, or none to have one made`,
        );
      await asked.record({ kind: 'turn', tenant: ring.tenant, from, to });
      await keyrings.turn(ring, prepared);
      return { from, to };
    });
  }

  /**
   * Wraps what is kept under the current key of its tenant. Resumable: what is under it already is passed over.
   * @throws RecordError as a Kek does, where the keeper doesn't answer or refuses; what was moved stays moved
   */
  rewrap(options: RewrapOptions): Promise<RewrapReport> {
    return this.#alone(async () => {
      if (!this.#parts.keyrings.mayUnwrap)
        throw new RecordError(
          'unwrap-forbidden',
          'this process may only wrap, and wrapping anew needs both rights; do it where the configuration has them',
        );
      const total = {
        rewrapped: 0,
        already: 0,
        left: 0,
        failed: [] as { place: string; code: string; message: string }[],
      };
      for (const tenant of options.tenants) {
        const report = await this.#rewrapTenant(tenant, options, total.rewrapped);
        total.rewrapped += report.rewrapped;
        total.already += report.already;
        total.left += report.left;
        total.failed.push(...report.failed);
      }
      return total;
    });
  }

  /**
   * Destroys an older key at its keeper. What `keep` holds to must be under another key by then.
   * @throws LedgerError `key-in-use` where it isn't, or where the key is current
   */
  destroy(asked: {
    readonly tenant: string | undefined;
    readonly id: string;
    readonly keep?: (file: WrappedFile) => boolean;
    readonly record: RecordKeyChange;
  }): Promise<Destruction> {
    return this.#alone(async () => {
      const { keyrings, world } = this.#parts;
      const ring = this.#ring(asked.tenant);
      const entry = ring.entries.find(({ id }) => id === asked.id);
      if (entry === undefined)
        throw new LedgerError(
          'keyring-invalid',
          `the ring does not hold ${asked.id}; \`watchglass keys list\` shows what it does`,
        );
      if (ring.currentId === entry.id) throw new LedgerError('key-in-use', `${entry.id} is current; rotate first`);
      const under = await this.#filesUnder(entry);
      const needed = under.filter(asked.keep ?? (() => true));
      if (needed.length > 0)
        throw new LedgerError(
          'key-in-use',
          `${needed.length} files that stay are wrapped under ${entry.id}, such as ${needed[0]?.place}; wrap them anew first`,
        );
      await asked.record({ kind: 'destroy', tenant: ring.tenant, id: entry.id, files: under.length });
      const destruction = await (ring.whole(entry.id) as Kek).destroy();
      const until = destruction.kind === 'destroyed' ? new Date(world.clock.now()).toISOString() : destruction.at;
      await keyrings.mark(ring, entry.id, destruction.kind === 'destroyed' ? 'destroyed' : 'ending', until);
      await asked.record({
        kind: 'destroyed',
        tenant: ring.tenant,
        id: entry.id,
        until: destruction.kind === 'destroyed' ? undefined : destruction.at,
      });
      return destruction;
    });
  }

  async #rewrapTenant(tenant: TenantId, options: RewrapOptions, before: number): Promise<RewrapReport> {
    const ring = this.#parts.keyrings.of(tenant);
    const to = ring.current;
    const failed = new Map<string, { place: string; code: string; message: string }>();
    let rewrapped = 0;
    let told = false;
    let files: readonly WrappedFile[] = [];
    for (let pass = 0; pass < passesMax; pass++) {
      files = await this.#files(tenant);
      const due = files.filter(
        (file) => file.kek !== to.id && !failed.has(file.place) && (options.keep?.(file) ?? true),
      );
      if (due.length === 0) break;
      if (!told) await options.record({ kind: 'rewrap', tenant, to: to.id, files: due.length });
      told = true;
      const total = before + rewrapped + due.length;
      await eachOf(due, filesAtOnce, async (file) => {
        options.signal?.throwIfAborted();
        try {
          await file.rewrap(ring, to);
          rewrapped++;
        } catch (error) {
          if (!(error instanceof RecordError) || !isOfTheFile(error)) throw error;
          failed.set(file.place, { place: file.place, code: error.code, message: error.message });
        }
        options.onProgress?.({ done: before + rewrapped + failed.size, total });
      });
    }
    const already = files.filter(({ kek }) => kek === to.id).length - rewrapped;
    const left = files.filter((file) => file.kek !== to.id && !failed.has(file.place)).length;
    if (told)
      await options.record({ kind: 'rewrapped', tenant, to: to.id, files: rewrapped, left, failed: failed.size });
    return { rewrapped, already: Math.max(0, already), left, failed: [...failed.values()] };
  }

  /** Whatever ring they are of: two may have been given one key, and one key ends once. */
  async #filesUnder({ id, settings }: KekEntry): Promise<readonly WrappedFile[]> {
    const keeper = keeperOf(settings);
    const rings = this.#parts.keyrings
      .rings()
      .filter(({ entries }) => entries.some((one) => one.id === id && keeperOf(one.settings) === keeper));
    const tenants = this.#parts.tenants().filter((tenant) => rings.some((ring) => reaches(ring, tenant)));
    const files = await Promise.all(tenants.map((tenant) => this.#files(tenant)));
    return files.flat().filter(({ kek }) => kek === id);
  }

  async #files(tenant: TenantId): Promise<readonly WrappedFile[]> {
    return (await Promise.all(this.#parts.sources.map((source) => source(tenant)))).flat();
  }

  #ring(tenant: string | undefined): Ring {
    const ring = this.#parts.keyrings.rings().find((one) => one.tenant === tenant);
    if (ring === undefined)
      throw new LedgerError(
        'keyring-invalid',
        'the tenant has no keys of its own, and uses those of the installation; give it some in the configuration (`keys.tenants`)',
      );
    return ring;
  }

  /** One change after another. */
  #alone<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work, work);
    this.#last = done.catch(() => undefined);
    return done;
  }
}

/** Whether files of the tenant may lie under keys of the ring: all may under shared ones, from before the tenant brought its own. */
function reaches(ring: Ring, tenant: string): boolean {
  return ring.tenant === undefined || ring.tenant === tenant;
}

/** Where keys are kept, whoever may reach them. */
function keeperOf(settings: KekEntry['settings']): string {
  const { provider } = settings;
  if (provider === 'vault-transit') return [provider, settings.address, settings.namespace, settings.mount].join(' ');
  if (provider === 'pkcs11') return [provider, settings.module, settings.token].join(' ');
  return provider;
}

function stateOf(ring: Ring, { id, state }: KekEntry): KekStatus['state'] {
  if (state !== 'there') return state;
  return ring.currentId === id ? 'current' : 'older';
}

/** What one file is to blame for: the others go on. */
function isOfTheFile({ code }: RecordError): boolean {
  return code === 'seed-refused' || code === 'seed-malformed' || code === 'kek-unknown' || code === 'kek-lost';
}

async function eachOf<T>(items: readonly T[], atOnce: number, work: (item: T) => Promise<void>): Promise<void> {
  const waiting = [...items];
  const take = async (): Promise<void> => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(item);
  };
  const ended = await Promise.allSettled(Array.from({ length: atOnce }, take));
  for (const one of ended) if (one.status === 'rejected') throw one.reason;
}
