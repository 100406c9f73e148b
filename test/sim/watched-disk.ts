/**
 * Looks over the ledger's shoulder: sees every checkpoint on its way to the disk, answered or not (once it is written somebody may have read it),
 * and whatever is begun after a sync has failed.
 */
import { basename, dirname } from 'node:path';
import { parseCheckpoint, parseTenantId } from '../../packages/record/src/index.ts';
import type { Disk, DiskFile } from '../../packages/server/src/world/disk.ts';
import type { SimProcess } from '../../packages/server/src/world/simulated.ts';
import { fileOver, layerOver } from './disk-layer.ts';
import type { Outside } from './model.ts';

/** @param disk what the ledger is given, on `process` */
export function watchedDisk(disk: Disk, process: SimProcess, outside: Outside): Disk {
  const see = (path: string, bytes: Uint8Array): void => {
    if (basename(path) !== 'checkpoint') return;
    const text = Buffer.from(bytes).toString('utf8');
    try {
      parseCheckpoint(text);
    } catch {
      return; // The rest of a checkpoint, after a write that took a part of it.
    }
    try {
      outside.log(parseTenantId(basename(dirname(path)))).sawSignature(text);
    } catch (error) {
      // Thrown here it would be the ledger's to handle.
      outside.violation ??= String(error);
    }
  };
  const begin = <T>(what: string, work: () => Promise<T>): Promise<T> => {
    if (process.failedSync !== undefined && !process.dead)
      outside.violation ??= `after a failed ${process.failedSync} the ledger went on with: ${what}`;
    return work();
  };
  const fileOf = (path: string, file: DiskFile): DiskFile =>
    fileOver(file, {
      write(bytes, position) {
        see(path, bytes);
        return begin(`write ${path}`, () => file.write(bytes, position));
      },
      datasync: () => begin(`datasync ${path}`, () => file.datasync()),
      truncate: (size) => begin(`truncate ${path}`, () => file.truncate(size)),
    });
  return layerOver(disk, {
    open: async (path, how, mode) => fileOf(path, await disk.open(path, how, mode)),
    async replace(path, bytes, options) {
      see(path, bytes);
      // Signed, and so out: two seals of one epoch are a lie, stored or not.
      if (path.includes('/seals/') && !process.dead) outside.sawStatement(path, bytes);
      await begin(`replace ${path}`, () => disk.replace(path, bytes, options));
      // A key that was to come and isn't in any statement that was stored is forgotten: the next statement has another.
      if (path.includes('/rotations/') && !process.dead) outside.sawStatement(path, bytes);
    },
    rename: (from, to) => begin(`rename ${to}`, () => disk.rename(from, to)),
    link: (from, to) => begin(`link ${to}`, () => disk.link(from, to)),
    remove: (path) => begin(`remove ${path}`, () => disk.remove(path)),
    removeTree: (path) => begin(`remove ${path}`, () => disk.removeTree(path)),
    makeDirectory: (path) => begin(`make ${path}`, () => disk.makeDirectory(path)),
    syncDirectory: (path) => begin(`sync ${path}`, () => disk.syncDirectory(path)),
  });
}
