/**
 * What a file holds on a simulated disk: the bytes that processes see (the page cache), the bytes that are stored, and what was
 * changed since the last sync, which a power failure keeps, loses, tears and reorders as the dice fall.
 */
import type { SimRandom } from './sim-random.ts';

/** Written as a whole or not at all. */
const sectorBytes = 512;

type Change = { readonly position: number; readonly bytes: Uint8Array } | { readonly truncatedTo: number };

export class SimContent {
  #current: GrowingFile;
  #stored: GrowingFile;
  #dirty: Change[] = [];

  constructor() {
    this.#current = new GrowingFile();
    this.#stored = new GrowingFile();
  }

  get size(): number {
    return this.#current.size;
  }

  /** A copy of what processes see. */
  bytes(): Buffer {
    return this.#current.copy();
  }

  read(into: Uint8Array, position: number): number {
    return this.#current.read(into, position);
  }

  write(bytes: Uint8Array, position: number): void {
    if (bytes.length === 0) return;
    const made = { position, bytes: Uint8Array.from(bytes) };
    this.#current.apply(made);
    this.#dirty.push(made);
  }

  truncate(size: number): void {
    if (size === this.#current.size) return;
    const made = { truncatedTo: size };
    this.#current.apply(made);
    this.#dirty.push(made);
  }

  sync(): void {
    for (const made of this.#dirty.splice(0)) this.#stored.apply(made);
  }

  /**
   * A sync that fails: some of it may be stored, and the rest is not asked for again by a later sync, since Linux marks the
   * pages clean. Processes go on seeing it.
   */
  failSync(random: SimRandom): void {
    this.#stored = afterPowerFailure(this.#stored, this.#dirty.splice(0), random);
  }

  /** The page cache is gone. */
  losePower(random: SimRandom): void {
    if (this.#dirty.length > 0) this.#stored = afterPowerFailure(this.#stored, this.#dirty.splice(0), random);
    this.#current = this.#stored.clone();
  }

  /** A byte goes bad on the medium itself: nobody is told. */
  rot(position: number, bit: number): void {
    const at = position % Math.max(1, this.#current.size);
    for (const file of [this.#current, this.#stored]) file.flip(at, bit);
  }
}

/** What is stored once the power is back. */
function afterPowerFailure(stored: GrowingFile, dirty: readonly Change[], random: SimRandom): GrowingFile {
  const found = stored.clone();
  switch (random.below(5)) {
    case 0:
      return found;
    case 1:
      for (const made of dirty) found.apply(made);
      return found;
    case 2: {
      // In order, up to somewhere inside one of the writes.
      const whole = random.below(dirty.length + 1);
      for (const made of dirty.slice(0, whole)) found.apply(made);
      const torn = dirty[whole];
      if (torn !== undefined && !('truncatedTo' in torn))
        tear(found, torn, (sector, sectors) => sector < random.below(sectors + 1));
      return found;
    }
    case 3:
      return reordered(found, dirty, random);
    default:
      // The length is stored and the bytes aren't: zeros.
      stretch(found, dirty);
      return found;
  }
}

function tear(
  file: GrowingFile,
  { position, bytes }: { readonly position: number; readonly bytes: Uint8Array },
  keeps: (sector: number, sectors: number) => boolean,
): void {
  const first = Math.floor(position / sectorBytes);
  const end = Math.ceil((position + bytes.length) / sectorBytes);
  for (let sector = first; sector < end; sector++) {
    if (!keeps(sector - first, end - first)) continue;
    const from = Math.max(position, sector * sectorBytes);
    const to = Math.min(position + bytes.length, (sector + 1) * sectorBytes);
    file.apply({ position: from, bytes: bytes.subarray(from - position, to - position) });
  }
}

/** Each sector as it was after some of the changes, whatever the others are: the system stores them in any order. */
function reordered(stored: GrowingFile, dirty: readonly Change[], random: SimRandom): GrowingFile {
  const seen = stored.clone();
  const versions = new Map<number, number>();
  const sizes = [stored.size];
  const found = stored.clone();
  for (const made of dirty) {
    if ('truncatedTo' in made) continue;
    const end = Math.ceil((made.position + made.bytes.length) / sectorBytes);
    for (let sector = Math.floor(made.position / sectorBytes); sector < end; sector++)
      if (!versions.has(sector)) versions.set(sector, random.below(dirty.length + 1));
  }
  for (const [at, made] of dirty.entries()) {
    seen.apply(made);
    sizes.push(seen.size);
    for (const [sector, version] of versions) {
      if (version !== at + 1 || sector * sectorBytes >= seen.size) continue;
      const bytes = new Uint8Array(Math.min(sectorBytes, seen.size - sector * sectorBytes));
      seen.read(bytes, sector * sectorBytes);
      found.apply({ position: sector * sectorBytes, bytes });
    }
  }
  // The length is stored on its own, and what it covers without bytes reads as zeros.
  found.apply({ truncatedTo: random.pick(sizes) });
  return found;
}

function stretch(file: GrowingFile, dirty: readonly Change[]): void {
  let size = file.size;
  for (const made of dirty)
    size = 'truncatedTo' in made ? made.truncatedTo : Math.max(size, made.position + made.bytes.length);
  if (size > file.size) file.apply({ truncatedTo: size });
}

/** Bytes that grow without being copied at each write. */
class GrowingFile {
  #bytes: Buffer;
  size = 0;

  constructor(bytes: Buffer = Buffer.alloc(0), size = 0) {
    this.#bytes = bytes;
    this.size = size;
  }

  clone(): GrowingFile {
    return new GrowingFile(this.copy(), this.size);
  }

  copy(): Buffer {
    return Buffer.from(this.#bytes.subarray(0, this.size));
  }

  read(into: Uint8Array, position: number): number {
    const part = this.#bytes.subarray(Math.min(position, this.size), Math.min(this.size, position + into.length));
    into.set(part);
    return part.length;
  }

  flip(at: number, bit: number): void {
    if (at < this.size) this.#bytes[at] = (this.#bytes[at] as number) ^ (1 << bit);
  }

  apply(made: Change): void {
    if ('truncatedTo' in made) {
      this.#reserve(made.truncatedTo);
      // What lies past the end reads as zeros when the file grows again.
      if (made.truncatedTo < this.size) this.#bytes.fill(0, made.truncatedTo, this.size);
      this.size = made.truncatedTo;
      return;
    }
    const end = made.position + made.bytes.length;
    this.#reserve(end);
    this.#bytes.set(made.bytes, made.position);
    this.size = Math.max(this.size, end);
  }

  #reserve(size: number): void {
    if (size <= this.#bytes.length) return;
    const larger = Buffer.alloc(Math.max(size, this.#bytes.length * 2, 256));
    larger.set(this.#bytes);
    this.#bytes = larger;
  }
}
