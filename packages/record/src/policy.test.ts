import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { formatCheckpoint } from './checkpoint.ts';
import { signNote } from './note.ts';
import { cosignerOf, formatVerifierKey, generateSigner, type Signer } from './note-key.ts';
import { isQuorum, openWitnessed, type Policy, parsePolicy } from './policy.ts';
import { emptyRoot } from './tree.ts';

const seed = (n: number): Uint8Array => new Uint8Array(32).fill(n);
const log = generateSigner('watchglass.example/clinic', seed(1));
const cosigners: readonly Signer[] = [2, 3, 4, 5].map((n) =>
  cosignerOf(generateSigner(`witness.example/w${n}`, seed(n))),
);
const vkeyOf = (at: number): string => formatVerifierKey(cosigners[at] as Signer);

const text = formatCheckpoint({ origin: log.name, size: 0n, root: emptyRoot() });
const logNote = signNote(text, [log]);

/** The checkpoint with cosignatures of these witnesses, at these times. */
function cosigned(...signed: readonly (readonly [number, bigint])[]): string {
  const head = logNote;
  const lines = signed.map(([at, timeSeconds]) => {
    const note = signNote(text, [cosigners[at] as Signer], { timeSeconds });
    return note.slice(text.length + 1);
  });
  return head + lines.join('');
}

function lines(...more: readonly string[]): string {
  return [
    `log ${formatVerifierKey(log)} https://log.example/`,
    ...[0, 1, 2, 3].map((at) => `witness w${at} ${vkeyOf(at)} https://w${at}.example/`),
    ...more,
    '',
  ].join('\n');
}

describe('c2sp.org/tlog-policy', () => {
  test('groups in groups, white space and comments are read as the specification has them', () => {
    const policy = parsePolicy(
      `# a comment\n\t \n \t# another\n${lines('group X 2\tw0 w1  w2 ', ' group Y any w3', 'group both all X Y', 'quorum both')}`,
    );
    assert.equal(policy.logs[0]?.url, 'https://log.example/');
    assert.deepEqual(
      policy.witnesses.map(({ name }) => name),
      ['w0', 'w1', 'w2', 'w3'],
    );
    const by = (...names: readonly string[]): boolean =>
      isQuorum(policy.quorum, new Set(policy.witnesses.filter(({ name }) => names.includes(name))));
    assert.equal(by('w0', 'w1', 'w3'), true);
    assert.equal(by('w0', 'w1', 'w2', 'w3'), true);
    assert.equal(by('w0', 'w1', 'w2'), false);
    assert.equal(by('w0', 'w3'), false);
    assert.equal(by(), false);
  });

  test('quorum none asks for nobody, and names may be no UTF-8', () => {
    assert.equal(isQuorum(parsePolicy('quorum none').quorum, new Set()), true);
    const names = [Uint8Array.of(0xe2), Uint8Array.of(0xe3)];
    const bytes = Buffer.concat([
      ...names.map((name, at) => Buffer.concat([Buffer.from('witness '), name, Buffer.from(` ${vkeyOf(at)}\n`)])),
      Buffer.from('quorum '),
      names[1] as Uint8Array,
      Buffer.from('\n'),
    ]);
    const { quorum, witnesses } = parsePolicy(bytes);
    assert.equal(quorum.kind === 'witness' && quorum.witness === witnesses[1], true);
  });

  test('32 of everything is taken', () => {
    const many = Array.from({ length: 32 }, (_, i) => ({
      log: generateSigner(`log.example/${i}`, seed(100 + i)),
      witness: cosignerOf(generateSigner(`witness.example/${i}`, seed(140 + i))),
    }));
    const policy = parsePolicy(
      [
        ...many.map((one) => `log ${formatVerifierKey(one.log)}`),
        ...many.map((one, i) => `witness w${i} ${formatVerifierKey(one.witness)}`),
        ...many.map((_, i) => `group g${i} any w${i}${i > 0 ? ` g${i - 1}` : ''}`),
        'quorum g31',
      ].join('\n'),
    );
    assert.equal(isQuorum(policy.quorum, new Set([policy.witnesses[0] as Policy['witnesses'][number]])), true);
  });

  const w0 = `witness w0 ${vkeyOf(0)}`;
  const refused: readonly (readonly [string, string])[] = [
    ['no quorum line', w0],
    ['two quorum lines', `${w0}\nquorum w0\nquorum w0`],
    ['a quorum defined later', `quorum w0\n${w0}`],
    ['a member defined later', `group g any w0\n${w0}\nquorum none`],
    ['a group in itself', `group g any g\nquorum none`],
    ['a member twice', `${w0}\ngroup g any w0 w0\nquorum g`],
    ['a member of two groups', `${w0}\ngroup g any w0\ngroup h any w0\nquorum g`],
    ['an empty group', 'group g all\nquorum none'],
    ['none as a member', 'group g any none\nquorum none'],
    ['none as a witness', `witness none ${vkeyOf(0)}\nquorum none`],
    ['a name twice', `${w0}\nwitness w0 ${vkeyOf(1)}\nquorum none`],
    ['more than there are', `${w0}\ngroup g 2 w0\nquorum g`],
    ['less than one', `${w0}\ngroup g 0 w0\nquorum g`],
    ['a number with a zero before it', `${w0}\ngroup g 01 w0\nquorum g`],
    ['the same witness key twice', `${w0}\nwitness w1 ${vkeyOf(0)}\nquorum none`],
    [
      'the same witness key under another name',
      `${w0}\nwitness w1 ${formatVerifierKey(cosignerOf(generateSigner('other', seed(2))))}\nquorum none`,
    ],
    ['the same log twice', `log ${formatVerifierKey(log)}\nlog ${formatVerifierKey(log)}\nquorum none`],
    ['a witness key that signs logs', `witness w0 ${formatVerifierKey(log)}\nquorum none`],
    ['a log key that cosigns', `log ${vkeyOf(0)}\nquorum none`],
    ['a key that is none', 'witness w0 abc\nquorum none'],
    ['an unknown word', 'witnesses w0\nquorum none'],
    ['something after the URL', `${w0} https://w.example/ more\nquorum none`],
    ['something after the quorum', 'quorum none none'],
    ['a carriage return', 'quorum none\r'],
    ['a no-break space between words', 'quorum\u00a0none'],
    ['a DEL', 'quorum none\x7f'],
    ['half a megabyte', `#${'a'.repeat(600_000)}`],
  ];
  for (const [what, policy] of refused) {
    test(`refused: ${what}`, () => assert.throws(() => parsePolicy(policy), { code: 'policy-malformed' }));
  }

  test('a message names the line', () => {
    assert.throws(() => parsePolicy(`${w0}\n\nnonsense\nquorum w0`), /line 3/);
  });
});

