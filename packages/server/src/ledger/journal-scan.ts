/**
 * Reading the journal back at start: which groups are whole, where a torn one begins, and what contradicts itself.
 *
 * Only the last group of the last segment may be torn, since no group is written before the one before it is durable
 * (docs/format.md, "Group and journal"). Anything else is corruption and is told, not repaired.
 */
import { crc32 } from 'node:zlib';
import {
  groupMaskOf,
  type ParsedGroup,
  parseGroup,
  parseSegmentName,
  segmentHeaderBytes,
  walkSegment,
} from '@watchglass/record/reader';
import type { Disk } from '../world/disk.ts';
import type { Segment } from './journal.ts';

export interface JournalScan {
  readonly segments: readonly Segment[];
  readonly nextGroup: number;
  /** Bytes after the last whole group of the last segment. */
  readonly torn: { readonly path: string; readonly position: number; readonly bytes: Uint8Array } | undefined;
  readonly fault: string | undefined;
  /** Where the last whole group lies, from the header of its segment on when it is the first there; and the CRC-32 of what was read there. */
  readonly last:
    | { readonly path: string; readonly from: number; readonly to: number; readonly crc: number }
    | undefined;
}

/**
 * Visits every whole group from `firstGroup` on, in order.
 *
 * @param visit says what is wrong with the group in its place, if anything; a fault ends the scan
 */
export async function scanJournal(
  disk: Disk,
  dir: string,
  firstGroup: number,
  nowMs: number,
  visit: (group: ParsedGroup, segment: Segment) => string | undefined,
): Promise<JournalScan> {
  const names = await disk.list(dir);
  const counted = names.filter((name) => (parseSegmentName(name) ?? -1) >= firstGroup);
  const segments: Segment[] = [];
  let nextGroup = firstGroup;
  let last: (Omit<NonNullable<JournalScan['last']>, 'crc'> & { readonly bytes: Uint8Array }) | undefined;
  const end = (torn?: JournalScan['torn'], fault?: string): JournalScan => {
    if (last === undefined) return { segments, nextGroup, torn, fault, last };
    const { path, from, to } = last;
    const crc = crc32(last.bytes.subarray(from, to));
    return { segments, nextGroup, torn, fault, last: { path, from, to, crc } };
  };
  for (const [at, name] of counted.entries()) {
    const path = `${dir}/${name}`;
    const bytes = (await disk.readFile(path)) ?? new Uint8Array(0);
    const first = parseSegmentName(name) as number;
    const isLast = at === counted.length - 1;
    const walk = walkSegment(bytes, { place: `journal/${name}`, first, next: nextGroup, isLast });
    // What looks torn or wrong was perhaps misread, and what is cut off is gone: only what reads the same again counts.
    if ((walk.tornBytes > 0 || walk.fault !== undefined) && !(await readsSo(disk, path, bytes)))
      return end(undefined, `journal/${name} reads otherwise than a moment before; check the disk`);
    const segment: Segment = {
      path,
      firstGroup: first,
      lastGroup: first - 1,
      bytes: segmentHeaderBytes,
      openedMs: nowMs,
    };
    segments.push(segment);
    for (const { group } of walk.groups) {
      const fault = visit(group, segment);
      if (fault !== undefined) {
        return end(undefined, `group ${group.number} in journal/${name}: ${fault}`);
      }
      last = { path, from: segment.firstGroup === group.number ? 0 : segment.bytes, to: group.end, bytes };
      segment.bytes = group.end;
      segment.lastGroup = group.number;
      nextGroup = group.number + 1;
    }
    if (walk.fault !== undefined) {
      return end(undefined, `${walk.fault.place}: ${walk.fault.message}`);
    }
    if (walk.tornBytes > 0) {
      const position = bytes.length - walk.tornBytes;
      return end({ path, position, bytes: new Uint8Array(bytes.subarray(position)) });
    }
  }
  return end();
}

async function readsSo(disk: Disk, path: string, bytes: Uint8Array): Promise<boolean> {
  const again = (await disk.readFile(path)) ?? new Uint8Array(0);
  return (await disk.size(path)) === bytes.length && Buffer.compare(bytes, again) === 0;
}

/** Visits the groups of a whole segment: one in memory at a time, in the same place. */
export async function readGroups(
  disk: Disk,
  segment: Segment,
  visit: (group: ParsedGroup) => Promise<void>,
): Promise<void> {
  const file = await disk.open(segment.path, 'read');
  try {
    const head = Buffer.allocUnsafe(24);
    const header = Buffer.alloc(segmentHeaderBytes);
    await file.read(header, 0);
    const mask = groupMaskOf(header);
    let whole = Buffer.allocUnsafe(0);
    for (let at = segmentHeaderBytes; at < segment.bytes; ) {
      await file.read(head, at);
      const length = 24 + head.readUInt32BE(20) + 4;
      const count = Math.min(length, segment.bytes - at);
      if (whole.length < count) whole = Buffer.allocUnsafe(count);
      const bytes = whole.subarray(0, count);
      await file.read(bytes, at);
      await visit(parseGroup(bytes, 0, mask));
      at += length;
    }
  } finally {
    await file.close();
  }
}
