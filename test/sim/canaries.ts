/**
 * Ledgers that are broken on purpose, each by a disk that lies between them and the simulated one, so that nothing in the product has a switch for it.
 * A simulator that doesn't find every one of them finds nothing: `canary.test.ts`.
 */
import { dirname } from 'node:path';
import type { Disk, DiskFile } from '../../packages/server/src/world/disk.ts';
import { fileOver, layerOver } from './disk-layer.ts';
import type { Meddling } from './history.ts';
import type { themes } from './operations.ts';

export interface Canary {
  readonly what: string;
  readonly meddling: Meddling;
  /** What must be going on for it to do any harm: looked for among histories in which it is. */
  readonly theme?: keyof typeof themes;
}

export const canaries: readonly Canary[] = [
  {
    what: 'answers before the fdatasync of the journal',
    meddling: (disk) => withFiles(disk, isSegment, () => ({ datasync: async () => undefined })),
  },
  {
    what: 'signs first and syncs then',
    meddling: (disk) => {
      let owed: (() => Promise<void>)[] = [];
      const lazy = withFiles(disk, isSegment, (file) => ({
        datasync: async () => {
          owed.push(() => file.datasync());
        },
      }));
      return layerOver(lazy, {
        replace: async (path, bytes, options) => {
          await disk.replace(path, bytes, options);
          if (!path.endsWith('/checkpoint')) return;
          const due = owed;
          owed = [];
          for (const sync of due) await sync();
        },
      });
    },
  },
  {
    what: 'forgets to sync the directory of a new journal segment',
    meddling: (disk) =>
      layerOver(disk, {
        syncDirectory: async (path) => {
          if (!path.endsWith('/journal')) await disk.syncDirectory(path);
        },
      }),
  },
  {
    what: 'syncs again after a failed fdatasync, and believes the second answer',
    meddling: (disk) =>
      withFiles(disk, isSegment, (file) => ({ datasync: () => file.datasync().catch(() => file.datasync()) })),
  },
  {
    what: 'takes a short write for a whole one',
    meddling: (disk) =>
      withFiles(disk, isSegment, (file) => ({
        write: async (bytes, position) => {
          await file.write(bytes, position);
          return bytes.length;
        },
      })),
  },
  {
    what: 'replaces the manifest without making it durable',
    meddling: (disk) => forgetful(disk, (path) => path.endsWith('/manifest')),
  },
  {
    what: 'keeps no seed that a power failure can’t take',
    meddling: (disk) => forgetful(disk, (path) => dirname(path).endsWith('/seeds')),
  },
  {
    what: 'believes at its start what is in the system’s memory only',
    meddling: (disk) =>
      layerOver(disk, {
        open: async (path, how, mode) => {
          const isFound = how === 'append' && isSegment(path) && ((await disk.size(path)) ?? 0) > 12;
          const file = await disk.open(path, how, mode);
          return isFound
            ? fileOver(file, { write: async (bytes) => bytes.length, datasync: async () => undefined })
            : file;
        },
      }),
  },
  {
    what: 'signs with a new key that a power failure can take',
    meddling: (disk) => forgetful(disk, (path) => path.endsWith('.checkpoint-key')),
  },
  {
    what: 'shreds before it is on record that it does',
    theme: 'ending',
    meddling: (disk) => forgetful(disk, (path) => path.includes('/shreds/')),
  },
  {
    what: 'keeps the seeds of what it says is shredded',
    theme: 'ending',
    meddling: (disk) =>
      layerOver(disk, {
        remove: async (path) => {
          if (!path.includes('/seeds/')) await disk.remove(path);
        },
      }),
  },
  {
    what: 'keeps no copy of what a hold is about',
    theme: 'ending',
    meddling: (disk) =>
      layerOver(disk, {
        replace: async (path, bytes, options) => {
          if (!/\/holds\/[0-9a-f]{32}\/[a-z]+-\d+/.test(path)) await disk.replace(path, bytes, options);
        },
      }),
  },
];

/** Some files are replaced, and not made durable. */
function forgetful(disk: Disk, chosen: (path: string) => boolean): Disk {
  return layerOver(disk, {
    replace: (path, bytes, options = {}) =>
      disk.replace(path, bytes, chosen(path) ? { ...options, durable: false } : options),
  });
}

function isSegment(path: string): boolean {
  return path.endsWith('.wgj');
}

/** The same disk, on which some files do some things otherwise. */
function withFiles(disk: Disk, chosen: (path: string) => boolean, other: (file: DiskFile) => Partial<DiskFile>): Disk {
  return layerOver(disk, {
    open: async (path, how, mode) => {
      const file = await disk.open(path, how, mode);
      return chosen(path) ? fileOver(file, other(file)) : file;
    },
  });
}
