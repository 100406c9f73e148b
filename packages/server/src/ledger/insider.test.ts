/**
 * Who holds keys can do more than who holds files: what each can forge, and what finds it (docs/format.md, "What finds what"). The last of
 * them can forge everything, and only a checkpoint that somebody else remembers finds it.
 */
import assert from 'node:assert/strict';
import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { crc32 } from 'node:zlib';
import {
  formatVerifierKey,
  generateSigner,
  parseCheckpoint,
  parseSeal,
  parseTenantId,
  signSeal,
} from '@watchglass/record';
import {
  encodeManifest,
  frameHeaderBytes,
  keyringOf,
  localKek,
  openBlock,
  parseBlockHeader,
  parseManifest,
  parseSeedFile,
  sealBlock,
  seedFileName,
  stepKeyOf,
  unwrapSeed,
  type VerifyReport,
} from '@watchglass/record/reader';
import { clinic, digestOf, item, items, type TestPlace, testPlace } from './ledger.fixture.ts';
import { signHead } from './tenant-log.ts';

const other = parseTenantId('other');
let pristine: TestPlace;
/** Another installation, with keys of its own. */
let elsewhere: TestPlace;
let vkey: string;
let remembered: string;

before(async () => {
  pristine = await testPlace();
  elsewhere = await testPlace();
  ({ vkey, checkpoint: remembered } = await fill(pristine));
  await fill(elsewhere);
});

after(async () => {
  await pristine.remove();
  await elsewhere.remove();
});

async function fill(place: TestPlace): Promise<{ vkey: string; checkpoint: string }> {
  const ledger = await place.open();
  for (const tenant of [clinic, other]) await ledger.addTenant(tenant);
  await ledger.append(clinic, items(place, 6));
  const mine = item(place);
  const event = { ...mine.event, tenant: other };
  await ledger.append(other, [{ event, envelope: { ...mine.envelope, digest: digestOf(event) } } as typeof mine]);
  const made = { vkey: ledger.vkey(clinic), checkpoint: ledger.head(clinic).checkpoint };
  await ledger[Symbol.asyncDispose]();
  return made;
}

async function codesAfter(
  forge: (place: TestPlace) => Promise<unknown>,
  options: Parameters<TestPlace['verify']>[0] = {},
): Promise<string[]> {
  await using place = await pristine.copy();
  await forge(place);
  return codesOf(await place.verify(options));
}

function codesOf({ findings }: VerifyReport): string[] {
  return [...new Set(findings.map(({ code }) => code))].sort();
}

test('what is forged here is intact before', async () => {
  assert.deepEqual(codesOf(await pristine.verify({ vkey, checkpoint: remembered, full: true })), []);
});

/** Who holds the key-encryption key opens a block, changes a record in it, and seals it again: right CRC, right tag. */
async function sealAgain(place: TestPlace): Promise<void> {
  const kek = localKek(await readFile(join(place.keysDir, 'kek')));
  const folder = join(place.ledgerDir, 'clinic');
  const path = join(folder, 'blocks', (await readdir(join(folder, 'blocks')))[0] as string);
  const block = (await readFile(path)).subarray(frameHeaderBytes);
  const header = parseBlockHeader(block);
  const seedName = seedFileName(header.retentionClass, header.epoch, header.writer);
  const seed = await unwrapSeed(parseSeedFile(await readFile(join(folder, 'seeds', seedName))), keyringOf(kek));
  const stepKey = stepKeyOf(seed, header.step);
  const text = Buffer.from(openBlock(block, header, stepKey)).toString('latin1');
  const forged = Buffer.from(text.replace('person-', 'nobody-'), 'latin1');
  const sealed = sealBlock({
    scope: header,
    stepKey,
    salt: new Uint8Array(16),
    ranges: header.ranges,
    plaintext: forged,
  });
  const frame = Buffer.alloc(frameHeaderBytes);
  frame.writeUInt32BE(sealed.length, 0);
  frame.writeUInt32BE(crc32(sealed), 4);
  await writeFile(path, Buffer.concat([frame, sealed]));
  const manifest = join(place.ledgerDir, 'manifest');
  const { group, tenants } = parseManifest(await readFile(manifest));
  const log = tenants.get('clinic');
  assert.ok(log !== undefined);
  const files = new Map(
    [...log.files].map(([name, bytes]) => [name, path.endsWith(name) ? frame.length + sealed.length : bytes]),
  );
  await writeFile(manifest, encodeManifest({ group, tenants: new Map([...tenants, ['clinic', { ...log, files }]]) }));
}

