/**
 * What nobody can go below on one thread: the same bytes compressed, sealed, hashed three times an event and made durable by one
 * write and one fdatasync a group, and nothing else.
 */
import { createCipheriv, hash, randomBytes } from 'node:crypto';
import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs';
import { constants, zstdCompressSync } from 'node:zlib';
import { type EventSource, recordBytes } from './encoded-events.ts';
import { type Spent, stopwatch } from './stopwatch.ts';

export interface LimitTurn {
  readonly path: string;
  readonly source: EventSource;
  readonly groupEvents: number;
  readonly groups: number;
}

export function limitTurn({ path, source, groupEvents, groups }: LimitTurn): Spent {
  const { records } = source.batch(groupEvents);
  const key = randomBytes(32);
  const leaf = Buffer.alloc(34);
  const pair = Buffer.alloc(65);
  const input = Buffer.alloc(92 + recordBytes);
  const file = openSync(path, 'w');
  const spent = stopwatch();
  for (let group = 0; group < groups; group++) {
    for (let i = 0; i < groupEvents; i++) {
      input.set(records.subarray(i * recordBytes, (i + 1) * recordBytes), 92);
      hash('sha256', input, 'binary');
      hash('sha256', leaf, 'binary');
      hash('sha256', pair, 'binary');
    }
    const parts: Buffer[] = [];
    for (let at = 0; at < records.length; at += 1 << 20) {
      const packed = zstdCompressSync(records.subarray(at, at + (1 << 20)), {
        params: { [constants.ZSTD_c_compressionLevel]: 1 },
      });
      const cipher = createCipheriv('aes-256-gcm', key, randomBytes(12));
      parts.push(cipher.update(packed));
      cipher.final();
    }
    // Commitments and ids stand in the journal too.
    writeSync(file, Buffer.concat([...parts, Buffer.alloc(groupEvents * 48)]));
    fdatasyncSync(file);
  }
  const result = spent(groupEvents * groups);
  closeSync(file);
  return result;
}
