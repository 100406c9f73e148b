import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeUtf8, tryDecodeUtf8 } from '../bytes.ts';
import { RecordError } from '../errors.ts';
import { signNote } from '../note.ts';
import { formatVerifierKey, generateSigner } from '../note-key.ts';
import { origin, pageText, sampleBundle, signer, vkey } from './bundle.fixture.ts';
import { looksLikeBundle, splitBundle, splitPage } from './bundle-file.ts';
import { bundleEventsMax, encodeEvidence, joinEvidence, readEvidence } from './contents.ts';
import { type BundleReport, verifyBundle } from './verify-bundle.ts';

const codes = ({ findings }: BundleReport): string[] => [...new Set(findings.map(({ code }) => code))].sort();

test('a bundle is intact, says what it holds, and has one spelling', () => {
  const { evidence, file, checkpoint } = sampleBundle();
  const split = splitBundle(file);
  assert.equal(split.evidence, evidence);
  assert.ok(looksLikeBundle(file));
  const report = verifyBundle(split.evidence, { page: split.page, vkey, checkpoint });
  assert.deepEqual(report.findings, []);
  assert.ok(report.intact && report.pinned);
  assert.deepEqual(
    report.events.map(({ index, record }) => [index, record?.event.actor.id]),
    [
      [3, 'n-3'],
      [4, 'n-4'],
      [11, 'n-11'],
    ],
  );
  assert.equal(report.maker?.record?.event.operation, 'bundle');
  assert.equal(report.checkpoint?.size, 21n);
  assert.equal(report.signatures[0]?.name, origin);
  assert.equal(verifyBundle(evidence).pinned, false);
  const read = readEvidence(evidence);
  assert.equal(encodeEvidence(read), evidence);
  assert.ok(!evidence.includes('<'), 'nothing in it can end the element that holds it');
});

test('cosignatures of witnesses are verified, and the tree they signed is the beginning of the one that proves', () => {
  for (const cosignedSize of [1, 8, 20]) {
    const { evidence, contents } = sampleBundle({ cosignedSize });
    const report = verifyBundle(evidence);
    assert.deepEqual(report.findings, []);
    assert.equal(report.cosigned?.size, cosignedSize);
    assert.deepEqual(
      report.cosigned?.signatures.map(({ name }) => name),
      ['witness.example'],
    );
    const { proof } = readEvidence(evidence);
    const without = encodeEvidence({ contents, proof: { ...proof, growth: [] } });
    assert.deepEqual(codes(verifyBundle(without)), ['growth-invalid']);
  }
});

