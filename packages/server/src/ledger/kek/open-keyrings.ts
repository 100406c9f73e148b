/**
 * The keyrings of an installation, from its configuration and `keys/keyring.json`: opened when the ledger is, changed only through here, and by the process
 * that holds the ledger's lock.
 *
 * The configuration names the provider and, for keys kept elsewhere, a first key. A key it names that the ring doesn't know becomes current at the start,
 * once it has wrapped and unwrapped a probe; everything else is refused rather than guessed.
 */
import { RecordError } from '@watchglass/record';
import type { Kek, Keyrings } from '@watchglass/record/reader';
import type { World } from '../../world/world.ts';
import { LedgerError } from '../errors.ts';
import { hasKeyFile } from './file-keks.ts';
import { type KekEntry, type KeyringFile, readKeyringFile, writeKeyringFile } from './keyring-file.ts';
import { locatorOf, openProvider, type ProviderPlace } from './open-provider.ts';
import type { KekProvider, ProviderDeps } from './provider.ts';
import { brokenKek, goneKek, Ring } from './ring.ts';
import { defaultKeys, type KekSettings, type KeysSettings } from './settings.ts';

export interface OpenKeyringsOptions {
  readonly world: World;
  readonly env: ProviderDeps['env'];
  readonly keysDir: string;
  readonly settings: KeysSettings;
  /** False where there is a ledger already: a first local key made now couldn't open it. */
  readonly mayMake: boolean;
  /** For whoever only reads: nothing is made, made current or written. */
  readonly readOnly?: boolean;
  /** For whoever doesn't know the configuration: what `keyring.json` says is current stays so, and keys are reached as it says. */
  readonly asStored?: boolean;
}

/** Another key is current than at the last stop. */
export interface TurnedRing {
  readonly tenant: string | undefined;
  readonly from: string | undefined;
  readonly to: string;
}

/** The keys of `keysDir` as its files say, wherever they are kept; the local key of an installation that has no `keyring.json`. */
export function openStoredKeyrings(
  world: World,
  keysDir: string,
  mayMake: boolean,
  env: ProviderDeps['env'] = {},
): Promise<OpenedKeyrings> {
  return openKeyrings({ world, env, keysDir, settings: defaultKeys, mayMake, asStored: true });
}

/** @throws LedgerError `keyring-invalid`, `corrupt`; RecordError as a Kek does, when a key of the configuration can't be used */
export async function openKeyrings(options: OpenKeyringsOptions): Promise<OpenedKeyrings> {
  const opened = new OpenedKeyrings(options);
  try {
    await opened.start();
    return opened;
  } catch (error) {
    await opened[Symbol.asyncDispose]();
    throw error;
  }
}

export class OpenedKeyrings implements Keyrings<Ring>, AsyncDisposable {
  readonly #options: OpenKeyringsOptions;
  readonly #deps: ProviderDeps;
  readonly #shared: Ring;
  readonly #tenants: Map<string, Ring> = new Map();
  /** By settings and place: one process for each PKCS#11 token, one bearer token for each account. */
  readonly #providers: Map<string, KekProvider & Partial<AsyncDisposable>> = new Map();
  /** What the start made current, to be recorded in the ledger when it is open. */
  readonly turned: TurnedRing[] = [];

  constructor(options: OpenKeyringsOptions) {
    this.#options = options;
    this.#deps = { world: options.world, env: options.env };
    this.#shared = new Ring({ tenant: undefined, mayUnwrap: this.#mayUnwrap });
  }

