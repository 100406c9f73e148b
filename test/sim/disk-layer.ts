/** A disk over another one that does the same, but for what it is told to do otherwise. */
import type { Disk, DiskFile } from '../../packages/server/src/world/disk.ts';

export function layerOver(disk: Disk, other: Partial<Disk> = {}): Disk {
  return {
    open: (path, how, mode) => disk.open(path, how, mode),
    readFile: (path) => disk.readFile(path),
    replace: (path, bytes, options) => disk.replace(path, bytes, options),
    rename: (from, to) => disk.rename(from, to),
    link: (from, to) => disk.link(from, to),
    remove: (path) => disk.remove(path),
    removeTree: (path) => disk.removeTree(path),
    makeDirectory: (path) => disk.makeDirectory(path),
    syncDirectory: (path) => disk.syncDirectory(path),
    list: (path) => disk.list(path),
    size: (path) => disk.size(path),
    lock: (path) => disk.lock(path),
    ...other,
  };
}

export function fileOver(file: DiskFile, other: Partial<DiskFile>): DiskFile {
  return {
    write: (bytes, position) => file.write(bytes, position),
    read: (into, position) => file.read(into, position),
    datasync: () => file.datasync(),
    truncate: (size) => file.truncate(size),
    size: () => file.size(),
    close: () => file.close(),
    ...other,
  };
}
