/**
 * Opens what an earlier process left: finds the segments, checks every frame, and cuts a torn end.
 *
 * Only the end of the newest segment can be torn, since a group is written by one write and one datasync, and the next segment isn't
 * made before that returned. What is cut was never acknowledged; its bytes are kept aside. Anything else that is wrong is damage or
 * tampering and stops the opening: a spool that lost events must not look like an empty one.
 */
import { join } from 'node:path';

import type { SpoolDisk } from './disk.ts';
import { SdkError } from './errors.ts';
import {
  frameHeaderBytes,
  openFrame,
  parseSegmentHeader,
  segmentHeaderBytes,
  segmentKey,
  viewFrame,
} from './segment.ts';

export interface SegmentInfo {
  readonly path: string;
  readonly key: Uint8Array;
  readonly firstSeq: number;
  /** Of its last frame; `firstSeq − 1` while it has none. */
  lastSeq: number;
  /** Bytes that count: what lies past them is not part of the spool. */
  size: number;
}

export interface Recovered {
  readonly segments: SegmentInfo[];
  readonly nextSeq: number;
  /** Bytes of an unfinished group that were cut off and kept in a `cut-…` file. */
  readonly cutBytes: number;
  /** What stands in the last whole frame. */
  readonly lastGroup: Buffer | undefined;
}

/** More events than a segment can hold. */
const framesAheadMax = 1_000_000;
const segmentName = /^\d{16}\.wgs$/;

export function segmentPath(directory: string, firstSeq: number): string {
  return join(directory, `${String(firstSeq).padStart(16, '0')}.wgs`);
}

export async function recoverSpool(options: {
  readonly disk: SpoolDisk;
  /** Where the segments are. */
  readonly directory: string;
  readonly spoolKey: Uint8Array;
}): Promise<Recovered> {
  const { disk, directory } = options;
  const names = (await disk.list(directory)).filter((name) => segmentName.test(name)).sort();
  const segments: SegmentInfo[] = [];
  let nextSeq = 1;
  let cutBytes = 0;
  let lastGroup: Buffer | undefined;
  for (const [position, name] of names.entries()) {
    const newest = position === names.length - 1;
    const found = await readSegment({ ...options, path: join(directory, name), newest });
    cutBytes += found.cutBytes;
    lastGroup = found.lastGroup ?? lastGroup;
    if (found.segment === undefined) continue;
    if (segments.length > 0 && found.segment.firstSeq !== nextSeq) {
      throw damaged(found.segment.path, `expected it to begin with seq ${nextSeq}, got ${found.segment.firstSeq}`);
    }
    segments.push(found.segment);
    nextSeq = found.segment.lastSeq + 1;
  }
  return { segments, nextSeq, cutBytes, lastGroup };
}

async function readSegment(options: {
  readonly disk: SpoolDisk;
  readonly directory: string;
  readonly spoolKey: Uint8Array;
  readonly path: string;
  readonly newest: boolean;
}): Promise<{
  readonly segment: SegmentInfo | undefined;
  readonly cutBytes: number;
  readonly lastGroup?: Buffer | undefined;
}> {
  const { disk, path, newest } = options;
  const bytes = await disk.read(path);
  const header = parseSegmentHeader(bytes);
  if (header === undefined) {
    if (!newest || bytes.length > segmentHeaderBytes) throw damaged(path, 'expected a segment header, got other bytes');
    // A crash while the segment was being made: nothing was ever acknowledged in it.
    await disk.remove(path);
    return { segment: undefined, cutBytes: 0 };
  }
  const segment: SegmentInfo = {
    path,
    key: segmentKey(options.spoolKey, header.salt),
    firstSeq: header.firstSeq,
    lastSeq: header.firstSeq - 1,
    size: segmentHeaderBytes,
  };
  let lastGroup: Buffer | undefined;
  while (segment.size < bytes.length) {
    const view = viewFrame(bytes, segment.size);
    if (view.kind !== 'frame') {
      if (!newest || isFollowedByFrame(bytes, segment)) {
        throw damaged(path, `expected a whole frame at byte ${segment.size}, got a wrong checksum`);
      }
      const cutBytes = bytes.length - segment.size;
      await cutTornEnd({ ...options, segment, torn: bytes.subarray(segment.size) });
      return { segment, cutBytes, lastGroup };
    }
    if (view.firstSeq !== segment.lastSeq + 1) {
      throw damaged(path, `expected seq ${segment.lastSeq + 1} at byte ${segment.size}, got ${view.firstSeq}`);
    }
    lastGroup = openFrame(segment.key, bytes, segment.size, view.size, path);
    segment.lastSeq = view.firstSeq + view.count - 1;
    segment.size += view.size;
  }
  return { segment, cutBytes: 0, lastGroup };
}

/** A whole frame anywhere behind a bad one means that the bad one was once whole: damage, not a torn end. */
function isFollowedByFrame(bytes: Uint8Array, { size, lastSeq }: SegmentInfo): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let offset = size + 1; offset + frameHeaderBytes <= bytes.length; offset++) {
    // Its number has to make sense before a checksum is worth computing.
    const ahead = Number(view.getBigUint64(offset + 8)) - lastSeq;
    if (ahead > 0 && ahead <= framesAheadMax && viewFrame(bytes, offset).kind === 'frame') return true;
  }
  return false;
}

async function cutTornEnd(options: {
  readonly disk: SpoolDisk;
  readonly directory: string;
  readonly segment: SegmentInfo;
  readonly torn: Uint8Array;
}): Promise<void> {
  const { disk, directory, segment, torn } = options;
  const aside = join(directory, `cut-${String(segment.lastSeq + 1).padStart(16, '0')}`);
  await disk.remove(aside);
  const copy = await disk.create(aside);
  try {
    await copy.write(torn, 0);
    await copy.datasync();
  } finally {
    await copy.close();
  }
  const file = await disk.edit(segment.path);
  try {
    await file.truncate(segment.size);
    await file.datasync();
  } finally {
    await file.close();
  }
  await disk.syncDir(directory);
}

function damaged(path: string, what: string): SdkError {
  return new SdkError(
    'spool-damaged',
    `${path}: ${what}; move the spool directory aside, keep it, and start with an empty one: the events in it have not reached the server`,
  );
}
