/**
 * A ledger's files as a verifier may trust them: what can't be read, isn't a plain file, or is far too large for its name is a finding with
 * its place, never an error that ends the verification, a wait for a pipe, or more memory than the machine has.
 */
import type { Findings } from './findings.ts';
import { isMissing, type LedgerFiles, type ReadableFile } from './ledger-files.ts';

const segmentBytesMax: number = 1024 * 1024 * 1024;
const manifestBytesMax: number = 64 * 1024 * 1024;
/** The record of a shred names its seeds: one for each start of the server in a month. */
const shredBytesMax: number = 16 * 1024 * 1024;
/** Checkpoints, keys, seeds and tiles. */
const smallBytesMax: number = 64 * 1024;

export function guardedFiles(files: LedgerFiles, ledgerDir: string, findings: Findings): LedgerFiles {
  const told = new Set<string>();
  const tell = (path: string, message: string): void => {
    const place = path.slice(ledgerDir.length + 1) || '.';
    if (told.has(place)) return;
    told.add(place);
    findings.add('file-unreadable', place, message);
  };
  /** What `work` gives; `otherwise` where the system refuses it. */
  const guard = async <T>(path: string, otherwise: T, work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : '';
      if (!/^E[A-Z0-9]+$/.test(code) || isMissing(error)) throw error;
      tell(path, `the system refuses to read it (${code})`);
      return otherwise;
    }
  };
  const isPlain = async (path: string): Promise<boolean> => {
    if ((await files.isPlain?.(path)) !== false) return true;
    tell(path, 'expected a file of its own, got a link, a directory or a device');
    return false;
  };
  return {
    readFile: (path) =>
      guard(path, undefined, async () => {
        if (!(await isPlain(path))) return undefined;
        const bytes = (await files.size(path)) ?? 0;
        const bytesMax = bytesMaxOf(path);
        if (bytes <= bytesMax) return files.readFile(path);
        tell(path, `expected at most ${bytesMax} bytes, got ${bytes}`);
        return undefined;
      }),
    open: (path) =>
      guard<ReadableFile>(path, nothing, async () => {
        if (!(await isPlain(path))) return nothing;
        const file = await files.open(path, 'read');
        return { read: (into, position) => guard(path, 0, () => file.read(into, position)), close: () => file.close() };
      }),
    list: (path) => guard<string[]>(path, [], () => files.list(path)),
    size: (path) => guard<number | undefined>(path, undefined, () => files.size(path)),
  };
}

/** A cosignature with ML-DSA-44 has 3.3 KB. */
const cosignedBytesMax: number = 512 * 1024;

function bytesMaxOf(path: string): number {
  if (path.endsWith('/cosigned')) return cosignedBytesMax;
  if (path.endsWith('.wgj')) return segmentBytesMax;
  if (path.includes('/shreds/')) return shredBytesMax;
  return path.endsWith('/manifest') ? manifestBytesMax : smallBytesMax;
}

const nothing: ReadableFile = { read: async () => 0, close: async () => undefined };
