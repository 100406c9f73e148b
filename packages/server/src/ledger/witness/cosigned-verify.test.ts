import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import {
  cosignerOf,
  formatCheckpoint,
  formatVerifierKey,
  generateSigner,
  parseSignerKey,
  type Signer,
  signNote,
  splitNote,
} from '@watchglass/record';
import { verifyLedger } from '@watchglass/record/reader';
import { clinic, filesInMemory, items, type TestPlace, testPlace } from '../ledger.fixture.ts';

const cosigners: readonly Signer[] = [1, 2, 3].map((n) =>
  cosignerOf(generateSigner(`witness.example/w${n}`, new Uint8Array(32).fill(80 + n))),
);
const policy = `${cosigners.map((one, at) => `witness w${at + 1} ${formatVerifierKey(one)}`).join('\n')}
group g 2 w1 w2 w3
quorum g
`;

function cosign(note: string, by: readonly number[], timeSeconds = 1_000n): string {
  const { text } = splitNote(note);
  const lines = by.map((at) =>
    signNote(text, [cosigners[at] as Signer], { timeSeconds: timeSeconds + BigInt(at) }).slice(text.length + 1),
  );
  return note + lines.join('');
}

interface Built {
  readonly place: TestPlace;
  readonly contents: Map<string, Uint8Array>;
  readonly path: string;
  verify(policyText?: string): ReturnType<typeof verifyLedger>;
}

/** A log of 8 leaves, cosigned at 5. */
async function build(): Promise<Built> {
  const place = await testPlace();
  {
    await using ledger = await place.open();
    await ledger.addTenant(clinic);
    await ledger.append(clinic, items(place, 5));
    await ledger.keepCosigned(clinic, cosign(ledger.head(clinic).checkpoint, [0, 1]));
    await ledger.append(clinic, items(place, 3));
  }
  const { contents, files } = await filesInMemory(place.dir);
  return {
    place,
    contents,
    path: join(place.ledgerDir, 'clinic/cosigned'),
    verify: (policyText) =>
      verifyLedger({
        ledgerDir: place.ledgerDir,
        keysDir: place.keysDir,
        files,
        ...(policyText === undefined ? {} : { policy: policyText }),
      }),
  };
}

const codes = ({ findings }: { readonly findings: readonly { readonly code: string }[] }): string[] => [
  ...new Set(findings.map(({ code }) => code)),
];

describe('verification of a cosigned checkpoint (docs/format.md, "Cosigned checkpoints")', () => {
  test('with a policy it says how far, by whom and since when; without one it proves nothing and says so', async () => {
    const { verify, place } = await build();
    const bare = await verify();
    assert.deepEqual([bare.intact, bare.pinned], [true, false]);
    assert.deepEqual(bare.tenants[0]?.witnessed, {
      size: 5,
      by: ['witness.example/w1', 'witness.example/w2'],
      quorum: false,
    });
    const held = await verify(policy);
    assert.deepEqual([held.intact, held.pinned], [true, true]);
    assert.deepEqual(held.tenants[0]?.witnessed, { size: 5, by: ['w1', 'w2'], quorum: true, timeSeconds: 1_000 });
    await place.remove();
  });

  test('a quorum that is not reached, or a policy of another log, is a finding', async () => {
    const { verify, place, contents, path } = await build();
    assert.deepEqual(codes(await verify(policy.replace('group g 2', 'group g 3'))), ['not-witnessed']);
    const other = formatVerifierKey(generateSigner('watchglass.example/other', new Uint8Array(32).fill(9)));
    assert.deepEqual(codes(await verify(`log ${other}\n${policy}`)), ['log-missing']);
    const forged = formatVerifierKey(generateSigner('watchglass.example/clinic', new Uint8Array(32).fill(9)));
    assert.ok(codes(await verify(`log ${forged}\n${policy}`)).includes('key-mismatch'));
    contents.delete(path);
    assert.deepEqual(codes(await verify(policy)), ['not-witnessed']);
    assert.equal((await verify()).intact, true);
    assert.equal((await verify('quorum none')).intact, true);
    await assert.rejects(verify('quorum nobody'), { code: 'argument-invalid' });
    await place.remove();
  });

  test('every changed byte of it is found', async () => {
    const { verify, place, contents, path } = await build();
    const good = contents.get(path) as Uint8Array;
    const text = Buffer.from(good).toString('utf8');
    const first = text.indexOf('\u2014 witness.example/w1');
    for (let at = 0; at < good.length; at += 3) {
      const changed = Uint8Array.from(good);
      changed[at] = (changed[at] as number) ^ 0x01;
      contents.set(path, changed);
      const found = await verify(policy);
      // A changed cosignature is one by a stranger where its name or key id was hit: then the quorum is short.
      assert.equal(found.intact, false, `byte ${at}`);
      if (at < Buffer.from(text.slice(0, first)).length) assert.equal((await verify()).intact, false, `byte ${at}`);
    }
    await place.remove();
  });

  test('one of another tree, of another log, of a longer log, with lines twice or none, and with rubbish behind it are told apart', async () => {
    const { verify, place, contents, path } = await build();
    const good = Buffer.from(contents.get(path) as Uint8Array).toString('utf8');
    const logKey = Buffer.from(contents.get(join(place.keysDir, 'clinic.checkpoint-key')) as Uint8Array).toString();
    const signer = parseSignerKey(logKey.trim());
    const signed = (size: bigint, fill: number): string =>
      signNote(formatCheckpoint({ origin: signer.name, size, root: new Uint8Array(32).fill(fill) }), [signer]);
    const log = splitNote(good).text;
    const lines = good.slice(good.indexOf('\u2014 witness'));
    const cases: readonly (readonly [string, string, string])[] = [
      ['another tree', cosign(signed(5n, 7), [0, 1]), 'root-mismatch'],
      ['a longer log', cosign(signed(9n, 7), [0, 1]), 'rollback'],
      ['nobody', signNote(log, [signer]), 'cosigned-invalid'],
      ['a line twice', good + lines.slice(0, lines.indexOf('\n') + 1), 'cosigned-invalid'],
      ['only witnesses', `${log}\n${lines}`, 'cosigned-invalid'],
      ['rubbish', `${good}rubbish\n`, 'cosigned-invalid'],
      ['no cosignature', `${good}\u2014 stranger ${Buffer.alloc(68).toString('base64')}\n`, 'cosigned-invalid'],
      ['nothing', '', 'cosigned-invalid'],
    ];
    for (const [what, changed, code] of cases) {
      contents.set(path, Buffer.from(changed));
      assert.ok(codes(await verify()).includes(code), `${what}: ${codes(await verify())}`);
      assert.ok(codes(await verify(policy)).includes(code), what);
    }
    await place.remove();
  });

  test('a start on a cosigned checkpoint that is not of this tree is read-only', async () => {
    const { place } = await build();
    const copy = await place.copy();
    {
      await using ledger = await copy.open();
      assert.equal(ledger.state.kind, 'writable');
      await assert.rejects(
        ledger.keepCosigned(clinic, cosign(ledger.head(clinic).checkpoint, [0]).replace(/8\n/, '9\n')),
        {
          code: 'signature-invalid',
        },
      );
      await ledger.keepCosigned(clinic, cosign(ledger.head(clinic).checkpoint, [0]));
      assert.equal(ledger.cosigned(clinic)?.size, 8);
    }
    await place.remove();
    await copy.remove();
  });
});
