/** What of a manifest, and of a log's directory, belongs to one class and epoch; and taking it away. */
import { type Manifest, type ManifestTenant, parseArchiveName, type Unit, unitName } from '@watchglass/record/reader';
import type { Disk } from '../world/disk.ts';
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

/** A manifest that doesn't count the unit's block files; undefined where this one counts none. */
export function withoutUnit(manifest: Manifest, tenant: string, unit: Unit): Manifest | undefined {
  const log = manifest.tenants.get(tenant);
  if (log === undefined) return undefined;
  const files = new Map([...log.files].filter(([name]) => !isBlockFileOf(name, unit)));
  if (files.size === log.files.size) return undefined;
  return { ...manifest, tenants: new Map(manifest.tenants).set(tenant, { ...log, files }) };
}

/** Removes the unit's block files, durably. @param dir the tenant's directory; @param found told of them before they go */
export async function removeUnitFiles(
  disk: Disk,
  dir: string,
  unit: Unit,
  found: (paths: ReadonlySet<string>) => void,
): Promise<void> {
  const names = (await disk.list(`${dir}/blocks`)).filter((name) => isBlockFileOf(`blocks/${name}`, unit));
  const paths = new Set(names.map((name) => `${dir}/blocks/${name}`));
  found(paths);
  for (const path of paths) await disk.remove(path);
  await disk.syncDirectory(`${dir}/blocks`);
}

/** @param name relative to the tenant's directory */
function isBlockFileOf(name: string, unit: Unit): boolean {
  const parsed = parseArchiveName(name);
  return parsed?.kind === 'blocks' && unitName(parsed) === unitName(unit);
}
