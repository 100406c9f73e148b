/** A policy that changes while the gateway runs: what takes over, what is refused, and that half a file is neither. */
import assert from 'node:assert/strict';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { loadPolicy } from './load-policy.ts';
import { type PolicyChange, PolicyKeeper } from './policy-keeper.ts';

const reading = 'version: 1\nroles: {nurse: {allow: [{interactions: [read], types: [Patient]}]}}\n';
const searching = 'version: 1\nroles: {nurse: {allow: [{interactions: [search], types: [Patient]}]}}\n';
const withCedar = `${reading}engine: cedar\ncedar: {policies: ward.cedar}\n`;

let folder: string;
let file: string;
let changes: PolicyChange[];
let told: PromiseWithResolvers<void>;
let onRecord: boolean;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'watchglass-policy-'));
  file = join(folder, 'policy.yaml');
  changes = [];
  told = Promise.withResolvers();
  onRecord = true;
  await writeFile(file, reading);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Hours between looks, so that only `fs.watch` or the test itself has it look. */
function keep(pollMs = 3_600_000): PolicyKeeper {
  return new PolicyKeeper({
    file,
    policy: loadPolicy(file),
    pollMs,
    settleMs: 5,
    record: (change) => {
      changes.push(change);
      told.resolve();
      return Promise.resolve(onRecord);
    },
  });
}

function mayRead(keeper: PolicyKeeper): boolean {
  return keeper.current.roles.get('nurse')?.allow.interactions.has('read') === true;
}

describe('a policy file that changes', () => {
  it('is noticed by itself, and takes over', async () => {
    await using keeper = keep();
    const before = keeper.current;
    await writeFile(join(folder, 'next'), searching);
    await rename(join(folder, 'next'), file);
    await told.promise;
    await keeper.look();
    assert.equal(mayRead(keeper), false);
    assert.notEqual(keeper.current.digest, before.digest);
    assert.deepEqual(
      changes.map(({ kind }) => kind),
      ['loaded'],
    );
  });

  it('is noticed where the file system tells nothing', async () => {
    await using keeper = keep(10);
    await writeFile(file, searching);
    await told.promise;
    await keeper.look();
    assert.equal(mayRead(keeper), false);
  });

  it('is refused once where it is bad, and the old one stays', async () => {
    await using keeper = keep();
    await writeFile(file, 'version: 1\nroles: {nurse: {allow: [{interactions: [read], types: [patient]}]}}\n');
    await keeper.look();
    await keeper.look();
    assert.equal(mayRead(keeper), true);
    assert.equal(changes.length, 1);
    const [change] = changes;
    assert.equal(change?.kind, 'refused');
    if (change?.kind === 'refused') {
      assert.equal(change.code, 'policy-invalid');
      assert.match(
        change.message,
        /policy\.yaml: line 2: roles\.nurse\.allow\.0\.types\.0: expected a FHIR R4 resource type/,
      );
      assert.match(change.digest ?? '', /^[0-9a-f]{64}$/);
    }
    await writeFile(file, searching);
    await keeper.look();
    assert.equal(mayRead(keeper), false);
  });

  it('is waited for while it is empty or gone, and refused when it stays so', async () => {
    await using keeper = keep();
    await writeFile(file, '');
    const looking = keeper.look();
    await writeFile(file, searching);
    await looking;
    assert.deepEqual(
      changes.map(({ kind }) => kind),
      ['loaded'],
    );
    await rm(file);
    await keeper.look();
    assert.deepEqual(
      changes.map((change) => (change.kind === 'refused' ? change.code : change.kind)),
      ['loaded', 'config-unreadable'],
    );
    await writeFile(file, '\n');
    await keeper.look();
    assert.equal(changes.at(-1)?.kind, 'refused');
    assert.equal(mayRead(keeper), false);
  });

  it('is not in force before it is on record', async () => {
    await using keeper = keep();
    onRecord = false;
    await writeFile(file, searching);
    await keeper.look();
    assert.equal(mayRead(keeper), true);
    onRecord = true;
    await keeper.look();
    assert.equal(mayRead(keeper), false);
  });

  it('that names Cedar policies is watched together with them', async () => {
    await using keeper = keep();
    await writeFile(join(folder, 'ward.cedar'), 'permit(principal, action, resource);');
    await writeFile(file, withCedar);
    await keeper.look();
    const first = keeper.current.engine?.digest;
    assert.match(first ?? '', /^[0-9a-f]{64}$/);
    await writeFile(join(folder, 'ward.cedar'), 'permit(principal, action, resource) when { contxt.mfa };');
    await keeper.look();
    assert.equal(changes.at(-1)?.kind, 'refused');
    assert.equal(keeper.current.engine?.digest, first);
    await writeFile(join(folder, 'ward.cedar'), 'permit(principal, action, resource) when { context.mfa };');
    await keeper.look();
    assert.notEqual(keeper.current.engine?.digest, first);
    await writeFile(file, reading);
    await keeper.look();
    assert.equal(keeper.current.engine, undefined);
  });
});
