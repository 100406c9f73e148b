/**
 * What must be remembered of archived groups so that repeats and holes are still seen after a restart: event ids with
 * their indexes (`DIR/dedupe/<first group>.wgd`), and each emitter's coverage (`DIR/dedupe/emitters`).
 *
 * Working memory, not part of the ledger: without it everything stays true, but a re-sent old event is stored twice. Ids and
 * indexes only: digests of events would let whoever reads the disk confirm guesses.
 */
import { crc32 } from 'node:zlib';
import type { Disk } from '../world/disk.ts';
import type { CoverageSnapshot } from './emitter-coverage.ts';
import type { ArchivingSegment } from './storage.ts';

const magic = 'WGD1';
/** Younger files are read at start; older ones are removed. */
const filesMax = 4096;

export interface IdWindowOptions {
  readonly disk: Disk;
  readonly dir: string;
  readonly ageMsMax: number;
  readonly entriesMax: number;
}

export interface RememberedIds {
  readonly tenant: string;
  readonly firstIndex: number;
  readonly ids: Uint8Array;
  readonly receivedMs: number;
}

export interface RememberedEmitters {
  /** The newest group it knows of. */
  readonly group: number;
  readonly tenants: ReadonlyMap<string, CoverageSnapshot>;
}

export class IdWindow {
  readonly #options: IdWindowOptions;

  constructor(options: IdWindowOptions) {
    this.#options = options;
  }

  /** Durable when it resolves. */
  async remember(segment: ArchivingSegment, emitters: RememberedEmitters): Promise<void> {
    const { disk, dir } = this.#options;
    await disk.makeDirectory(dir);
    await disk.replace(`${dir}/${fileName(segment.firstGroup)}`, encodeSegment(segment));
    await disk.replace(`${dir}/emitters`, encodeEmitters(emitters));
  }

  /**
   * Ids within the window of age and number, the oldest first, and files beyond it removed.
   *
   * @returns what went wrong, if anything: the window then starts with less
   */
  async recall(nowMs: number, belowGroup: number, visit: (ids: RememberedIds) => void): Promise<string | undefined> {
    const { disk, dir, ageMsMax, entriesMax } = this.#options;
    const names = (await disk.list(dir)).filter((name) => /^\d{16}\.wgd$/.test(name)).reverse();
    const wanted: RememberedIds[][] = [];
    let fault: string | undefined;
    let entries = 0;
    let isOver = false;
    for (const [at, name] of names.entries()) {
      // A file of a segment that is still in the journal is from an interrupted archiving; the journal has its ids.
      if (Number(name.slice(0, 16)) >= belowGroup) continue;
      const bytes = entries < entriesMax && at < filesMax ? await disk.readFile(`${dir}/${name}`) : undefined;
      const segment = bytes === undefined ? undefined : decodeSegment(bytes);
      if (bytes !== undefined && segment === undefined)
        fault = `dedupe/${name} is damaged: events of that time that are sent again will be stored again`;
      // Damaged, or misread just now: the next start may know more. It goes with those of its age.
      if (bytes !== undefined && segment === undefined && !isOver) continue;
      if (segment === undefined || nowMs - (segment[0]?.receivedMs ?? 0) > ageMsMax) {
        isOver = true;
        await disk.remove(`${dir}/${name}`);
        continue;
      }
      wanted.push(segment);
      entries += segment.reduce((sum, { ids }) => sum + ids.length / 16, 0);
    }
    for (const segment of wanted.reverse()) for (const ids of segment) visit(ids);
    return fault;
  }

  /** Undefined when there are none, or they are damaged. */
  async emitters(): Promise<RememberedEmitters | undefined> {
    const bytes = await this.#options.disk.readFile(`${this.#options.dir}/emitters`);
    return bytes === undefined ? undefined : decodeEmitters(bytes);
  }
}

function fileName(firstGroup: number): string {
  return `${String(firstGroup).padStart(16, '0')}.wgd`;
}

/** A line of JSON that says what follows, the ids, and a CRC-32 of both. */
function encodeSegment({ receivedMs, ids }: ArchivingSegment): Uint8Array {
  const tenants = ids.map((part) => ({
    tenant: part.tenant,
    firstIndex: part.firstIndex,
    count: part.ids.length / 16,
  }));
  const head = Buffer.from(`${magic}${JSON.stringify({ receivedMs, tenants })}\n`);
  return withCrc([head, ...ids.map((part) => part.ids)]);
}

function decodeSegment(bytes: Uint8Array): RememberedIds[] | undefined {
  const body = withoutCrc(bytes);
  const end = body?.indexOf(10) ?? -1;
  if (body === undefined || end < 0 || body.toString('latin1', 0, 4) !== magic) return undefined;
  const { receivedMs, tenants } = JSON.parse(body.toString('utf8', 4, end)) as {
    receivedMs: number;
    tenants: { tenant: string; firstIndex: number; count: number }[];
  };
  let at = end + 1;
  return tenants.map(({ tenant, firstIndex, count }) => {
    const ids = body.subarray(at, at + count * 16);
    at += count * 16;
    return { tenant, firstIndex, ids, receivedMs };
  });
}

function encodeEmitters({ group, tenants }: RememberedEmitters): Uint8Array {
  return withCrc([Buffer.from(JSON.stringify({ v: 1, group, tenants: Object.fromEntries(tenants) }))]);
}

function decodeEmitters(bytes: Uint8Array): RememberedEmitters | undefined {
  const body = withoutCrc(bytes);
  if (body === undefined) return undefined;
  const { group, tenants } = JSON.parse(body.toString('utf8')) as {
    group: number;
    tenants: Record<string, CoverageSnapshot>;
  };
  return { group, tenants: new Map(Object.entries(tenants)) };
}

function withCrc(parts: readonly Uint8Array[]): Buffer {
  const whole = Buffer.concat([...parts, new Uint8Array(4)]);
  const at = whole.length - 4;
  whole.writeUInt32BE(crc32(whole.subarray(0, at)), at);
  return whole;
}

/** What stands before the CRC, if the CRC is right: then we wrote it. */
function withoutCrc(bytes: Uint8Array): Buffer | undefined {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (buffer.length < 4) return undefined;
  const body = buffer.subarray(0, buffer.length - 4);
  return buffer.readUInt32BE(buffer.length - 4) === crc32(body) ? body : undefined;
}
