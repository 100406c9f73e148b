/** `watchglass fsck` as an operator runs it: beside the server, after somebody edited files by hand, and without the keys. */
import assert from 'node:assert/strict';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { makeFolder, watchglassHere, watchglassJson } from './command.fixture.ts';
import { anEvent, install, post, serve } from './server.fixture.ts';

interface Report {
  readonly sound: boolean;
  readonly tenants: readonly { readonly tenant: string; readonly size: number; readonly checked: number }[];
  readonly findings: readonly { readonly code: string; readonly place?: string; readonly index?: number }[];
  readonly compared: number;
  readonly skipped: readonly string[];
}

test('fsck finds an installation sound beside its server, and what a hand changed in its state afterwards', async () => {
  await using folder = await makeFolder('fsck');
  const installation = await install(folder.path);
  const { dataDir } = installation;
  await using server = await serve(installation);
  assert.equal((await post(installation, [anEvent(), anEvent()])).status, 201);
  const sound = await watchglassJson<Report>(['fsck', dataDir]);
  assert.deepEqual([sound.sound, sound.findings, sound.skipped], [true, [], []]);
  assert.equal(sound.tenants[0]?.checked, sound.tenants[0]?.size);
  assert.ok(sound.compared > 10, `${sound.compared}`);
  assert.equal(await server.stop(), 0);

  const state = new DatabaseSync(join(dataDir, 'state.sqlite'));
  state.exec("INSERT INTO roles SELECT id, 'auditor' FROM people");
  state.close();
  const retention = join(dataDir, 'retention.json');
  await writeFile(retention, (await readFile(retention, 'utf8')).replace('"access":2192', '"access":30'));
  const edited = await watchglassHere(['fsck', dataDir]);
  assert.equal(edited.code, 3, edited.err);
  assert.match(
    edited.out,
    /✘ clinic, state\.sqlite: people\/\S+\/roles\/auditor: expected an event of the log that says so, got granted \[state-unsaid\]/,
  );
  assert.match(
    edited.out,
    /✘ clinic, retention\.json: recorded\/clinic\/access, index \d+: expected 2192 days, got 30 days \[state-differs\]/,
  );
  assert.match(edited.err, /^error .* is not sound: 2 findings$/m);

  await rename(join(dataDir, 'keys/kek'), join(folder.path, 'kek'));
  const keyless = await watchglassHere(['fsck', dataDir]);
  assert.equal(keyless.code, 0, keyless.err);
  assert.match(keyless.out, /0 looked at\nnothing found: no record of \S+ could be opened\.\n$/);
  assert.match(keyless.err, /^ {2}not looked at: no key-encryption key is here/m);
  assert.equal((await watchglassHere(['fsck', folder.path])).code, 1);
});
