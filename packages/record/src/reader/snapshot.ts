/**
 * One moment of a ledger that may be written to meanwhile: checkpoints first, then the manifest, then the journal from the
 * manifest's group on. When archiving has moved something while we read, all of it is read again.
 */
import { tryDecodeUtf8 } from '../bytes.ts';
import { parseCheckpoint } from '../checkpoint.ts';
import {
  groupHeaderBytes,
  groupMaskOf,
  maskGroup,
  type ParsedGroup,
  parseGroup,
  parseSegmentHeader,
  segmentHeaderBytes,
} from '../codec/group.ts';
import { type Manifest, parseManifest } from '../codec/manifest.ts';
import { parseSegmentName } from '../codec/names.ts';
import { RecordError } from '../errors.ts';
import { isMissing, type LedgerFiles } from './ledger-files.ts';

const attemptsMax = 20;
/** A checkpoint that is still behind the manifest when read so often was put there. */
const behindMax = 3;
/** Beginnings of a group that are looked at behind a torn one. */
const marksMax = 64;

export interface Snapshot {
  readonly manifest: Manifest;
  /** Text of each tenant's checkpoint; undefined when there is none or it isn't UTF-8. */
  readonly checkpoints: ReadonlyMap<string, string | undefined>;
  /** Text of each tenant's newest cosigned checkpoint, read before the journal as well. */
  readonly cosigned: ReadonlyMap<string, string | undefined>;
  readonly groups: readonly PlacedGroup[];
  /** Journal files that count. */
  readonly segments: readonly string[];
  /** Journal files below the manifest's group: an interrupted archiving left them. */
  readonly leftovers: readonly string[];
  /** What is wrong with the journal, if anything; groups from there on aren't read. */
  readonly fault: JournalFault | undefined;
  /** Bytes of a last group that isn't complete. */
  readonly tornBytes: number;
}

export interface PlacedGroup {
  readonly group: ParsedGroup;
  /** `journal/<name>`. */
  readonly place: string;
}

export interface JournalFault {
  readonly code: 'journal-malformed' | 'group-damaged';
  readonly place: string;
  readonly message: string;
}

/**
 * @throws {RecordError} `ledger-unreadable` when there is no ledger, `manifest-malformed`
 */
export async function takeSnapshot(files: LedgerFiles, dir: string): Promise<Snapshot> {
  for (let attempt = 0; ; attempt++) {
    const folders = (await files.list(dir)).filter((name) => name.endsWith('/') && name !== 'journal/');
    const cosigned = await readCheckpoints(files, dir, folders, 'cosigned');
    const early = await readCheckpoints(files, dir, folders);
    const bytes = await files.readFile(`${dir}/manifest`);
    if (bytes === undefined)
      throw new RecordError(
        'ledger-unreadable',
        `expected a ledger in ${dir}: it has no manifest; name the data directory`,
      );
    const manifest = parseManifest(bytes);
    const journal = await readJournal(files, dir, manifest.group);
    const again = await files.readFile(`${dir}/manifest`);
    const moved = again === undefined || Buffer.compare(again, bytes) !== 0;
    if (moved && attempt < attemptsMax) continue;
    const behind = [...manifest.tenants].some(([tenant, { size }]) => (sizeOf(early.get(tenant)) ?? -1) < size);
    if (behind && attempt < behindMax) continue;
    const checkpoints = new Map([...manifest.tenants.keys()].map((tenant) => [tenant, early.get(tenant)]));
    return { manifest, checkpoints, cosigned, ...journal };
  }
}

/** The size a checkpoint states, unverified. */
export function sizeOf(text: string | undefined): number | undefined {
  try {
    return text === undefined ? undefined : Number(parseCheckpoint(text).size);
  } catch {
    return undefined;
  }
}

export async function readCheckpoints(
  files: LedgerFiles,
  dir: string,
  tenants: readonly string[],
  file: 'checkpoint' | 'cosigned' = 'checkpoint',
): Promise<Map<string, string | undefined>> {
  const texts = new Map<string, string | undefined>();
  for (const name of tenants) {
    const bytes = await files.readFile(`${dir}/${name}${file}`);
    texts.set(name.slice(0, -1), bytes === undefined ? undefined : tryDecodeUtf8(bytes));
  }
  return texts;
}

type JournalPart = Omit<Snapshot, 'manifest' | 'checkpoints' | 'cosigned'>;

