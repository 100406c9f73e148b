/**
 * Legal holds of a ledger, in its own directory: `holds/<id>/` with the hold's seed (wrapped), its terms (sealed), and the copies it kept of what was shredded.
 * Until something is shredded nothing is copied: the events themselves are there.
 */
import { crc32 } from 'node:zlib';
import type { TenantId } from '@watchglass/record';
import {
  encodeReleased,
  frameHeaderBytes,
  heldFileName,
  heldPlaintextBytesMax,
  holdIdPattern,
  holdSeed,
  holdSeedData,
  type IndexRange,
  type Keyrings,
  type OpenedEvent,
  openHeld,
  openHoldTerms,
  parseHeldHeader,
  parseHeldName,
  parseReleased,
  parseWrappedSecret,
  sealHeld,
  sealHoldTerms,
  type Unit,
  unitName,
  wrapSecret,
} from '@watchglass/record/reader';
import type { World } from '../world/world.ts';
import { LedgerError } from './errors.ts';
import { isHeld } from './hold-criteria.ts';
import type { Hold, HoldTerms, KeyEnding } from './shred.ts';
import { holdAddedFacts, holdEndedFacts, holdReleasedFacts, type RecordShred } from './shred-events.ts';
import { forEachHeld } from './shred-survey.ts';
import type { StorageDriver } from './storage.ts';
import type { TenantLog } from './tenant-log.ts';

export interface HoldsParts {
  readonly world: World;
  readonly driver: StorageDriver;
  readonly keyrings: Keyrings;
  readonly keys: KeyEnding;
  /** `DIR/ledger`. */
  readonly dir: string;
  readonly record: RecordShred;
  /** Removes index files and token keys of a class and epoch: what a hold kept was indexed again. */
  readonly forgetIndex: (tenant: TenantId, unit: Unit) => Promise<void>;
}

export class Holds {
  readonly #parts: HoldsParts;

  constructor(parts: HoldsParts) {
    this.#parts = parts;
  }

  async add(log: TenantLog, terms: HoldTerms): Promise<Hold> {
    const { world, driver, keyrings, record } = this.#parts;
    const { tenant, origin, originHash } = log;
    const id = Buffer.from(world.random.bytes(16)).toString('hex');
    const seed = world.random.bytes(32);
    await keyrings
      .of(tenant)
      .hold(async (kek) =>
        driver.putDocument(tenant, `holds/${id}/seed`, await wrapSecret(seed, holdSeedData(origin, id), kek)),
      );
    const salt = world.random.bytes(16);
    const sealed = sealHoldTerms({ originHash, hold: id, seed, salt, text: JSON.stringify(terms) });
    seed.fill(0);
    // First the files, then the event: a hold that nobody was told of holds all the same, one that only the log knows would not.
    await driver.putDocument(tenant, `holds/${id}/terms`, sealed);
    await this.#adopt(log, { id, terms, kept: [] });
    await record(log, holdAddedFacts(id, terms), id);
    const added = (await this.list(log)).find((hold) => hold.id === id);
    return added ?? { id, terms, kept: [] };
  }

