/**
 * The bytes of a spool segment: a header, then sealed frames. Integers are big-endian.
 *
 *     header  "WGS1" ‖ u64 first seq ‖ salt₃₂ ‖ u32 CRC-32 of the 44 bytes before
 *     frame   u32 |body| ‖ u32 CRC-32 of all other bytes of the frame ‖ u64 first seq ‖ u32 count ‖ u32 nonce ‖ body
 *     body    AES-256-GCM ciphertext ‖ tag₁₆; key = HKDF-SHA-256(spool key, salt, "watchglass/spool/v1", 32),
 *             nonce = u64 0 ‖ u32 nonce, additional data = the frame's header without its CRC
 *     plain   `count` lines of JSON joined by "\n": events with consecutive `seq`
 *
 * A wrong CRC is damage, a right CRC with a wrong tag is tampering (or another key): they are told apart. A nonce is
 * never used twice under one salt: it only counts up, a frame that was cut off keeps its number, and each start of the process opens a
 * segment with a salt of its own.
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';

import { SdkError } from './errors.ts';

export const segmentHeaderBytes = 48;
export const frameHeaderBytes = 24;
const tagBytes = 16;
const magic = Buffer.from('WGS1', 'latin1');

/** A frame holds one group: at most what the writer lets into a group, and one event more. */
export const frameBodyBytesMax: number = 4 * 1024 * 1024;

export interface SegmentHeader {
  readonly firstSeq: number;
  readonly salt: Uint8Array;
}

export function makeSegmentHeader(firstSeq: number): { readonly bytes: Uint8Array; readonly salt: Uint8Array } {
  const salt = randomBytes(32);
  const bytes = Buffer.alloc(segmentHeaderBytes);
  magic.copy(bytes);
  bytes.writeBigUInt64BE(BigInt(firstSeq), 4);
  salt.copy(bytes, 12);
  bytes.writeUInt32BE(crc32(bytes.subarray(0, 44)), 44);
  return { bytes, salt };
}

/** The header, or undefined where these bytes are not a whole one. */
export function parseSegmentHeader(bytes: Uint8Array): SegmentHeader | undefined {
  if (bytes.length < segmentHeaderBytes) return undefined;
  const view = bufferOf(bytes);
  if (!view.subarray(0, 4).equals(magic)) return undefined;
  if (view.readUInt32BE(44) !== crc32(view.subarray(0, 44))) return undefined;
  return { firstSeq: Number(view.readBigUInt64BE(4)), salt: view.subarray(12, 44) };
}

export function segmentKey(spoolKey: Uint8Array, salt: Uint8Array): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', spoolKey, salt, 'watchglass/spool/v1', 32));
}

export function sealFrame(input: {
  readonly key: Uint8Array;
  readonly nonce: number;
  readonly firstSeq: number;
  readonly count: number;
  /** `count` lines, joined by "\n". */
  readonly plain: Buffer;
}): Uint8Array {
  const { plain } = input;
  const frame = Buffer.allocUnsafe(frameHeaderBytes + plain.length + tagBytes);
  frame.writeUInt32BE(plain.length + tagBytes, 0);
  frame.writeUInt32BE(0, 4);
  frame.writeBigUInt64BE(BigInt(input.firstSeq), 8);
  frame.writeUInt32BE(input.count, 16);
  frame.writeUInt32BE(input.nonce, 20);
  const cipher = createCipheriv('aes-256-gcm', input.key, nonceOf(input.nonce));
  cipher.setAAD(additionalData(frame));
  cipher.update(plain).copy(frame, frameHeaderBytes);
  cipher.final();
  cipher.getAuthTag().copy(frame, frameHeaderBytes + plain.length);
  frame.writeUInt32BE(frameCrc(frame), 4);
  return frame;
}

export type FrameView =
  | { readonly kind: 'frame'; readonly firstSeq: number; readonly count: number; readonly size: number }
  /** The bytes end inside the frame. */
  | { readonly kind: 'short'; readonly size: number }
  /** There are enough bytes, and they are not the frame that was written. */
  | { readonly kind: 'damaged'; readonly size: number };

/** What stands at `offset`, without opening it. `size` is how long the frame says it is. */
export function viewFrame(bytes: Uint8Array, offset: number): FrameView {
  const view = bufferOf(bytes);
  if (view.length - offset < frameHeaderBytes) return { kind: 'short', size: frameHeaderBytes };
  const bodyBytes = view.readUInt32BE(offset);
  if (bodyBytes < tagBytes || bodyBytes > frameBodyBytesMax) return { kind: 'damaged', size: frameHeaderBytes };
  const size = frameHeaderBytes + bodyBytes;
  if (view.length - offset < size) return { kind: 'short', size };
  const frame = view.subarray(offset, offset + size);
  if (frame.readUInt32BE(4) !== frameCrc(frame)) return { kind: 'damaged', size };
  return { kind: 'frame', firstSeq: Number(frame.readBigUInt64BE(8)), count: frame.readUInt32BE(16), size };
}

/** The lines of the frame at `offset`, which `viewFrame` found whole. Throws `spool-tampered` when it does not open. */
export function openFrame(key: Uint8Array, bytes: Uint8Array, offset: number, size: number, place: string): Buffer {
  const frame = bufferOf(bytes).subarray(offset, offset + size);
  const decipher = createDecipheriv('aes-256-gcm', key, nonceOf(frame.readUInt32BE(20)));
  decipher.setAAD(additionalData(frame));
  decipher.setAuthTag(frame.subarray(size - tagBytes));
  try {
    const plain = decipher.update(frame.subarray(frameHeaderBytes, size - tagBytes));
    decipher.final();
    return plain;
  } catch (cause) {
    throw new SdkError(
      'spool-tampered',
      `expected the frame at byte ${offset} of ${place} to open under the spool's key, and it does not; check that the key file belongs to this spool, otherwise treat it as tampering`,
      { cause, details: { offset } },
    );
  }
}

function frameCrc(frame: Buffer): number {
  return crc32(frame.subarray(8), crc32(frame.subarray(0, 4)));
}

function additionalData(frame: Buffer): Buffer {
  return Buffer.concat([frame.subarray(0, 4), frame.subarray(8, frameHeaderBytes)]);
}

function nonceOf(counter: number): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeUInt32BE(counter, 8);
  return nonce;
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