  get #mayUnwrap(): boolean {
    return this.#options.settings.rights !== 'wrap';
  }

  /** Whether this process may open what it sealed. */
  get mayUnwrap(): boolean {
    return this.#mayUnwrap;
  }

  of(tenant: string): Ring {
    return this.#tenants.get(tenant) ?? this.#shared;
  }

  /** The shared ring first. */
  rings(): readonly Ring[] {
    return [this.#shared, ...this.#tenants.values()];
  }

  settingsOf(ring: Ring): KekSettings {
    const { shared, tenants } = this.#options.settings;
    return (ring.tenant === undefined ? undefined : tenants[ring.tenant]) ?? shared;
  }

  async start(): Promise<void> {
    const { world, keysDir, settings, readOnly = false, asStored = false } = this.#options;
    const file = await readKeyringFile(world, keysDir);
    await this.#load(this.#shared, file?.shared.keks ?? []);
    await this.#shared.turnTo(file?.shared.current ?? undefined);
    if (file === undefined) await this.#firstLocalKey();
    const names = new Set([...Object.keys(settings.tenants), ...Object.keys(file?.tenants ?? {})]);
    for (const tenant of [...names].sort()) {
      const ring = new Ring({ tenant, mayUnwrap: this.#mayUnwrap, beyond: this.#shared });
      this.#tenants.set(tenant, ring);
      const stored = file?.tenants[tenant];
      await this.#load(ring, stored?.keks ?? []);
      await ring.turnTo(stored?.current ?? undefined);
    }
    if (readOnly || asStored) return;
    for (const ring of this.rings()) await this.#followConfiguration(ring);
    if (this.turned.length > 0) await this.#write();
  }

  /** An installation of one local key has it in `keys/kek`, and no keyring.json. */
  async #firstLocalKey(): Promise<void> {
    const { world, keysDir, settings, mayMake, readOnly = false } = this.#options;
    const place = { keysDir, tenant: undefined };
    if (!(await hasKeyFile(world, place, 'kek'))) {
      if (settings.shared.provider !== 'local' || readOnly) return;
      if (!mayMake)
        throw new LedgerError(
          'corrupt',
          'keys/kek is missing, and the ledger holds what was sealed under it; restore it from its backup',
        );
      await world.disk.makeDirectory(keysDir);
      await world.disk.replace(`${keysDir}/kek`, world.random.bytes(32), { mode: 0o600 });
    } else if (mayMake && !readOnly) {
      // Nothing was sealed under it yet: its maker may have been killed before its name was durable.
      await world.disk.syncDirectory(keysDir);
    }
    const local: KekSettings = { provider: 'local' };
    const kek = await this.#provider(local, this.#shared).open('kek');
    this.#shared.put({ id: kek.id, locator: 'kek', settings: local, state: 'there', since: this.#now() }, kek);
    await this.#shared.turnTo(kek.id);
  }

  /** Opens what the file lists: what can't be opened any more says so when it is needed. */
  async #load(ring: Ring, entries: readonly KekEntry[]): Promise<void> {
    const configured = this.settingsOf(ring);
    for (const entry of entries) {
      if (entry.state === 'destroyed') {
        ring.put(entry, goneKek(entry));
        continue;
      }
      // The way to a keeper is the configuration's, where it is about the same one: credentials move, keys stay.
      const settings = configured.provider === entry.settings.provider ? configured : entry.settings;
      const older = entry.settings.provider === 'passphrase' ? [entry.settings.passphrase] : [];
      ring.put(entry, await this.#open(this.#provider(settings, ring, older), entry));
    }
  }

  async #open(provider: KekProvider, { id, locator }: KekEntry): Promise<Kek> {
    const { erase } = provider;
    const broken = (why: RecordError): Kek => brokenKek(id, why, erase && (() => erase(locator)));
    try {
      const kek = await provider.open(locator);
      if (kek.id === id) return kek;
      return broken(
        new RecordError('kek-lost', `what is kept as ${locator} is not ${id} any more; restore it from its backup`),
      );
    } catch (error) {
      if (!(error instanceof RecordError)) throw error;
      return broken(error);
    }
  }

  async #followConfiguration(ring: Ring): Promise<void> {
    const { settings } = this.#options;
    if (ring.tenant !== undefined && settings.tenants[ring.tenant] === undefined) {
      if (ring.currentId === undefined) return;
      this.turned.push({ tenant: ring.tenant, from: ring.currentId, to: this.#shared.current.id });
      await ring.turnTo(undefined);
      return;
    }
    const wanted = this.settingsOf(ring);
    const current = ring.entries.find(({ id }) => id === ring.currentId);
    const named = locatorOf(wanted);
    const known =
      named === undefined
        ? undefined
        : ring.entries.find((entry) => entry.settings.provider === wanted.provider && entry.locator === named);
    if (current?.settings.provider === wanted.provider && (named === undefined || known !== undefined)) return;
    const to = await this.prepare(ring, named);
    this.turned.push({ tenant: ring.tenant, from: ring.currentId, to: to.entry.id });
    ring.put(to.entry, to.kek);
    await ring.turnTo(to.entry.id);
  }

  /** A key that is ready to become current: named, or made; and tried. */
  async prepare(ring: Ring, key: string | undefined): Promise<{ readonly entry: KekEntry; readonly kek: Kek }> {
    const settings = this.settingsOf(ring);
    const provider = this.#provider(settings, ring);
    if (key !== undefined && locatorOf(settings) === undefined)
      throw new LedgerError(
        'keyring-invalid',
        `keys of the provider ${settings.provider} are made here; leave the name of a key out`,
      );
    const locator = key ?? (await provider.create());
    const kek = await provider.open(locator);
    const stored = ring.entries.find(({ id }) => id === kek.id);
    if (stored !== undefined && stored.state !== 'there')
      throw new LedgerError(
        'keyring-invalid',
        `${kek.id} was destroyed and can't become current again; name another key`,
      );
    await this.#try(kek);
    return { entry: stored ?? { id: kek.id, locator, settings, state: 'there', since: this.#now() }, kek };
  }

  /** Before anything is entrusted to it: what it wraps, it must unwrap. */
  async #try(kek: Kek): Promise<void> {
    const aad = new TextEncoder().encode('watchglass/v1/probe\n');
    const probe = this.#options.world.random.bytes(32);
    const wrapped = await kek.wrap(probe, aad);
    // A process that may only wrap has to take its word for it.
    if (!this.#mayUnwrap) return;
    if (Buffer.compare(await kek.unwrap(wrapped, aad), probe) !== 0)
      throw new RecordError(
        'kek-malformed',
        `${kek.id} did not give back what it wrapped; check that the service is what it should be`,
      );
  }

  /** Makes a prepared key current, durably. */
  async turn(ring: Ring, { entry, kek }: { readonly entry: KekEntry; readonly kek: Kek }): Promise<void> {
    ring.put(entry, kek);
    await this.#write(ring, entry.id);
    await ring.turnTo(entry.id);
  }

  /** Remembers what became of a key. */
  async mark(ring: Ring, id: string, state: 'ending' | 'destroyed', until: string): Promise<void> {
    const entry = ring.entries.find((one) => one.id === id);
    if (entry === undefined) throw new LedgerError('keyring-invalid', `the ring does not hold ${id}`);
    const marked = { ...entry, state, until };
    ring.put(marked, state === 'destroyed' ? goneKek(marked) : undefined);
    await this.#write();
  }

  async #write(turning?: Ring, to?: string): Promise<void> {
    const stored = (ring: Ring): KeyringFile['shared'] => ({
      current: (ring === turning ? to : ring.currentId) ?? null,
      keks: [...ring.entries],
    });
    const tenants = Object.fromEntries([...this.#tenants].map(([tenant, ring]) => [tenant, stored(ring)]));
    await writeKeyringFile(this.#options.world, this.#options.keysDir, { v: 1, shared: stored(this.#shared), tenants });
  }

  #provider(
    settings: KekSettings,
    { tenant }: Ring,
    olderPassphrases: ProviderPlace['olderPassphrases'] = [],
  ): KekProvider {
    const name = JSON.stringify([settings, tenant, olderPassphrases]);
    let provider = this.#providers.get(name);
    if (provider === undefined) {
      provider = openProvider(settings, { keysDir: this.#options.keysDir, tenant, olderPassphrases }, this.#deps);
      this.#providers.set(name, provider);
    }
    return provider;
  }

  #now(): string {
    return new Date(this.#options.world.clock.now()).toISOString();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const provider of this.#providers.values()) await provider[Symbol.asyncDispose]?.();
    this.#providers.clear();
  }
}
