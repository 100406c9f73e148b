/**
 * The keys of an installation through its whole life: the real commands and the real server. A rotation loses nothing, another keeper takes over, a kill in between
 * changes nothing, and a server that may only store stays one that can't read.
 */
import assert from 'node:assert/strict';
import { readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { makeFolder, watchglass, watchglassJson } from './command.fixture.ts';
import { anEvent, type Installation, install, post, serve } from './server.fixture.ts';

interface Listed {
  readonly keys: readonly { readonly id: string; readonly state: string; readonly files: { readonly seeds: number } }[];
}

let folder: Awaited<ReturnType<typeof makeFolder>>;
let here: Installation;
let bare: string;
let sent = 0;

before(async () => {
  folder = await makeFolder('keys');
  here = await install(folder.path);
  bare = await readFile(here.config, 'utf8');
});

after(async () => {
  await folder?.[Symbol.asyncDispose]();
});

const at = (...more: readonly string[]): string[] => [...more, '--data', here.dataDir];

async function configure(keys: string): Promise<void> {
  await writeFile(here.config, `${bare}\n${keys}\n`);
}

async function send(count: number): Promise<void> {
  const { status } = await post(
    here,
    Array.from({ length: count }, () => anEvent({ actor: { id: 'keys-test' } })),
  );
  assert.equal(status, 201);
  sent += count;
}

async function found(): Promise<number> {
  return (await watchglassJson<{ count: number }>(at('search', '--actor', 'keys-test'))).count;
}

async function intact(...more: readonly string[]): Promise<void> {
  const { code, out, err } = await watchglass(['verify', here.dataDir, '--full', '--vkey', here.vkey, ...more]);
  assert.equal(code, 0, out + err);
}

test('keys are listed, rotated and wrapped anew beside the traffic, and all of it stays readable', async () => {
  await using server = await serve(here);
  await send(5);
  const [first] = (await watchglassJson<Listed>(at('keys', 'list'))).keys;
  assert.equal(first?.state, 'current');
  const { from, to } = await watchglassJson<{ from: string; to: string }>(at('keys', 'rotate'));
  assert.equal(from, first?.id);
  await send(5);
  const job = await watchglassJson<{ state: string; rewrapped: number }>(at('keys', 'rewrap'));
  assert.equal(job.state, 'done');
  assert.ok(job.rewrapped >= 3, `${job.rewrapped} files`);
  const keys = (await watchglassJson<Listed>(at('keys', 'list'))).keys;
  assert.deepEqual(
    keys.map(({ id, state, files }) => [id, state, files.seeds > 0]),
    [
      [from, 'older', false],
      [to, 'current', true],
    ],
  );
  await send(1);
  assert.equal(await found(), sent);
  const said = await watchglass(at('keys', 'list'));
  assert.match(said.out, /KEY +OF +STATE/);
  await server.stop();
  await intact();
});

test('where no server runs keys can be looked at, and a change is refused with what to do', async () => {
  const keys = (await watchglassJson<Listed>(at('keys', 'list'))).keys;
  assert.deepEqual(
    keys.map(({ state }) => state),
    ['older', 'current'],
  );
  for (const change of ['rotate', 'rewrap']) {
    const { code, err } = await watchglass(at('keys', change));
    assert.equal(code, 1);
    assert.match(err, /no server is running/);
    assert.match(err, /Start the server/);
  }
  const { out } = await watchglass(at('keys', 'export-public'));
  assert.equal(out.trim(), here.vkey);
});

test('a passphrase takes over at the start, and a verification needs it, by the configuration or by the keyring', async () => {
  const secret = join(folder.path, 'passphrase');
  await writeFile(secret, 'correct horse battery staple\n', { mode: 0o600 });
  await configure('keys: { provider: passphrase, passphrase: { file: passphrase } }');
  {
    await using server = await serve(here);
    await send(3);
    assert.equal(await found(), sent);
    const keys = (await watchglassJson<Listed>(at('keys', 'list'))).keys;
    assert.match(keys.at(-1)?.id ?? '', /^passphrase:/);
    assert.equal(keys.at(-1)?.state, 'current');
    const events = await watchglassJson<{ events: { operation: string }[] }>(
      at('search', '--operation', 'kek-current'),
    );
    assert.equal(events.events.length, 2);
    await server.kill();
  }
  await intact('--config', here.config);
  await intact();
  // Without the passphrase it can't be told whether the ledger is intact: that is another answer than that it isn't.
  await rename(secret, `${secret}.away`);
  const { code, err } = await watchglass(['verify', here.dataDir]);
  assert.equal(code, 1, err);
  assert.match(err, /says nothing of the ledger/);
  assert.doesNotMatch(err, /horse/);
  await rename(`${secret}.away`, secret);
  const stored = await Promise.all(
    (await readdir(join(here.dataDir, 'keys'))).map((name) => readFile(join(here.dataDir, 'keys', name), 'utf8')),
  );
  assert.ok(stored.every((text) => !text.includes('horse')));
});

test('a server that may only store takes events, proves them, and answers no search', async () => {
  await configure('keys: { provider: passphrase, passphrase: { file: passphrase }, rights: wrap }');
  {
    await using server = await serve(here);
    await send(4);
    const search = await watchglass(at('search', '--json'));
    assert.equal(search.code, 1);
    assert.match(search.err, /reading-forbidden/);
    const rewrap = await watchglass(at('keys', 'rewrap', '--json'));
    assert.equal(rewrap.code, 1);
    assert.match(rewrap.err, /unwrap-forbidden/);
    const proof = await watchglass(at('prove', '0'));
    assert.equal(proof.code, 0, proof.err);
    await server.stop();
  }
  await configure('keys: { provider: passphrase, passphrase: { file: passphrase } }');
  await using server = await serve(here);
  // The one that may read finds what the other stored.
  assert.equal(await found(), sent);
  await server.stop();
  await intact();
});

test('a configuration of keys that can’t be used is explained before anything starts', async () => {
  await configure('keys: { provider: aws-kms, key: alias/mine, regoin: eu-central-1 }');
  const unknown = await watchglass(['config', 'check', here.config]);
  assert.equal(unknown.code, 1);
  assert.match(unknown.out, /keys\.regoin: unknown key; did you mean `region`\?/);
  await configure('keys: { provider: aws-kms, key: alias/mine, region: eu-central-1, token: { file: t } }');
  const { code, out } = await watchglass(['config', 'check', here.config]);
  assert.equal(code, 1);
  assert.match(out, /keys\.credentials: missing; the provider `aws-kms` needs it/);
  assert.match(out, /keys\.token: is for another provider/);
  assert.match(out, /keys\.key: expected the ARN or the id of a key; an alias could be moved/);
});
