/** Version 2 of a bundle: events whose content was shredded, older keys that lead to the newest, signatures that can't be checked here, and a policy of witnesses. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sha256 } from '#crypto';
import {
  cosignatureVerifierOf,
  formatVerifierKey,
  generateMlDsaSigner,
  generateSigner,
  type Signer,
} from '../note-key.ts';
import { parsePolicy } from '../policy.ts';
import {
  next,
  origin,
  type SampleOptions,
  sampleBundle,
  signer,
  statementsOf,
  third,
  vkey,
  witness,
} from './bundle.fixture.ts';
import { splitBundle } from './bundle-file.ts';
import { sayCompleteness, sayNotProven, sayProven } from './bundle-words.ts';
import { type BundleStatements, encodeEvidence, readEvidence } from './contents.ts';
import { type BundleReport, verifyBundle } from './verify-bundle.ts';

const codes = ({ findings }: BundleReport): string[] => [...new Set(findings.map(({ code }) => code))].sort();

test('an event that was shredded is proven to have been in the log, with the evidence of its shred', () => {
  for (const leafType of [1, 2] as const) {
    const { evidence } = sampleBundle({ leafType, shredded: [4, 11], contents: {} });
    assert.match(evidence, /^\{"contents":\{"v":2,/);
    assert.equal(encodeEvidence(readEvidence(evidence)), evidence);
    const report = verifyBundle(evidence, { vkey });
    assert.deepEqual(report.findings, []);
    assert.deepEqual(
      report.events.map(({ index, shredded }) => [index, shredded?.unit]),
      [
        [3, undefined],
        [4, 'access-650'],
        [11, 'access-650'],
      ],
    );
    assert.equal(report.events[1]?.record, undefined);
    assert.match(sayProven(report).join('\n'), /2 events were shredded: .* proven, .*access-650 \(event 20, received /);
    assert.match(sayNotProven(report).join('\n'), /What stood in the events that were shredded/);
  }
  assert.match(sampleBundle().evidence, /^\{"contents":\{"v":1,/, 'what needs nothing new is written as it always was');
});

test('an event is not taken for shredded without an event of the log that says so of it', () => {
  const lies: Record<string, SampleOptions> = {
    'by somebody else': { done: { site: 'ward' } },
    'another operation': { done: { operation: 'shred-begun' } },
    'another unit': { done: { targets: [{ type: 'Shred', id: 'access-651' }] } },
    'other terms': { done: { changes: [{ path: '/terms', op: 'add', after: '0'.repeat(64) }] } },
    'another tenant': { done: { tenant: 'elsewhere' as never } },
    'other indexes': { terms: { ranges: '0'.repeat(64) } },
    'another log': { terms: { origin: 'watchglass.example/other' } },
    'terms that lack something': { terms: { epoch: 'x' } },
  };
  for (const [what, lie] of Object.entries(lies)) {
    const report = verifyBundle(sampleBundle({ shredded: [4], ...lie }).evidence);
    assert.deepEqual(codes(report), ['shred-unproven'], what);
  }
  const { contents } = sampleBundle({ shredded: [4] });
  const [shown, ...rest] = contents.events;
  const { index, leaf } = shown as { index: number; leaf: Uint8Array };
  const outside = sampleBundle({ shredded: [4], contents: { events: [{ index, leaf, shred: 0 }, ...rest] } });
  assert.deepEqual(codes(verifyBundle(outside.evidence)), ['shred-unproven'], 'an index that the shred does not name');
  const none = sampleBundle({ shredded: [4], contents: { events: [{ index, leaf, shred: 7 }, ...rest] } });
  assert.deepEqual(codes(verifyBundle(none.evidence)), ['shred-unproven'], 'a shred that is not there');
});

test('a search over a log with shreds says how many could not be looked at', () => {
  const query = { how: 'scan', filters: [['patient', 'x']], size: 20, unindexed: 0, shredded: 6 } as const;
  const { evidence, contents } = sampleBundle({ contents: { query } });
  assert.deepEqual(verifyBundle(evidence).findings, []);
  assert.match(sayCompleteness(contents), /Each one that is still there of .*6 events of the log were shredded/);
});

const keyOf = (key: Signer): string => formatVerifierKey(key);

test('who has an older key of the log is led to the newest by its statements', () => {
  const statements = statementsOf([signer, next, third]);
  const { evidence } = sampleBundle({ signers: [third], contents: { statements } });
  for (const given of [signer, next, third]) {
    const report = verifyBundle(evidence, { vkey: keyOf(given) });
    assert.deepEqual(report.findings, []);
    assert.ok(report.pinned);
    const from = [signer, next, third].indexOf(given);
    assert.deepEqual(
      report.followed.map(({ number }) => number),
      [1, 2].slice(from),
    );
    assert.equal(/The key that was given is an older one/.test(sayProven(report).join()), from < 2);
  }
  assert.deepEqual(codes(verifyBundle(evidence, { vkey: keyOf(generateSigner(origin, sha256(Uint8Array.of(8)))) })), [
    'checkpoint-invalid',
    'key-mismatch',
  ]);
});

test('both keys of an overlap verify, and an older cosigned checkpoint counts under the key of its time', () => {
  const statements = statementsOf([signer, next]);
  const overlap = sampleBundle({ signers: [next, signer], contents: { statements }, cosignedSize: 8 });
  for (const given of [signer, next])
    assert.deepEqual(verifyBundle(overlap.evidence, { vkey: keyOf(given) }).findings, []);
  const { contents, proof } = readEvidence(sampleBundle({ signers: [next], contents: { statements } }).evidence);
  const older = sampleBundle({ cosignedSize: 8 });
  const { cosigned, witnesses } = older.contents;
  const later = sampleBundle({ signers: [next], contents: { ...contents, cosigned, witnesses } });
  assert.deepEqual(
    codes(verifyBundle(later.evidence)),
    ['growth-invalid'],
    'only the growth is missing in this sample',
  );
  assert.equal(proof.growth.length, 0);
});

test('a stolen key is told, and statements that do not hold lead nowhere', () => {
  const verdict = (statements: BundleStatements, given = signer): string[] =>
    codes(verifyBundle(sampleBundle({ signers: [third], contents: { statements } }).evidence, { vkey: keyOf(given) }));
  const sound = statementsOf([signer, next, third]);
  assert.deepEqual(verdict(sound), []);
  assert.deepEqual(verdict(statementsOf([signer, next, third], ['planned', 'compromised'])), [
    'checkpoint-invalid',
    'key-revoked',
  ]);
  const lost = ['checkpoint-invalid', 'key-chain-invalid', 'key-mismatch'];
  const [one = '', two = ''] = sound.rotations;
  assert.deepEqual(verdict({ ...sound, rotations: [one] }), lost.slice(0, 2), 'a cut chain leads to a key not named');
  assert.deepEqual(verdict({ ...sound, rotations: [two] }), lost, 'without its beginning');
  assert.deepEqual(verdict({ ...sound, rotations: [two, one] }), lost, 'turned round');
  assert.deepEqual(verdict({ ...sound, seals: [] }), lost, 'without the seal that announces the key of the month');
  assert.deepEqual(verdict(statementsOf([signer, next, third], [], third)), lost, 'by another key of the month');
  assert.deepEqual(verdict({ ...sound, rotations: Array(2_001).fill(one) }), lost, 'a chain without end');
  assert.deepEqual(verdict(statementsOf([next, signer, next, third])), lost, 'a loop');
});

test('a second signature with ML-DSA-44 is checked where the platform can', () => {
  const mlDsa = generateMlDsaSigner(origin, sha256(Uint8Array.of(5)));
  const { evidence } = sampleBundle({ signers: [signer, mlDsa] });
  for (const key of [signer, mlDsa]) {
    const report = verifyBundle(evidence, { vkey: keyOf(key) });
    assert.deepEqual(report.findings, []);
    assert.ok(report.pinned);
    assert.deepEqual(report.unchecked, []);
  }
  const other = generateMlDsaSigner(origin, sha256(Uint8Array.of(6)));
  const { proof, contents } = readEvidence(evidence);
  const lines = sampleBundle({ signers: [signer, other] }).checkpoint.split('\n');
  const forged = proof.checkpoint
    .split('\n')
    .with(5, lines[5] ?? '')
    .join('\n');
  assert.deepEqual(codes(verifyBundle(encodeEvidence({ contents, proof: { ...proof, checkpoint: forged } }))), [
    'checkpoint-invalid',
  ]);
});

test('a policy asks for its own witnesses, whatever the bundle names', () => {
  const named = (name: string, key: string): string => `witness ${name} ${key}`;
  const good = formatVerifierKey(cosignatureVerifierOf(witness));
  const absent = formatVerifierKey(cosignatureVerifierOf(generateSigner('other.example', sha256(Uint8Array.of(7)))));
  const policyOf = (k: number): ReturnType<typeof parsePolicy> =>
    parsePolicy(`log ${vkey}\n${named('a', good)}\n${named('b', absent)}\ngroup g ${k} a b\nquorum g\n`);
  const { evidence } = sampleBundle({ cosignedSize: 8 });
  const enough = verifyBundle(evidence, { policy: policyOf(1) });
  assert.deepEqual(enough.findings, []);
  assert.deepEqual(enough.cosigned?.quorum?.names, ['witness.example']);
  assert.match(
    sayProven(enough).join(),
    /in sufficient number: witness.example. 1 event of this bundle came after that/,
  );
  const few = verifyBundle(evidence, { policy: policyOf(2) });
  assert.deepEqual(codes(few), ['quorum-missing']);
  assert.deepEqual(codes(verifyBundle(sampleBundle().evidence, { policy: policyOf(1) })), ['quorum-missing']);
});

test('every byte of what version 2 adds is bound', () => {
  const statements = statementsOf([signer, next]);
  const { file } = sampleBundle({ size: 13, indexes: [4], shredded: [4], signers: [next], contents: { statements } });
  const from = file.indexOf('"statements"');
  const bytes = Buffer.from(file);
  for (let at = from; at < file.indexOf('"page"'); at += 3) {
    bytes[at]! ^= 1;
    const { evidence, page } = splitBundle(bytes.toString('utf8'));
    assert.equal(verifyBundle(evidence, { page }).intact, false, `byte ${at}`);
    bytes[at]! ^= 1;
  }
});