describe('a checkpoint against a policy', () => {
  const policy = parsePolicy(lines('group g 2 w0 w1 w2', 'quorum g'));

  test('is witnessed from the moment a quorum has signed', () => {
    const opened = openWitnessed(cosigned([2, 300n], [0, 100n], [1, 200n], [3, 900n]), policy);
    assert.equal(opened.quorum, true);
    assert.deepEqual(
      opened.cosigned.map(({ witness, timeSeconds }) => [witness.name, timeSeconds]),
      [
        ['w0', 100n],
        ['w1', 200n],
        ['w2', 300n],
        ['w3', 900n],
      ],
    );
    // Two of w0, w1 and w2 at 200 or later; w3 is no member.
    assert.equal(opened.quorumTimeSeconds, 200n);
    assert.equal(opened.checkpoint.size, 0n);
  });

  test('is not witnessed by too few, by strangers, or by a cosignature without a time', () => {
    for (const note of [cosigned(), cosigned([0, 1n]), cosigned([0, 1n], [3, 1n]), cosigned([0, 1n], [1, 0n])]) {
      const opened = openWitnessed(note, policy);
      assert.equal(opened.quorum, false);
      assert.equal(opened.quorumTimeSeconds, undefined);
    }
  });

  test('one witness that signs twice counts once', () => {
    assert.equal(openWitnessed(cosigned([0, 1n], [0, 2n]), policy).quorum, false);
  });

  test('a cosignature over something else spoils it', () => {
    const other = signNote(formatCheckpoint({ origin: log.name, size: 1n, root: seed(9) }), [cosigners[0] as Signer], {
      timeSeconds: 5n,
    });
    const line = other.slice(other.lastIndexOf('\n\n') + 2);
    assert.throws(() => openWitnessed(logNote + line, policy), { code: 'signature-invalid' });
  });

  test('only a log of the policy, or one that is given, may have signed it', () => {
    const stranger = generateSigner(log.name, seed(77));
    const forged = signNote(text, [stranger]) + cosigned([0, 1n], [1, 1n]).slice(logNote.length);
    assert.throws(() => openWitnessed(forged, policy), { code: 'note-unverified' });
    assert.equal(openWitnessed(forged, policy, [stranger]).quorum, true);
    const renamed = generateSigner('watchglass.example/other', seed(1));
    assert.throws(() => openWitnessed(signNote(text, [renamed]), policy, [renamed]), { code: 'origin-mismatch' });
  });
});