test('fields are withheld, and what is shown is proven all the same', () => {
  const withheld = ['/actor/id', '/targets/*/id', '/targets/*/patient', '/exposure', '/source'];
  const { evidence, contents } = sampleBundle({ leafType: 2, withheld });
  for (const event of contents.events) assert.doesNotMatch('m' in event ? event.m : '', /n-3|n-11|wg-pt-|exposure":\{/);
  const report = verifyBundle(evidence, { vkey });
  assert.deepEqual(report.findings, []);
  const [first] = report.events;
  assert.equal(first?.withheld, true);
  assert.equal(first?.record?.event.actor.id, null);
  assert.equal(first?.record?.digest, null, 'the digest of the sent bytes would let anybody try values');
  assert.equal(first?.record?.event.action, 'read');
});

test('a field cannot be withheld from an event whose leaf commits to the whole', () => {
  const { contents, evidence } = sampleBundle({ leafType: 2, withheld: ['/actor/id'] });
  const { proof } = readEvidence(evidence);
  const report = verifyBundle(encodeEvidence({ contents: { ...contents, leafType: 1 }, proof }));
  assert.ok(codes(report).includes('record-invalid'));
});

test('an event sent in by whoever has a write key vouches for no bundle', () => {
  const report = verifyBundle(sampleBundle({ submitter: 'key:k-0011223344556677' }).evidence, { vkey });
  assert.deepEqual(codes(report), ['maker-mismatch']);
  assert.match(report.findings[0]?.message ?? '', /sent in from outside/);
});

test('a record in which something is withheld and that holds no event is a finding, not an exception', () => {
  const { contents, proof } = readEvidence(sampleBundle({ leafType: 2, withheld: ['/actor/id'] }).evidence);
  for (const m of ['{}', '{"event":null}', '{"event":"x"}', '[]', '1', '{"event":{}', '['.repeat(100_000)]) {
    const events = contents.events.map((event, at) => (at === 1 ? { ...event, m } : event));
    const report = verifyBundle(encodeEvidence({ contents: { ...contents, events }, proof }));
    assert.ok(codes(report).includes('record-invalid'), m.slice(0, 20));
    assert.equal(report.events[1]?.record, undefined);
  }
});

test('every byte of a bundle is bound: flipping a bit of any is found', () => {
  for (const sample of [
    sampleBundle({ indexes: [2, 9], cosignedSize: 12 }),
    sampleBundle({ indexes: [5], leafType: 2, withheld: ['/actor/id'] }),
  ]) {
    const bytes = encodeUtf8(sample.file);
    assert.ok(isIntact(bytes));
    for (let at = 0; at < bytes.length; at++) {
      // All that gives structure, and every third byte within texts.
      if (at % 3 !== 0 && /[A-Za-z0-9+/]/.test(String.fromCharCode(bytes[at]!))) continue;
      const bit = 1 << (at % 8);
      bytes[at]! ^= bit;
      assert.ok(!isIntact(bytes), `byte ${at} with bit ${bit}`);
      bytes[at]! ^= bit;
    }
  }
});

/** As a verifier of files has it. */
function isIntact(bytes: Uint8Array): boolean {
  const text = tryDecodeUtf8(bytes);
  if (text === undefined) return false;
  try {
    const { evidence, page } = splitBundle(text);
    return verifyBundle(evidence, { page }).intact;
  } catch (error) {
    assert.ok(error instanceof RecordError, String(error));
    return false;
  }
}

test('bytes put in, taken out or exchanged are found', () => {
  const bytes = encodeUtf8(sampleBundle({ indexes: [2, 9] }).file);
  fc.assert(
    fc.property(
      fc.nat(bytes.length - 1),
      fc.nat(bytes.length - 1),
      fc.uint8Array({ maxLength: 8 }),
      (a, b, between) => {
        const [from, to] = a < b ? [a, b] : [b, a];
        const changed = Buffer.concat([bytes.subarray(0, from), between, bytes.subarray(to)]);
        fc.pre(!changed.equals(bytes));
        assert.ok(!isIntact(changed));
      },
    ),
    { numRuns: 300 },
  );
});

test('whatever text it is given, the reader of evidence answers in codes', () => {
  const { evidence } = sampleBundle();
  const values: fc.Arbitrary<unknown> = fc.anything();
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.json(),
        values.map((one) => JSON.stringify(one) ?? ''),
      ),
      (text) => {
        assert.deepEqual(codes(verifyBundle(text)), ['bundle-malformed']);
      },
    ),
  );
  const members = JSON.parse(evidence) as Record<string, Record<string, unknown>>;
  const places = Object.entries(members).flatMap(([part, of]) => Object.keys(of).map((name) => [part, name] as const));
  fc.assert(
    fc.property(fc.constantFrom(...places), values, ([part, name], value) => {
      const changed = { ...members, [part]: { ...members[part], [name]: value } };
      assert.equal(verifyBundle(JSON.stringify(changed)).intact, false);
    }),
  );
});

test('an event that is left out, put in, or moved is found', () => {
  const { contents, evidence } = sampleBundle();
  const { proof } = readEvidence(evidence);
  const other = sampleBundle({ indexes: [3, 4, 5, 11] });
  const fewer = { ...contents, events: contents.events.slice(1) };
  assert.deepEqual(codes(verifyBundle(encodeEvidence({ contents: fewer, proof }))), [
    'contents-changed',
    'maker-mismatch',
    'root-mismatch',
  ]);
  assert.deepEqual(codes(verifyBundle(encodeEvidence({ contents: other.contents, proof }))), [
    'contents-changed',
    'maker-mismatch',
    'root-mismatch',
  ]);
  const [first, ...rest] = contents.events;
  const moved = { ...contents, events: [{ ...first!, index: 2 }, ...rest] };
  const report = verifyBundle(encodeEvidence({ contents: moved, proof }));
  assert.ok(report.findings.some(({ code, index }) => code === 'event-mismatch' && index === 2));
});

test('who made it, when, why and of what cannot be changed: the log vouches for the contents', () => {
  const { contents, evidence } = sampleBundle();
  const { proof } = readEvidence(evidence);
  for (const changed of [
    { made: '2026-03-02T08:00:00.001Z' },
    { by: { ...contents.by, name: 'Dana Ita' } },
    { purpose: { ...contents.purpose, reason: 'none' } },
    { query: { ...contents.query, unindexed: 1 } },
    { withheld: ['/actor/id'] },
    { page: '0'.repeat(64) },
  ])
    assert.deepEqual(codes(verifyBundle(encodeEvidence({ contents: { ...contents, ...changed }, proof }))), [
      'contents-changed',
    ]);
});

