/**
 * The copies that legal holds kept of shredded events: where each lies, and opening one. Copies of a unit count once its shred has begun; until then the
 * events are where they always were.
 */
import { crc32 } from 'node:zlib';
import { holdSeedData, openHeld, parseHeldHeader } from '../codec/hold-copy.ts';
import type { KekFinder } from '../codec/kek.ts';
import { heldFileName, holdIdPattern, parseHeldName, type Unit, unitName } from '../codec/names.ts';
import type { OpenedEvent } from '../codec/shred-record.ts';
import { unwrapSecret } from '../codec/wrapped-secret.ts';
import { RecordError } from '../errors.ts';
import { frameHeaderBytes } from './block-index.ts';
import { type LedgerFiles, readRange } from './ledger-files.ts';
import { readWhole } from './shredded-units.ts';

interface Copy extends Unit {
  readonly hold: string;
  readonly path: string;
  /** Of the copy itself, after its frame header. */
  readonly position: number;
  readonly bytes: number;
  /** Firsts and counts. */
  readonly ranges: readonly { readonly first: number; readonly count: number }[];
}

export class HeldCopies {
  readonly #files: LedgerFiles;
  readonly #dir: string;
  readonly #origin: string;
  readonly #keys: KekFinder;
  #copies: readonly Copy[] = [];
  #opened: { readonly copy: Copy; readonly events: readonly OpenedEvent[] } | undefined;

  constructor(files: LedgerFiles, dir: string, origin: string, keys: KekFinder) {
    this.#files = files;
    this.#dir = dir;
    this.#origin = origin;
    this.#keys = keys;
  }

  /** Looks at the directory anew. @throws {RecordError} `hold-malformed` */
  async load(): Promise<void> {
    const copies: Copy[] = [];
    for (const hold of await holdsIn(this.#files, this.#dir)) {
      for (const name of await this.#files.list(`${this.#dir}/holds/${hold}`)) {
        const unit = parseHeldName(name);
        if (unit === undefined) continue;
        const path = `${this.#dir}/${heldFileName(hold, unit)}`;
        for (const frame of framesOf((await readWhole(this.#files, path)) ?? new Uint8Array(0))) {
          const { ranges } = parseHeldHeader(frame.copy);
          copies.push({ ...unit, hold, path, position: frame.position, bytes: frame.copy.length, ranges });
        }
      }
    }
    this.#opened = undefined;
    this.#copies = copies.sort((a, b) => firstOf(a) - firstOf(b));
  }

  get isEmpty(): boolean {
    return this.#copies.length === 0;
  }

  /** The first held index in [from, end). */
  next(from: number, end: number): number | undefined {
    let found: number | undefined;
    for (const { ranges } of this.#copies) {
      for (const { first, count } of ranges) {
        if (first >= (found ?? end)) break;
        if (first + count <= from) continue;
        found = Math.max(first, from);
        break;
      }
    }
    return found;
  }

  /** Events that a hold keeps of a unit. */
  count(hold: string, unit: Unit): number {
    return this.#copies
      .filter((copy) => copy.hold === hold && unitName(copy) === unitName(unit))
      .reduce((sum, { ranges }) => sum + ranges.reduce((events, { count }) => events + count, 0), 0);
  }

  async open(index: number): Promise<(OpenedEvent & Unit) | undefined> {
    const copy = this.#copies.find(({ ranges }) =>
      ranges.some(({ first, count }) => index >= first && index < first + count),
    );
    if (copy === undefined) return undefined;
    if (this.#opened?.copy !== copy) this.#opened = { copy, events: await this.#open(copy) };
    const event = this.#opened.events.find((one) => one.index === index) as OpenedEvent;
    return { ...event, retentionClass: copy.retentionClass, epoch: copy.epoch };
  }

  async #open({ hold, path, position, bytes }: Copy): Promise<OpenedEvent[]> {
    const file = await this.#files.open(path, 'read');
    try {
      const copy = await readRange(file, position, bytes);
      const seed = await holdSeed(this.#files, { dir: this.#dir, origin: this.#origin, hold, keys: this.#keys });
      return openHeld(copy, parseHeldHeader(copy), seed);
    } finally {
      await file.close();
    }
  }
}

/** Ids of the holds in a tenant's directory. */
export async function holdsIn(files: Pick<LedgerFiles, 'list'>, dir: string): Promise<string[]> {
  return (await files.list(`${dir}/holds`)).flatMap((name) =>
    name.endsWith('/') && holdIdPattern.test(name.slice(0, -1)) ? [name.slice(0, -1)] : [],
  );
}

/** @throws {RecordError} `seed-refused`, `seed-malformed`, `kek-unknown`, and what the key's provider says */
export async function holdSeed(
  files: Pick<LedgerFiles, 'readFile'>,
  place: { readonly dir: string; readonly origin: string; readonly hold: string; readonly keys: KekFinder },
): Promise<Uint8Array> {
  const { dir, origin, hold, keys } = place;
  const bytes = await files.readFile(`${dir}/holds/${hold}/seed`);
  if (bytes === undefined)
    throw new RecordError('seed-refused', `the seed of hold ${hold} is missing; restore it from its backup`);
  return unwrapSecret(bytes, holdSeedData(origin, hold), keys);
}

/** The copies in a file: each u32 length ‖ u32 CRC-32 ‖ copy. @throws {RecordError} `hold-malformed` */
export function* framesOf(
  bytes: Uint8Array,
): Generator<{ readonly copy: Uint8Array; readonly position: number; readonly whole: boolean }> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < bytes.length; ) {
    const left = bytes.length - at - frameHeaderBytes;
    const length = left < 0 ? 0 : view.getUint32(at);
    if (length === 0 || length > left)
      throw new RecordError('hold-malformed', `the file of a hold ends inside the copy at byte ${at}`);
    const position = at + frameHeaderBytes;
    const copy = bytes.subarray(position, position + length);
    yield { copy, position, whole: crc32(copy) === view.getUint32(at + 4) };
    at = position + length;
  }
}

function firstOf({ ranges }: Copy): number {
  return ranges[0]?.first ?? 0;
}