  /** What other holds keep of shredded events, this one keeps too: theirs may be released first. */
  async #adopt(log: TenantLog, { id, terms }: Hold): Promise<void> {
    const { held } = log.remains;
    const byUnit = new Map<string, { readonly unit: Unit; readonly indexes: number[] }>();
    for (let at = held.next(0, log.head.size); at !== undefined; at = held.next(at + 1, log.head.size)) {
      const record = await log.records.open(at);
      if (!isHeld(terms.criteria, record)) continue;
      const of = byUnit.get(unitName(record)) ?? { unit: record, indexes: [] };
      byUnit.set(unitName(record), of);
      of.indexes.push(at);
    }
    for (const { unit, indexes } of byUnit.values()) await this.#keep(log, { id, unit, indexes });
    if (byUnit.size > 0) await held.load();
  }

  /** Holds that are on. */
  async list(log: TenantLog): Promise<Hold[]> {
    const { driver } = this.#parts;
    const holds: Hold[] = [];
    for (const id of await this.#ids(log.tenant)) {
      const names = await driver.documents(log.tenant, `holds/${id}`);
      const bytes = names.includes('released') ? undefined : await driver.document(log.tenant, `holds/${id}/terms`);
      if (bytes === undefined) continue;
      const seed = await this.#seed(log, id);
      const terms = JSON.parse(openHoldTerms(bytes, seed)) as HoldTerms;
      const kept: Hold['kept'][number][] = [];
      for (const name of names) {
        const unit = parseHeldName(name);
        if (unit !== undefined) kept.push({ ...unit, events: log.remains.held.count(id, unit) });
      }
      holds.push({ id, terms, kept });
    }
    return holds;
  }

  /** Copies what holds are about, and reads each copy back. @returns how many events each keeps */
  async keep(
    log: TenantLog,
    unit: Unit,
    ranges: readonly IndexRange[],
    holds: readonly Hold[],
  ): Promise<readonly (readonly [string, number])[]> {
    const wanted = new Map<string, number[]>();
    await forEachHeld({ log, holds, signal: undefined }, { ranges, unit }, ({ id }, index) => {
      const indexes = wanted.get(id);
      if (indexes === undefined) wanted.set(id, [index]);
      else indexes.push(index);
    });
    for (const [id, indexes] of wanted) await this.#keep(log, { id, unit, indexes });
    return [...wanted].map(([id, indexes]) => [id, indexes.length] as const).sort(([a], [b]) => (a < b ? -1 : 1));
  }

  async #keep(
    log: TenantLog,
    { id, unit, indexes }: { readonly id: string; readonly unit: Unit; readonly indexes: readonly number[] },
  ): Promise<void> {
    const { driver, world } = this.#parts;
    const seed = await this.#seed(log, id);
    const frames: Buffer[] = [];
    let events: OpenedEvent[] = [];
    let bytes = 0;
    const seal = (): void => {
      const scope = { originHash: log.originHash, hold: id, retentionClass: unit.retentionClass, epoch: unit.epoch };
      const copy = sealHeld({ scope, seed, salt: world.random.bytes(16), events });
      if (openHeld(copy, parseHeldHeader(copy), seed).length !== events.length)
        throw new LedgerError('corrupt', 'a copy of held events does not open again; nothing was touched');
      const head = Buffer.allocUnsafe(frameHeaderBytes);
      head.writeUInt32BE(copy.length, 0);
      head.writeUInt32BE(crc32(copy), 4);
      frames.push(head, copy);
      events = [];
      bytes = 0;
    };
    for (const index of indexes) {
      const { r, m } = await log.records.open(index);
      if (bytes > 0 && bytes + m.length > heldPlaintextBytesMax) seal();
      events.push({ index, r, m });
      bytes += m.length + 36;
    }
    seal();
    await driver.putDocument(log.tenant, heldFileName(id, unit), Buffer.concat(frames));
  }

  /** @throws LedgerError `not-found` */
  async release(log: TenantLog, id: string, people: readonly string[]): Promise<void> {
    const { driver, keys, record } = this.#parts;
    const hold = holdIdPattern.test(id) ? (await this.list(log)).find((one) => one.id === id) : undefined;
    if (hold === undefined)
      throw new LedgerError('not-found', 'expected the id of a hold that is on; watchglass hold list has them');
    const wrapped = (await driver.document(log.tenant, `holds/${id}/seed`)) as Uint8Array;
    // Without copies the events are still in the log: no key has to go.
    const keks = hold.kept.length === 0 ? [] : await keys.standing(log.tenant, [parseWrappedSecret(wrapped).kek]);
    const event = await record(log, holdReleasedFacts(id, keks, people), id);
    await driver.putDocument(log.tenant, `holds/${id}/released`, encodeReleased(event));
    await this.#clear(log, id);
    await this.#endKeys(log, id, keks);
  }

  /** Ends what a release had begun when the process ended. */
  async resume(log: TenantLog): Promise<void> {
    const { driver, keys } = this.#parts;
    for (const id of await this.#ids(log.tenant)) {
      const bytes = await driver.document(log.tenant, `holds/${id}/released`);
      if (bytes === undefined) continue;
      await this.#clear(log, id);
      const { event } = JSON.parse(Buffer.from(parseReleased(bytes).m).toString()) as {
        event: { changes?: readonly { path: string; after?: string }[] };
      };
      const named = (event.changes ?? []).flatMap(({ path, after }) => (path === '/kek' && after ? [after] : []));
      const standing = new Set(named.length === 0 ? [] : await keys.standing(log.tenant, named));
      await this.#endKeys(
        log,
        id,
        named.filter((kek) => standing.has(kek)),
      );
    }
  }

  async #endKeys(log: TenantLog, id: string, keks: readonly string[]): Promise<void> {
    if (keks.length === 0) return;
    const ended = await this.#parts.keys.end(log.tenant, keks);
    await this.#parts.record(log, holdEndedFacts(id, ended), id);
  }

  /** The seed first: what is left of copies then stays closed. */
  async #clear(log: TenantLog, id: string): Promise<void> {
    const { driver } = this.#parts;
    const names = (await driver.documents(log.tenant, `holds/${id}`)).filter((name) => name !== 'released');
    for (const name of names.sort((a, b) => Number(b === 'seed') - Number(a === 'seed')))
      await driver.removeDocument(log.tenant, `holds/${id}/${name}`);
    if (names.length === 0) return;
    await log.remains.held.load();
    for (const unit of names.map(parseHeldName))
      if (unit !== undefined) await this.#parts.forgetIndex(log.tenant, unit);
  }

  async #ids(tenant: TenantId): Promise<string[]> {
    const names = await this.#parts.driver.documents(tenant, 'holds');
    return names.map((name) => name.slice(0, -1)).filter((name) => holdIdPattern.test(name));
  }

  #seed(log: TenantLog, hold: string): Promise<Uint8Array> {
    const { driver, keyrings, dir } = this.#parts;
    const place = { dir: `${dir}/${log.tenant}`, origin: log.origin, hold, keys: keyrings.of(log.tenant) };
    return holdSeed(driver.files, place);
  }
}
