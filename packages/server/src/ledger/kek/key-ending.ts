/**
 * How key-encryption keys end with a shred (shred.ts, `KeyEnding`): another key becomes current, all that is left is wrapped under it, and the older ones are
 * destroyed where they are kept. Each step is on record as any change of keys; what is done already is passed over, so that a restart can go on.
 */
import type { TenantId } from '@watchglass/record';
import { LedgerError } from '../errors.ts';
import type { EndedKey, KeyEnding } from '../shred.ts';
import type { KeyService, RecordKeyChange } from './key-service.ts';
import type { KekEntry } from './keyring-file.ts';
import type { OpenedKeyrings } from './open-keyrings.ts';
import type { Ring } from './ring.ts';

export class RingEnding implements KeyEnding {
  readonly #keyrings: OpenedKeyrings;
  readonly #service: Pick<KeyService, 'rotate' | 'rewrap' | 'destroy'>;
  readonly #tenants: () => readonly TenantId[];
  readonly #record: RecordKeyChange;

  constructor(parts: {
    readonly keyrings: OpenedKeyrings;
    readonly service: Pick<KeyService, 'rotate' | 'rewrap' | 'destroy'>;
    readonly tenants: () => readonly TenantId[];
    readonly record: RecordKeyChange;
  }) {
    this.#keyrings = parts.keyrings;
    this.#service = parts.service;
    this.#tenants = parts.tenants;
    this.#record = parts.record;
  }

  async standing(tenant: TenantId, keks: readonly string[]): Promise<readonly string[]> {
    const ids = this.#ringsOf(tenant, keks).flatMap(({ entries }) =>
      entries.filter(({ state }) => state === 'there').map(({ id }) => id),
    );
    return [...new Set(ids)].sort();
  }

  async end(tenant: TenantId, keks: readonly string[]): Promise<readonly EndedKey[]> {
    const rings = this.#ringsOf(tenant, keks);
    const record = this.#record;
    for (const ring of rings)
      if (ring.currentId !== undefined && keks.includes(ring.currentId))
        await this.#service.rotate({ tenant: ring.tenant, record });
    // Tenants that share a ring lose the key with it: what they keep is wrapped anew, too.
    const tenants = this.#tenants().filter((one) =>
      rings.some((ring) => ring.tenant === undefined || ring.tenant === one),
    );
    if (keks.some((kek) => this.#entry(rings, kek)?.entry.state === 'there'))
      await this.#service.rewrap({ tenants, record });
    const ended: EndedKey[] = [];
    for (const kek of keks) {
      const found = this.#entry(rings, kek);
      if (found === undefined)
        throw new LedgerError(
          'keyring-invalid',
          `keys/keyring.json does not list ${kek}, which a shred is to end; restore it from its backup`,
        );
      ended.push({ kek, destruction: await this.#destroy(found.ring, found.entry) });
    }
    return ended;
  }

  #destroy(ring: Ring, { id, state, until }: KekEntry): Promise<EndedKey['destruction']> {
    if (state === 'destroyed') return Promise.resolve({ kind: 'destroyed' });
    if (state === 'ending') return Promise.resolve({ kind: 'pendingUntil', at: until ?? '' });
    return this.#service.destroy({ tenant: ring.tenant, id, record: this.#record });
  }

  /** The rings that hold any of the keys: a tenant's own, and the shared one, which it may have used before. */
  #ringsOf(tenant: TenantId, keks: readonly string[]): readonly Ring[] {
    return this.#keyrings
      .rings()
      .filter((ring) => ring.tenant === undefined || ring.tenant === tenant)
      .filter(({ entries }) => entries.some(({ id }) => keks.includes(id)));
  }

  #entry(rings: readonly Ring[], kek: string): { readonly ring: Ring; readonly entry: KekEntry } | undefined {
    for (const ring of rings) {
      const entry = ring.entries.find(({ id }) => id === kek);
      if (entry !== undefined) return { ring, entry };
    }
    return undefined;
  }
}
