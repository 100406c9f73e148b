/** NDJSON that passes in any pieces is read as it is read in one. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';

import fc from 'fast-check';
import { learnExposure } from './exposure.ts';
import { LineReader } from './line-reader.ts';

const line = fc.constantFrom(
  '{"resourceType":"Patient","id":"a"}',
  '{"resourceType":"Observation","id":"o","subject":{"reference":"Patient/b"}}',
  '{"resourceType":"Patient","id":"é"}',
  '{broken',
  '',
);

async function readInPieces(
  bytes: Buffer,
  cuts: readonly number[],
  options: ConstructorParameters<typeof LineReader>[0],
): Promise<ReturnType<typeof learnExposure>> {
  const reader = new LineReader(options);
  let from = 0;
  for (const at of [...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]) {
    await reader.push(bytes.subarray(from, at));
    from = at;
  }
  return reader.finish(true);
}

describe('lines that pass', () => {
  it('tell in any pieces, packed or not, what they tell in one', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(line, { maxLength: 8 }),
        fc.array(fc.nat(), { maxLength: 6 }),
        fc.boolean(),
        async (lines, cuts, gzip) => {
          const text = Buffer.from(lines.join('\n'));
          const whole = learnExposure(text, { contentType: 'application/ndjson', complete: true });
          const { exposure } = await readInPieces(gzip ? gzipSync(text) : text, cuts, { lineBytesMax: 1_000, gzip });
          assert.deepEqual(exposure, { ...whole.exposure, bytes: 0 });
        },
      ),
      { numRuns: 300 },
    );
  });

  it('that are too long, cut off or not packed as they should be say so, and the others are read', async () => {
    const good = '{"resourceType":"Patient","id":"a"}\n';
    const long = Buffer.from(`{"resourceType":"Patient","id":"b","x":"${'x'.repeat(200)}"}\n${good}`);
    const skipped = await readInPieces(long, [50, 100], { lineBytesMax: 100, gzip: false });
    assert.deepEqual([skipped.exposure.patients?.map(({ id }) => id), skipped.exposure.truncated], [['a'], true]);
    const packed = gzipSync(good.repeat(9));
    for (const bytes of [Buffer.from(good), packed.subarray(0, -12)]) {
      const { exposure } = await readInPieces(bytes, [], { lineBytesMax: 100, gzip: true });
      assert.equal(exposure.truncated, true);
    }
    const reader = new LineReader({ lineBytesMax: 100, gzip: false });
    await reader.push(Buffer.from(`${good}{"resourceType":"Pat`));
    const { exposure } = await reader.finish(false);
    assert.deepEqual([exposure.patients?.length, exposure.truncated], [1, true]);
  });
});
