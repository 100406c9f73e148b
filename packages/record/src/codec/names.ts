/** The names of files under `ledger/` (docs/format.md, "Group and journal" and "Archive"): one spelling each. */
import { encodeHex } from '../bytes.ts';
import { type RetentionClass, retentionClasses } from '../retention.ts';

/** Commitments in a full commitment file. */
export const commitmentsPerFile = 65_536;

/** `journal/<16 digits>.wgj` without the directory. */
export function segmentName(firstGroup: number): string {
  return `${String(firstGroup).padStart(16, '0')}.wgj`;
}

/** The number in a segment's name, or undefined. */
export function parseSegmentName(name: string): number | undefined {
  const match = /^(\d{16})\.wgj$/.exec(name);
  const number = Number(match?.[1]);
  return match !== null && Number.isSafeInteger(number) ? number : undefined;
}

export function blockFileName(retentionClass: RetentionClass, epoch: number, number: number): string {
  return `blocks/${retentionClass}-${epoch}-${String(number).padStart(6, '0')}.wgb`;
}

export function commitmentFileName(number: number): string {
  return `commitments/${String(number).padStart(6, '0')}.wgc`;
}

export type ArchiveName =
  | {
      readonly kind: 'blocks';
      readonly retentionClass: RetentionClass;
      readonly epoch: number;
      readonly number: number;
    }
  | { readonly kind: 'commitments'; readonly number: number };

/** What a name relative to a tenant's directory stands for; undefined for anything but a block or commitment file. */
export function parseArchiveName(name: string): ArchiveName | undefined {
  const blocks = /^blocks\/([a-z]+)-(\d{1,10})-(\d{6,10})\.wgb$/.exec(name);
  if (blocks !== null) {
    const retentionClass = retentionClasses.find((known) => known === blocks[1]);
    const epoch = Number(blocks[2]);
    const number = Number(blocks[3]);
    if (retentionClass === undefined || epoch > 0xffff_ffff || blockFileName(retentionClass, epoch, number) !== name)
      return undefined;
    return { kind: 'blocks', retentionClass, epoch, number };
  }
  const commitments = /^commitments\/(\d{6,10})\.wgc$/.exec(name);
  if (commitments === null || commitmentFileName(Number(commitments[1])) !== name) return undefined;
  return { kind: 'commitments', number: Number(commitments[1]) };
}

/** `seeds/<class>-<epoch>-<writer hex>.json` without the directory. */
export function seedFileName(retentionClass: RetentionClass, epoch: number, writer: Uint8Array): string {
  return `${retentionClass}-${epoch}-${encodeHex(writer)}.json`;
}

/** `seals/<epoch>` relative to a tenant's directory. */
export function sealFileName(epoch: number): string {
  return `seals/${epoch}`;
}

/** `rotations/<number>` relative to a tenant's directory. */
export function rotationFileName(number: number): string {
  return `rotations/${number}`;
}

/** The number in the name of a seal or rotation (without its directory), or undefined: a decimal without leading zeroes. */
export function parseNumberName(name: string): number | undefined {
  return /^(0|[1-9]\d{0,9})$/.test(name) ? Number(name) : undefined;
}

/** A retention class in one epoch: what a seed, a block file, an index file and a shred are of. */
export interface Unit {
  readonly retentionClass: RetentionClass;
  readonly epoch: number;
}

/** `<class>-<epoch>`: how files name it. */
export function unitName({ retentionClass, epoch }: Unit): string {
  return `${retentionClass}-${epoch}`;
}

export function parseUnitName(name: string): Unit | undefined {
  const match = /^([a-z]+)-(\d{1,10})$/.exec(name);
  const retentionClass = retentionClasses.find((known) => known === match?.[1]);
  const epoch = Number(match?.[2]);
  if (retentionClass === undefined || epoch > 0xffff_ffff || unitName({ retentionClass, epoch }) !== name)
    return undefined;
  return { retentionClass, epoch };
}

/** The record of a shred, relative to the tenant's directory. */
export function shredFileName(unit: Unit): string {
  return `shreds/${unitName(unit)}`;
}

/** The indexes that a shred took. */
export function shredRangesName(unit: Unit): string {
  return `shreds/${unitName(unit)}.ranges`;
}

/** Holds are named by 16 random bytes in hex. */
export const holdIdPattern: RegExp = /^[0-9a-f]{32}$/;

/** The copies that a hold kept of a shredded class and epoch, relative to the tenant's directory. */
export function heldFileName(hold: string, unit: Unit): string {
  return `holds/${hold}/${unitName(unit)}.wgh`;
}

/** The unit of a name in a hold's directory, or undefined. */
export function parseHeldName(name: string): Unit | undefined {
  return name.endsWith('.wgh') ? parseUnitName(name.slice(0, -4)) : undefined;
}
