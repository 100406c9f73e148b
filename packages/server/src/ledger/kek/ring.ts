/**
 * The key-encryption keys of one tenant, or of all tenants that bring none: the current one and the older ones, opened. What is opened is kept; a key that
 * can't be opened any more says why to whoever needs it, and keeps nobody else from working.
 */
import { RecordError } from '@watchglass/record';
import { type Kek, type Keyring, wrapOnly } from '@watchglass/record/reader';
import { LedgerError } from '../errors.ts';
import type { KekEntry } from './keyring-file.ts';

export class Ring implements Keyring {
  /** Undefined for the ring that tenants share. */
  readonly tenant: string | undefined;
  readonly #mayUnwrap: boolean;
  /** Where what isn't here is looked for: a tenant that brought its own keys later has older secrets under the shared ones. */
  readonly #beyond: Ring | undefined;
  #entries: readonly KekEntry[] = [];
  #current: string | undefined;
  /** With all their rights, by id. */
  readonly #keks: Map<string, Kek> = new Map();
  readonly #held: Map<string, Set<Promise<unknown>>> = new Map();

  constructor(options: { tenant: string | undefined; mayUnwrap: boolean; beyond?: Ring }) {
    this.tenant = options.tenant;
    this.#mayUnwrap = options.mayUnwrap;
    this.#beyond = options.beyond;
  }

  get entries(): readonly KekEntry[] {
    return this.#entries;
  }

  /** Undefined for a tenant's ring where the shared one is used again. */
  get currentId(): string | undefined {
    return this.#current;
  }

  get current(): Kek {
    if (this.#current === undefined && this.#beyond !== undefined) return this.#beyond.current;
    const kek = this.find(this.#current ?? '');
    if (kek === undefined)
      throw new LedgerError('keyring-invalid', 'the ring has no current key; see keys/keyring.json');
    return kek;
  }

  find(id: string): Kek | undefined {
    const kek = this.#keks.get(id);
    if (kek === undefined) return this.#beyond?.find(id);
    return this.#mayUnwrap ? kek : wrapOnly(kek);
  }

  async hold<T>(work: (kek: Kek) => Promise<T>): Promise<T> {
    if (this.#current === undefined && this.#beyond !== undefined) return this.#beyond.hold(work);
    const kek = this.current;
    const held = this.#held.get(kek.id) ?? new Set();
    this.#held.set(kek.id, held);
    const working = work(kek);
    held.add(working);
    try {
      return await working;
    } finally {
      held.delete(working);
    }
  }

  /** With all its rights, whatever this process may do with it otherwise: to destroy it. */
  whole(id: string): Kek | undefined {
    return this.#keks.get(id);
  }

  /** Makes a key part of the ring, or tells more of it. */
  put(entry: KekEntry, kek: Kek | undefined): void {
    const others = this.#entries.filter(({ id }) => id !== entry.id);
    this.#entries = [...others, entry].sort((a, b) => (a.since < b.since ? -1 : a.since > b.since ? 1 : 0));
    if (kek !== undefined) this.#keks.set(entry.id, kek);
  }

  /** Makes a key of the ring current; resolves when nothing is being wrapped under the one before. */
  async turnTo(id: string | undefined): Promise<void> {
    const before = this.#current;
    this.#current = id;
    if (before !== undefined && before !== id) await Promise.allSettled(this.#held.get(before) ?? []);
  }
}

/** In place of a key that couldn't be opened. @param erase removes what is stored of it, where it is stored here: then it can still be destroyed */
export function brokenKek(id: string, why: RecordError, erase?: () => Promise<void>): Kek {
  const refuse = (): Promise<never> => Promise.reject(why);
  const destroy: Kek['destroy'] = async () => {
    await erase?.();
    return { kind: 'destroyed' };
  };
  return { id, wrap: refuse, unwrap: refuse, destroy: erase === undefined ? refuse : destroy };
}

/** In place of a key that was destroyed. */
export function goneKek({ id, until }: KekEntry): Kek {
  const lost = new RecordError(
    'kek-lost',
    `${id} was destroyed${until === undefined ? '' : ` (${until})`}: what was wrapped under it stays closed`,
  );
  const refuse = (): Promise<never> => Promise.reject(lost);
  return { id, wrap: refuse, unwrap: refuse, destroy: async () => ({ kind: 'destroyed' }) };
}
