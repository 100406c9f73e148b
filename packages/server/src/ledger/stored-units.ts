/** What of a manifest belongs to one class and epoch. */
import { type ManifestTenant, parseArchiveName, type Unit, unitName } from '@watchglass/record/reader';
import { blockFilesOf } from './files-recovery.ts';
import type { StoredUnit } from './storage.ts';

/** Classes and epochs that have blocks in the archive, by epoch; their files in the order of their indexes. @param dir the tenant's directory */
export function unitsOf(log: Pick<ManifestTenant, 'files'>, dir: string): StoredUnit[] {
  const byUnit = Map.groupBy(blockFilesOf(log), (file) => unitName(file));
  return [...byUnit.values()].map((files) => {
    const { retentionClass, epoch } = files[0] as Unit;
    return {
      retentionClass,
      epoch,
      bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
      files: files.map(({ name, bytes }) => ({ path: `${dir}/${name}`, bytes })),
    };
  });
}

/** @param name relative to the tenant's directory */
export function isBlockFileOf(name: string, unit: Unit): boolean {
  const parsed = parseArchiveName(name);
  return parsed?.kind === 'blocks' && unitName(parsed) === unitName(unit);
}