async function readJournal(files: LedgerFiles, dir: string, firstGroup: number): Promise<JournalPart> {
  const names = (await files.list(`${dir}/journal`)).filter((name) => parseSegmentName(name) !== undefined);
  const counted = names.filter((name) => (parseSegmentName(name) as number) >= firstGroup);
  const leftovers = names
    .filter((name) => (parseSegmentName(name) as number) < firstGroup)
    .map((name) => `journal/${name}`);
  const groups: PlacedGroup[] = [];
  const segments = counted.map((name) => `journal/${name}`);
  let next = firstGroup;
  for (const [at, name] of counted.entries()) {
    const place = `journal/${name}`;
    const bytes = await files.readFile(`${dir}/${place}`).catch((error: unknown) => {
      if (isMissing(error)) return undefined;
      throw error;
    });
    const walk = walkSegment(bytes ?? new Uint8Array(0), {
      place,
      first: parseSegmentName(name) as number,
      next,
      isLast: at === counted.length - 1,
    });
    groups.push(...walk.groups);
    next += walk.groups.length;
    if (walk.fault !== undefined || walk.tornBytes > 0)
      return { groups, segments, leftovers, fault: walk.fault, tornBytes: walk.tornBytes };
  }
  return { groups, segments, leftovers, fault: undefined, tornBytes: 0 };
}

export interface Walk {
  readonly groups: PlacedGroup[];
  readonly fault: JournalFault | undefined;
  readonly tornBytes: number;
}

/** The groups of one segment up to the first that isn't whole; bytes of a torn last group are counted, anything else is a fault. */
export function walkSegment(
  bytes: Uint8Array,
  segment: { readonly place: string; readonly first: number; readonly next: number; readonly isLast: boolean },
): Walk {
  const { place, isLast } = segment;
  const groups: PlacedGroup[] = [];
  const end = (code?: JournalFault['code'], message = ''): Walk => ({
    groups,
    fault: code && { code, place, message },
    tornBytes: 0,
  });
  if (segment.first !== segment.next)
    return end(
      'journal-malformed',
      `expected the segment of group ${segment.next}, got that of group ${segment.first}: groups are missing`,
    );
  if (bytes.length < segmentHeaderBytes) {
    return isLast
      ? { groups, fault: undefined, tornBytes: bytes.length }
      : end('group-damaged', 'the segment is cut short and is not the last');
  }
  const head = headerFault(bytes, segment.first);
  const mask = head === undefined ? groupMaskOf(bytes) : undefined;
  // That of a segment whose groups are masked is durable before them; only what was never written reads as zeros.
  if (head !== undefined && bytes.subarray(0, segmentHeaderBytes).some((byte) => byte !== 0))
    return end('journal-malformed', head);
  // The other header is made durable with the first group: where that group isn't whole, a power failure may have torn both.
  if (head !== undefined)
    return isLast && !holdsGroup(bytes, segment.first)
      ? { groups, fault: undefined, tornBytes: bytes.length }
      : end('journal-malformed', head);
  for (let at = segmentHeaderBytes; at < bytes.length; ) {
    const number = segment.next + groups.length;
    const group = tryGroup(bytes, at, mask);
    if (group === 'torn') {
      if (!isLast || holdsGroup(bytes.subarray(at), number + 1, mask))
        return end(
          'group-damaged',
          `group ${number} at byte ${at} is cut short or its CRC is wrong, and it is not the last`,
        );
      return { groups, fault: undefined, tornBytes: bytes.length - at };
    }
    if (typeof group === 'string') return end('journal-malformed', group);
    if (group.number !== number)
      return end('journal-malformed', `expected group ${number} at byte ${at}, got group ${group.number}`);
    groups.push({ group, place });
    at = group.end;
  }
  return end();
}

function headerFault(bytes: Uint8Array, first: number): string | undefined {
  try {
    // Without the number: it is in the name, and in each group.
    if (groupMaskOf(bytes) !== undefined) return undefined;
    return parseSegmentHeader(bytes) === first ? undefined : 'the segment states another first group than its name';
  } catch {
    return 'the file is not a journal segment';
  }
}

/** The group; `torn`; or what is wrong with a group whose CRC is right. */
function tryGroup(bytes: Uint8Array, at: number, mask?: Uint8Array): ParsedGroup | string {
  try {
    return parseGroup(bytes, at, mask);
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    return error.code === 'group-torn' ? 'torn' : error.message;
  }
}

/** Whether a whole group of this number lies anywhere in `bytes`: then what precedes it wasn't the last. */
function holdsGroup(bytes: Uint8Array, number: number, mask?: Uint8Array): boolean {
  const mark = Buffer.alloc(12);
  mark.write('WGG1', 0, 'latin1');
  mark.writeBigUInt64BE(BigInt(number), 4);
  if (mask !== undefined) maskGroup(mark, 0, mask);
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  let tried = 0;
  for (let at = buffer.indexOf(mark); at >= 0; at = buffer.indexOf(mark, at + 1)) {
    // No crash leaves so many marks: somebody wants us to compute CRCs for ever.
    if (++tried > marksMax) return true;
    if (bytes.length - at >= groupHeaderBytes && typeof tryGroup(bytes, at, mask) === 'object') return true;
  }
  return false;
}
