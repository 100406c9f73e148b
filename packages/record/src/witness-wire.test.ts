import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { encodeBase64 } from './bytes.ts';
import { formatCheckpoint } from './checkpoint.ts';
import { signNote } from './note.ts';
import { cosignerOf, generateSigner } from './note-key.ts';
import { openWitnessed, type PolicyWitness, parsePolicy } from './policy.ts';
import {
  formatAddCheckpoint,
  formatWitnessSize,
  openCosignatures,
  parseAddCheckpoint,
  parseWitnessSize,
} from './witness-wire.ts';

const seed = (n: number): Uint8Array => new Uint8Array(32).fill(n);
const log = generateSigner('watchglass.example/clinic', seed(1));
const witness = cosignerOf(generateSigner('witness.example/w1', seed(2)));
const other = cosignerOf(generateSigner('witness.example/w2', seed(3)));
const text = formatCheckpoint({ origin: log.name, size: 7n, root: seed(9) });
const checkpoint = signNote(text, [log]);
const linesBy = (...signers: readonly (typeof witness)[]): string =>
  signNote(text, signers, { timeSeconds: 1_700_000_000n }).slice(text.length + 1);

describe('add-checkpoint (c2sp.org/tlog-witness)', () => {
  test('is written as specified and read back', () => {
    const body = formatAddCheckpoint({ oldSize: 3n, proof: [seed(4), seed(5)], checkpoint });
    assert.equal(body, `old 3\n${encodeBase64(seed(4))}\n${encodeBase64(seed(5))}\n\n${checkpoint}`);
    assert.deepEqual(parseAddCheckpoint(Buffer.from(body)), { oldSize: 3n, proof: [seed(4), seed(5)], checkpoint });
    assert.equal(parseAddCheckpoint(`old 0\n\n${checkpoint}`).proof.length, 0);
  });

  const hash = encodeBase64(seed(4));
  for (const [what, body] of [
    ['no old size', `\n\n${checkpoint}`],
    ['an old size with a zero before it', `old 03\n\n${checkpoint}`],
    ['a negative old size', `old -1\n\n${checkpoint}`],
    ['an old size past 64 bits', `old 18446744073709551616\n\n${checkpoint}`],
    ['a space too much', `old  3\n\n${checkpoint}`],
    ['64 hashes', `old 3\n${`${hash}\n`.repeat(64)}\n${checkpoint}`],
    ['a short hash', `old 3\n${hash.slice(4)}\n\n${checkpoint}`],
    ['a hash that is not canonical', `old 3\n${hash.slice(0, -2)}R=\n\n${checkpoint}`],
    ['a carriage return', `old 3\r\n\n${checkpoint}`],
    ['no checkpoint', 'old 3\n\n'],
    ['a checkpoint without signatures', `old 3\n\n${text}`],
    ['no empty line', 'old 3\n'],
    ['nothing', ''],
  ] as const)
    test(`refused: ${what}`, () =>
      assert.throws(() => parseAddCheckpoint(body), { code: 'witness-request-malformed' }));

  test('bytes that are no UTF-8 are refused', () => {
    assert.throws(() => parseAddCheckpoint(Uint8Array.of(0xff)), { code: 'witness-request-malformed' });
  });
});

test('the vectors are read as written', () => {
  const vectors = JSON.parse(readFileSync(new URL('../vectors/witness.json', import.meta.url), 'utf8')) as {
    readonly [name in 'policy' | 'vkey' | 'addCheckpoint' | 'answer' | 'cosigned']: string;
  } & { readonly size: number; readonly by: readonly string[]; readonly quorumTimeSeconds: number };
  const policy = parsePolicy(vectors.policy);
  const opened = openWitnessed(vectors.cosigned, policy);
  assert.deepEqual(
    [Number(opened.checkpoint.size), opened.cosigned.map((one) => one.witness.name), Number(opened.quorumTimeSeconds)],
    [vectors.size, vectors.by, vectors.quorumTimeSeconds],
  );
  const request = parseAddCheckpoint(vectors.addCheckpoint);
  assert.equal(formatAddCheckpoint(request), vectors.addCheckpoint);
  const { lines } = openCosignatures(vectors.answer, request.checkpoint, [
    (policy.witnesses[0] as PolicyWitness).verifier,
  ]);
  assert.equal(lines.join(''), vectors.answer);
});

describe('the answer of a witness', () => {
  test('a size has one spelling', () => {
    assert.equal(parseWitnessSize(formatWitnessSize(20_852_014n)), 20_852_014n);
    for (const body of ['', '3', '3\n\n', ' 3\n', '03\n', '-3\n', '3 \n', 'abc\n', '18446744073709551616\n'])
      assert.throws(() => parseWitnessSize(body), { code: 'witness-response-malformed' }, JSON.stringify(body));
  });

  test('lines by known keys are taken, those of others left out', () => {
    const answer = openCosignatures(linesBy(other, witness), checkpoint, [witness]);
    assert.deepEqual(answer.lines, [linesBy(witness)]);
    assert.equal(answer.signatures[0]?.timeSeconds, 1_700_000_000n);
  });

  test('a lie is told from rubbish', () => {
    const wrong = signNote(formatCheckpoint({ origin: log.name, size: 8n, root: seed(9) }), [witness], {
      timeSeconds: 1n,
    });
    const lie = wrong.slice(wrong.lastIndexOf('\n\n') + 2);
    assert.throws(() => openCosignatures(lie, checkpoint, [witness]), { code: 'signature-invalid' });
    assert.throws(() => openCosignatures(linesBy(other), checkpoint, [witness]), { code: 'note-unverified' });
    for (const rubbish of [
      '',
      'hello\n',
      '<html>\n',
      linesBy(witness).trimEnd(),
      `${linesBy(witness)}\n${linesBy(other)}`,
    ])
      assert.throws(() => openCosignatures(rubbish, checkpoint, [witness]), { code: 'witness-response-malformed' });
  });

  test('a cosignature without a time is none', () => {
    const timeless = signNote(text, [witness], { timeSeconds: 0n }).slice(text.length + 1);
    assert.throws(() => openCosignatures(timeless, checkpoint, [witness]), { code: 'witness-response-malformed' });
  });
});
