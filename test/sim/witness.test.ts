/** Histories of a ledger and its witnesses over a bad network, in each of which an older copy of the ledger is put back; and what they must find. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { layerOver } from './disk-layer.ts';
import { runWitnessHistory, type WitnessFlaws } from './witness-history.ts';

const firstSeed = Number(process.env.WATCHGLASS_SEED ?? 1);
const seeds = 8;
const seedsMax = 200;

test('no witness cosigns two trees, an older copy goes read-only, and its successor is cosigned', {
  timeout: 200_000,
}, async () => {
  let cosignatures = 0;
  for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
    const run = await runWitnessHistory(seed);
    assert.equal(run.violation, undefined, `seed ${seed}`);
    cosignatures += run.cosignatures;
  }
  assert.ok(cosignatures > seeds);
});

const canaries: readonly { readonly what: string; readonly flaws: WitnessFlaws; readonly finding: RegExp }[] = [
  {
    what: 'a ledger that signs before it asks its witnesses',
    flaws: { asksLate: true },
    finding: /^an older copy of \d+ leaves was written on|^two trees of \d+ leaves/,
  },
  {
    what: 'a witness that forgets in a crash what it cosigned',
    flaws: {
      witnessDisk: (disk) =>
        layerOver(disk, {
          replace: (path, bytes, options = {}) => disk.replace(path, bytes, { ...options, durable: false }),
        }),
    },
    finding: /cosigned \d+ leaves after \d+|cosigned two trees|of another tree|is writable, and \d+ were cosigned/,
  },
];

for (const { what, flaws, finding } of canaries) {
  test(`${what} is found within ${seedsMax} seeds, every time`, { timeout: 200_000 }, async (t) => {
    for (const first of [1, 700_001]) {
      let found: string | undefined;
      let seed = first;
      for (; seed < first + seedsMax && found === undefined; seed++)
        found = (await runWitnessHistory(seed, flaws)).violation;
      assert.match(found ?? '', finding, `from seed ${first} on`);
      t.diagnostic(`seed ${seed - 1}: ${found?.split('\n')[0]}`);
    }
  });
}
