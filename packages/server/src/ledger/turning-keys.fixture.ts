/** The real keyrings of an installation in a test, with a keeper that can be told to refuse, or to take its time. */
import type { TenantId } from '@watchglass/record';
import type { World } from '../world/world.ts';
import { RingEnding } from './kek/key-ending.ts';
import { KeyService } from './kek/key-service.ts';
import { type OpenedKeyrings, openStoredKeyrings } from './kek/open-keyrings.ts';
import type { Ledger, OpenLedgerOptions } from './ledger.ts';
import type { EndedKey, KeyEnding } from './shred.ts';

export class TurningKeys implements KeyEnding {
  readonly #world: World;
  readonly #keysDir: string;
  #keyrings!: OpenedKeyrings;
  #ending!: RingEnding;
  #service!: KeyService;
  /** What the keeper says instead of destroying. */
  refusal: Error | undefined;
  /** Until when it can still be called back. */
  pending: string | undefined;

  constructor(world: World, keysDir: string) {
    this.#world = world;
    this.#keysDir = keysDir;
  }

  /** What `openLedger` is given. */
  get options(): Pick<OpenLedgerOptions, 'keyrings' | 'keyEnding'> {
    return {
      keyrings: async (mayMake, world) => {
        this.#keyrings = await openStoredKeyrings(world, this.#keysDir, mayMake);
        return this.#keyrings;
      },
      keyEnding: this,
    };
  }

  /** Once the ledger is open. */
  of(ledger: Ledger): void {
    const keyrings = this.#keyrings;
    const tenants = (): readonly TenantId[] => ledger.tenants();
    const sources = [(tenant: TenantId) => ledger.wrappedSeeds(tenant)];
    const service = new KeyService({ keyrings, sources, tenants, world: this.#world });
    this.#service = service;
    this.#ending = new RingEnding({
      keyrings,
      tenants,
      record: async () => undefined,
      service: {
        rotate: (asked) => service.rotate(asked),
        rewrap: (asked) => service.rewrap(asked),
        destroy: async (asked) => {
          if (this.refusal !== undefined) throw this.refusal;
          const destruction = await service.destroy(asked);
          return this.pending === undefined ? destruction : { kind: 'pendingUntil', at: this.pending };
        },
      },
    });
  }

  /** Once the ledger is open. */
  get service(): Pick<KeyService, 'rotate' | 'rewrap'> {
    return this.#service;
  }

  standing(tenant: TenantId, keks: readonly string[]): Promise<readonly string[]> {
    return this.#ending.standing(tenant, keks);
  }

  end(tenant: TenantId, keks: readonly string[]): Promise<readonly EndedKey[]> {
    return this.#ending.end(tenant, keks);
  }
}