test("a maker's event that is not about this bundle vouches for nothing", () => {
  for (const maker of [
    { operation: 'search' },
    { kind: 'api' as const },
    { exposure: { count: 4 } },
    { purpose: { code: 'TREAT' } },
    { actor: { id: 'somebody' } },
    { outcome: { status: 'denied' as const } },
  ])
    assert.deepEqual(codes(verifyBundle(sampleBundle({ maker }).evidence)), ['maker-mismatch']);
  assert.deepEqual(codes(verifyBundle(sampleBundle({ maker: { targets: [] } }).evidence)), ['contents-changed']);
});

test('a bundle signed again by another key is not the pinned log’s', () => {
  const other = generateSigner(origin, new Uint8Array(32).fill(8));
  const { contents, evidence } = sampleBundle({ contents: { vkeys: [formatVerifierKey(other)] } });
  const { proof } = readEvidence(evidence);
  const body = proof.checkpoint.slice(0, proof.checkpoint.indexOf('\n\n') + 1);
  const forged = encodeEvidence({ contents, proof: { ...proof, checkpoint: signNote(body, [other]) } });
  assert.ok(verifyBundle(forged).intact, 'without a key from elsewhere it is consistent in itself');
  assert.deepEqual(codes(verifyBundle(forged, { vkey })), ['checkpoint-invalid', 'key-mismatch']);
});

test('a signature by a key that the bundle does not name is found, and so is one that stands there twice', () => {
  const { contents, evidence } = sampleBundle();
  const { proof } = readEvidence(evidence);
  const body = proof.checkpoint.slice(0, proof.checkpoint.indexOf('\n\n') + 1);
  const stranger = generateSigner('stranger.example', new Uint8Array(32).fill(1));
  for (const signers of [
    [signer, stranger],
    [signer, signer],
  ]) {
    const checkpoint = signNote(body, signers);
    const report = verifyBundle(encodeEvidence({ contents, proof: { ...proof, checkpoint } }));
    assert.deepEqual(codes(report), ['checkpoint-invalid']);
  }
});

test('a checkpoint remembered from another history is found where it has the same size', () => {
  const { evidence } = sampleBundle();
  const fork = sampleBundle({ maker: { site: 'elsewhere' } });
  assert.deepEqual(codes(verifyBundle(evidence, { checkpoint: fork.checkpoint })), ['checkpoint-mismatch']);
  const smaller = sampleBundle({ size: 19 });
  const report = verifyBundle(evidence, { checkpoint: smaller.checkpoint });
  assert.ok(report.intact && !report.pinned, 'of another size it says nothing');
});

test('a key or checkpoint to trust that is malformed is the caller’s error', () => {
  const { evidence } = sampleBundle();
  assert.throws(() => verifyBundle(evidence, { vkey: 'nonsense' }), { code: 'key-invalid' });
  assert.throws(() => verifyBundle(evidence, { checkpoint: 'nonsense' }), { code: 'checkpoint-malformed' });
});

test('another spelling of the same evidence is refused, with the line where it is', () => {
  const { evidence } = sampleBundle();
  const spaced = evidence.replace('"index":4', '"index": 4');
  const [finding] = verifyBundle(spaced).findings;
  assert.equal(finding?.code, 'bundle-malformed');
  assert.match(finding?.message ?? '', /line 3/);
  assert.equal(joinEvidence('{}', '{}'), '{"contents":{},\n"proof":{}}');
});

test('a page has room for evidence, and only an empty one is a template', () => {
  const { before, after } = splitPage(pageText);
  assert.equal(before + after, pageText);
  assert.throws(() => splitPage(sampleBundle().file), { code: 'bundle-malformed' });
  assert.throws(() => splitPage('<p>'), { code: 'bundle-malformed' });
  assert.throws(() => splitBundle(`${before}{}`), { code: 'bundle-malformed' });
});

test('ten thousand events go into one bundle, and one more than there is room for is refused', () => {
  const size = 10_000;
  const { evidence, contents } = sampleBundle({ size, indexes: Array.from({ length: size }, (_, i) => i) });
  const report = verifyBundle(evidence, { vkey });
  assert.deepEqual([report.intact, report.events.length], [true, size]);
  const [first] = contents.events;
  const events = Array.from({ length: bundleEventsMax + 1 }, (_, index) => ({ ...first!, index, m: '' }));
  const { proof } = readEvidence(sampleBundle().evidence);
  const [finding] = verifyBundle(encodeEvidence({ contents: { ...contents, events }, proof })).findings;
  assert.match(finding?.message ?? '', /expected 1 to 20000 events/);
});