test('a record changed by who holds the key-encryption key does not open its commitment', async () => {
  assert.deepEqual(await codesAfter(sealAgain), ['commitment-mismatch']);
});

test('a checkpoint signed by another key, put beside its key, is found against the pinned key only', async () => {
  const stranger = generateSigner('watchglass.example/clinic', new Uint8Array(32).fill(9));
  const forge = async ({ ledgerDir }: TestPlace): Promise<void> => {
    const { size, root } = parseCheckpoint(remembered);
    await writeFile(join(ledgerDir, 'clinic/checkpoint'), signHead([stranger], stranger.name, Number(size), root));
    await writeFile(join(ledgerDir, 'clinic/vkey'), `${formatVerifierKey(stranger)}\n`);
  };
  const withSeal = async (place: TestPlace): Promise<void> => {
    await forge(place);
    const [name = ''] = await readdir(join(place.ledgerDir, 'clinic/seals'));
    const path = join(place.ledgerDir, 'clinic/seals', name);
    await writeFile(path, signSeal(parseSeal(await readFile(path)), stranger));
  };
  assert.deepEqual(await codesAfter(forge), ['seal-forged']);
  assert.deepEqual(await codesAfter(withSeal), []);
  assert.deepEqual(await codesAfter(withSeal, { vkey }), ['checkpoint-invalid', 'key-mismatch', 'seal-forged']);
  assert.deepEqual(await codesAfter(withSeal, { checkpoint: remembered }), ['key-mismatch']);
});

/** Who holds all keys writes another history of the same length with the writer itself. */
async function writeAnew(place: TestPlace): Promise<void> {
  await rm(place.ledgerDir, { recursive: true });
  await rm(join(place.dir, 'dedupe'), { recursive: true });
  // The key-encryption key is never made beside a ledger, and is kept where there is none.
  await fill(place);
}

test('another history, written by who holds all keys, is found by a remembered checkpoint only', async () => {
  assert.deepEqual(await codesAfter(writeAnew), []);
  assert.deepEqual(await codesAfter(writeAnew, { vkey }), []);
  assert.deepEqual(await codesAfter(writeAnew, { vkey, checkpoint: remembered }), ['root-mismatch']);
});

const replays: Record<string, readonly string[]> = {
  // Of a file that happens to be longer than the manifest counts, the end is cut off.
  blocks: ['block-misplaced', 'seed-refused', 'block-damaged'],
  commitments: ['commitment-mismatch', 'root-mismatch'],
  checkpoint: ['checkpoint-invalid'],
  vkey: ['checkpoint-invalid', 'key-mismatch'],
  seeds: ['seed-malformed', 'seed-refused'],
};

for (const [name, expected] of Object.entries(replays)) {
  for (const from of ['another tenant', 'another installation']) {
    test(`${name} of ${from} in place of one's own are found`, async () => {
      const codes = await codesAfter(async ({ ledgerDir }) => {
        const source =
          from === 'another tenant' ? join(ledgerDir, 'other', name) : join(elsewhere.ledgerDir, 'clinic', name);
        await rm(join(ledgerDir, 'clinic', name), { recursive: true });
        await cp(source, join(ledgerDir, 'clinic', name), { recursive: true });
      });
      assert.ok(
        codes.some((code) => expected.includes(code)),
        codes.join(' '),
      );
    });
  }
}

test('a log taken out of the manifest, with its directory, is found by its pinned key or a remembered checkpoint', async () => {
  const forge = async ({ ledgerDir }: TestPlace): Promise<void> => {
    const path = join(ledgerDir, 'manifest');
    const { group, tenants } = parseManifest(await readFile(path));
    await writeFile(
      path,
      encodeManifest({ group, tenants: new Map([...tenants].filter(([name]) => name !== 'clinic')) }),
    );
  };
  assert.deepEqual(await codesAfter(forge), ['file-unknown']);
  const gone = async (place: TestPlace): Promise<void> => {
    await forge(place);
    await rm(join(place.ledgerDir, 'clinic'), { recursive: true });
  };
  assert.deepEqual(await codesAfter(gone), []);
  assert.deepEqual(await codesAfter(gone, { vkey }), ['log-missing']);
  assert.deepEqual(await codesAfter(gone, { checkpoint: remembered }), ['log-missing']);
});
