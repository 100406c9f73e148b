import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { sampleBundle, vkey } from '../../../record/src/bundle/bundle.fixture.ts';
import { run } from '../main.ts';
import { checkBundle } from './bundle-check.ts';

let dir: string;
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'watchglass-bundle-'));
});
after(() => rm(dir, { recursive: true }));

async function verify(
  content: string | Uint8Array,
  ...more: readonly string[]
): Promise<{ code: number; out: string; err: string }> {
  const file = join(dir, 'evidence.html');
  await writeFile(file, content);
  let out = '';
  let err = '';
  const code = await run(['verify', file, ...more], {
    stdout: { write: (text) => (out += text) },
    stderr: { write: (text) => (err += text) },
    env: {},
    cwd: dir,
    signal: new AbortController().signal,
  });
  return { code, out, err };
}

const sample = sampleBundle({ cosignedSize: 12 });

test('a bundle is verified, and what it shows and does not show is said', async () => {
  const alone = await verify(sample.file);
  assert.equal(alone.code, 0, alone.err);
  assert.match(alone.out, /✔ intact: .*evidence.html holds 3 events that match patient wg-pt-000417/);
  assert.match(alone.out, /Made by Dana Ito/);
  assert.match(alone.out, /Not shown: That the key is the right one/);
  assert.match(alone.out, /cosigned with the keys that this file names for witness\.example/);
  assert.match(alone.out, /Not shown: That witness\.example are who the names say/);
  const pinned = await verify(sample.file, '--vkey', vkey);
  assert.equal(pinned.code, 0);
  assert.doesNotMatch(pinned.out, /That the key is the right one/);
  const json = JSON.parse((await verify(sample.file, '--json')).out);
  assert.deepEqual([json.intact, json.pinned, json.events.length, json.contents.query.how], [true, false, 3, 'index']);
});

test('a line a finding, with its place, and exit code 3', async () => {
  const { code, out, err } = await verify(sample.file.replace('n-4', 'n-5'));
  assert.equal(code, 3);
  assert.match(
    out,
    /✘ events \(index 4\): event 4 does not open the leaf stated for it: it was changed \[event-mismatch\]/,
  );
  assert.match(err, /not intact: 2 findings/);
  const json = await verify(sample.file.replace('n-4', 'n-5'), '--json');
  assert.equal(json.code, 3);
  assert.equal(JSON.parse(json.out).findings[0].code, 'event-mismatch');
});

test('a page that is not the one its maker put there is found, though the evidence holds', async () => {
  const { code, out } = await verify(sample.file.replace('<script>1</script>', '<script>2</script>'));
  assert.equal(code, 3);
  assert.match(out, /page-changed/);
});

test('another key, another history and a cut file are found; a key that is none is wrong usage', async () => {
  const other = sampleBundle({ maker: { site: 'elsewhere' } });
  await writeFile(join(dir, 'remembered'), other.checkpoint);
  assert.equal((await verify(sample.file, '--checkpoint', 'remembered')).code, 3);
  assert.equal((await verify(sample.file.slice(0, -2000))).code, 3);
  assert.equal((await verify(Buffer.concat([Buffer.from(sample.file), Uint8Array.of(0xff)]))).code, 3);
  assert.equal((await verify(`\ufeff${sample.file}`)).code, 3, 'a byte order mark is a byte too');
  assert.equal((await verify(sample.file.replaceAll('\n', '\r\n'))).code, 3, 'so are line ends that an editor put in');
  assert.equal((await verify(sample.file, '--vkey', 'nonsense')).code, 2);
  assert.equal((await verify('<p>no bundle</p>')).code, 2);
});

test('flipping a bit of any byte of the file is found', async () => {
  const bytes = Buffer.from(sampleBundle({ indexes: [6] }).file);
  const keys = { vkey, keyOf: async () => undefined };
  assert.ok((await checkBundle(bytes, keys)).intact);
  for (let at = 0; at < bytes.length; at++) {
    if (at % 5 !== 0 && /[A-Za-z0-9+/]/.test(String.fromCharCode(bytes[at]!))) continue;
    bytes[at]! ^= 1 << (at % 8);
    assert.ok(!(await checkBundle(bytes, keys)).intact, `byte ${at}`);
    bytes[at]! ^= 1 << (at % 8);
  }
});
