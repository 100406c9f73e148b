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
