/** Frames as they pass, cut at any byte. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { closeFrame, FrameReader } from './frames.ts';

interface FrameParts {
  readonly fin?: boolean;
  readonly rsv?: number;
  readonly opcode?: number;
  readonly payload?: Uint8Array;
  readonly mask?: boolean;
  /** How many bytes say the length, where not the fewest. */
  readonly lengthBytes?: 0 | 2 | 8;
}

function frame(parts: FrameParts): Buffer {
  const { fin = true, rsv = 0, opcode = 1, payload = Buffer.from('x'), mask = false } = parts;
  const { length } = payload;
  const lengthBytes = parts.lengthBytes ?? (length < 126 ? 0 : length < 65_536 ? 2 : 8);
  const extended = Buffer.alloc(lengthBytes);
  if (lengthBytes === 2) extended.writeUInt16BE(length);
  if (lengthBytes === 8) extended.writeBigUInt64BE(BigInt(length));
  const short = lengthBytes === 0 ? length : lengthBytes === 2 ? 126 : 127;
  const key = Buffer.from([1, 2, 3, 4]);
  const body = mask ? Buffer.from(payload.map((byte, n) => byte ^ (key[n % 4] as number))) : Buffer.from(payload);
  const head = Buffer.from([(fin ? 0x80 : 0) | (rsv << 4) | opcode, (mask ? 0x80 : 0) | short]);
  return Buffer.concat([head, extended, ...(mask ? [key] : []), body]);
}

const reader = (options: { masked?: boolean; messageBytesMax?: number } = {}): FrameReader =>
  new FrameReader({ masked: false, messageBytesMax: 1_000_000, ...options });

const closing = (code: number): Buffer => Buffer.from([code >> 8, code & 0xff, 0x62, 0x79, 0x65]);

describe('frames', () => {
  it('are read the same however they are cut, and their ends are known', () => {
    const sound = fc.record({
      opcode: fc.constantFrom(1, 2, 9, 10),
      size: fc.oneof(fc.nat(125), fc.constantFrom(126, 65_535, 65_536)),
    });
    fc.assert(
      fc.property(
        fc.array(sound, { maxLength: 5 }),
        fc.array(fc.nat(), { maxLength: 20 }),
        fc.boolean(),
        (list, cuts, mask) => {
          const frames = list.map(({ opcode, size }) =>
            frame({ opcode, payload: Buffer.alloc(opcode > 8 ? Math.min(size, 125) : size), mask }),
          );
          const bytes = Buffer.concat([...frames, frame({ opcode: 8, payload: closing(1_001), mask })]);
          const ends = new Set(frames.map((_, n) => Buffer.concat(frames.slice(0, n)).length));
          const one = reader({ masked: mask });
          let at = 0;
          for (const cut of [...cuts.map((n) => n % bytes.length).sort((a, b) => a - b), bytes.length]) {
            assert.equal(one.push(bytes.subarray(at, cut)), undefined);
            at = Math.max(at, cut);
            if (at < bytes.length && frames.length > 0 && at < Buffer.concat(frames).length)
              assert.equal(one.atBoundary, ends.has(at));
          }
          assert.equal(one.closeCode, 1_001);
          assert.equal(one.atBoundary, true);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('may come in parts, with control frames between', () => {
    const one = reader();
    for (const part of [
      frame({ fin: false }),
      frame({ opcode: 9 }),
      frame({ opcode: 0, fin: false }),
      frame({ opcode: 0 }),
      frame({ opcode: 2 }),
    ])
      assert.equal(one.push(part), undefined);
    assert.equal(one.push(frame({ opcode: 8, payload: Buffer.alloc(0) })), undefined);
    assert.equal(one.closeCode, 1_005);
  });

  for (const [what, fault, bytes, options = {}] of [
    ['a bit of an extension that nobody agreed on', 'frame-reserved', frame({ rsv: 4 })],
    ['a kind that is not known', 'frame-opcode', frame({ opcode: 3 })],
    ['a server that masks', 'frame-mask', frame({ mask: true })],
    ['a client that does not', 'frame-mask', frame({}), { masked: true }],
    ['a control frame that is too long', 'frame-control', frame({ opcode: 9, payload: Buffer.alloc(126) })],
    ['a control frame in parts', 'frame-control', frame({ opcode: 9, fin: false })],
    ['two bytes for a length that one holds', 'frame-length', frame({ lengthBytes: 2 })],
    ['eight bytes for a length that two hold', 'frame-length', frame({ lengthBytes: 8 })],
    ['a length beyond counting', 'frame-length', Buffer.from([0x82, 127, 255, 255, 255, 255, 255, 255, 255, 255])],
    ['a part of nothing', 'frame-order', frame({ opcode: 0 })],
    ['a message within a message', 'frame-order', Buffer.concat([frame({ fin: false }), frame({})])],
    [
      'a frame behind the last',
      'frame-after-close',
      Buffer.concat([frame({ opcode: 8, payload: closing(1_000) }), frame({})]),
    ],
    [
      'parts that together are too large',
      'message-too-large',
      Buffer.concat([
        frame({ fin: false, payload: Buffer.alloc(60) }),
        frame({ opcode: 0, payload: Buffer.alloc(60) }),
      ]),
      { messageBytesMax: 100 },
    ],
    ['a request for HTTP', 'frame-reserved', Buffer.from('GET / HTTP/1.1\r\n\r\n'), { masked: true }],
  ] as const) {
    it(`with ${what} are faulty`, () => assert.equal(reader(options).push(bytes), fault));
  }

  it('of this end say what they say', () => {
    const plain = reader();
    assert.equal(plain.push(closeFrame(1_014)), undefined);
    assert.equal(plain.closeCode, 1_014);
    const masked = reader({ masked: true });
    assert.equal(masked.push(closeFrame(1_008, Buffer.from([9, 8, 7, 6]))), undefined);
    assert.equal(masked.closeCode, 1_008);
  });
});
