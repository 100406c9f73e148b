/** Events of 512 bytes for the benchmarks of the ledger, encoded as the door would: every id, sequence number and record is its own. */
import { createHash, randomFillSync } from 'node:crypto';
import { decode, type Event, encode, minimise, type TenantId } from '@watchglass/record';
import type { AppendItem, EncodedBatch } from '../packages/server/src/ledger/ledger.ts';

export const recordBytes = 512;

/** A record, and where the parts that differ stand in it. */
interface Template {
  readonly bytes: Uint8Array;
  readonly digestAt: number;
  readonly idAt: number;
  readonly seqAt: number;
  readonly personAt: number;
  readonly patientAt: number;
}

const people = 40;

/** Gives batches whose records are decodable, differ in id, sequence number, person and patient, and compress as real ones do. */
export class EventSource {
  readonly #tenant: TenantId;
  readonly #receivedMs: number;
  #seq = 0;

  constructor(tenant: TenantId, receivedMs: number) {
    this.#tenant = tenant;
    this.#receivedMs = receivedMs;
  }

  items(count: number): AppendItem[] {
    return Array.from({ length: count }, () => {
      const seq = ++this.#seq;
      const event = this.#event(seq, uuid());
      return { event, envelope: this.#envelope(createHash('sha256').update(event.id).digest('hex')) };
    });
  }

  /**
   * Made from a template by writing over the parts that differ: as fast as bytes come from a socket.
   *
   * @param over a batch of as many events that is done with: its memory is used again
   */
  batch(count: number, over?: EncodedBatch): EncodedBatch {
    const { bytes, digestAt, idAt, seqAt, personAt, patientAt } = this.#template();
    const records = bufferOver(over?.records, count * recordBytes);
    const ids = randomFillSync(bufferOver(over?.ids, count * 16));
    const digests = bufferOver(over?.digests, count * 8);
    const fullDigests = randomFillSync(Buffer.allocUnsafe(count * 32));
    const firstSeq = this.#seq + 1;
    for (let i = 0; i < count; i++) {
      const at = i * recordBytes;
      const seq = ++this.#seq;
      ids[i * 16 + 6] = 0x70 | ((ids[i * 16 + 6] as number) & 15);
      ids[i * 16 + 8] = 0x80 | ((ids[i * 16 + 8] as number) & 63);
      records.set(bytes, at);
      fullDigests.copy(digests, i * 8, i * 32, i * 32 + 8);
      records.write(fullDigests.toString('hex', i * 32, i * 32 + 32), at + digestAt, 'latin1');
      records.write(dashed(ids.toString('hex', i * 16, i * 16 + 16)), at + idAt, 'latin1');
      records.write(String(firstDigit + seq), at + seqAt, 'latin1');
      records.write(String(100 + (seq % people)), at + personAt, 'latin1');
      records.write(String(100_000 + ((seq * 7919) % 5000)), at + patientAt, 'latin1');
    }
    return {
      count,
      records,
      lengths: new Uint32Array(count).fill(recordBytes),
      ids,
      digests,
      classes: new Uint8Array(count),
      runs: [{ emitter: 'gateway-1', firstSeq: firstDigit + firstSeq, count }],
      receivedMs: this.#receivedMs,
    };
  }

  #made: Template | undefined;

  #template(): Template {
    if (this.#made !== undefined) return this.#made;
    const id = '01a00000-0000-7000-8000-000000000000';
    let pad = 0;
    for (;;) {
      const event = this.#event(firstDigit, id, pad);
      const bytes = encode({ ...this.#envelope('0'.repeat(64)), event });
      if (bytes.length < recordBytes) pad += recordBytes - bytes.length;
      else if (bytes.length > recordBytes) throw new Error(`the template has ${bytes.length} bytes`);
      else {
        const text = Buffer.from(bytes).toString();
        decode(bytes);
        this.#made = {
          bytes,
          digestAt: text.indexOf('0'.repeat(64)),
          idAt: text.indexOf(id),
          seqAt: text.indexOf(String(firstDigit)),
          personAt: text.indexOf('person-') + 7,
          patientAt: text.indexOf('wg-pt-') + 6,
        };
        return this.#made;
      }
    }
  }

  #event(seq: number, id: string, pad = 0): Event & ReturnType<typeof minimise> {
    return minimise({
      v: 1,
      id,
      time: new Date(this.#receivedMs).toISOString(),
      tenant: this.#tenant,
      emitter: { id: 'gateway-1', seq },
      kind: 'api',
      action: 'read',
      operation: 'read',
      outcome: { status: 'success', code: 200 },
      actor: { id: `person-${100 + (seq % people)}`, type: 'human' },
      targets: [{ type: 'Patient', id: `wg-pt-${100_000 + ((seq * 7919) % 5000)}` }],
      ...(pad > 12 ? { site: 'x'.repeat(Math.min(128, pad - 10)) } : {}),
    });
  }

  #envelope(digest: string): AppendItem['envelope'] {
    return { received: new Date(this.#receivedMs).toISOString(), submitter: 'key:bench', intake: 'http', digest };
  }
}

function bufferOver(bytes: Uint8Array | undefined, count: number): Buffer {
  return bytes?.length === count
    ? Buffer.from(bytes.buffer, bytes.byteOffset, count)
    : Buffer.from(new ArrayBuffer(count));
}

/** Sequence numbers have one length, so that records do. */
const firstDigit = 100_000_000;

/** Chance for some hundred ids: asked for one by one it costs more than an append. */
const chance: Buffer = Buffer.alloc(4096);
let chanceAt: number = chance.length;

function uuid(): string {
  if (chanceAt === chance.length) {
    randomFillSync(chance);
    chanceAt = 0;
  }
  const bytes = chance.subarray(chanceAt, chanceAt + 16);
  chanceAt += 16;
  bytes[6] = 0x70 | ((bytes[6] as number) & 15);
  bytes[8] = 0x80 | ((bytes[8] as number) & 63);
  return dashed(bytes.toString('hex'));
}

function dashed(hex: string): string {
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
