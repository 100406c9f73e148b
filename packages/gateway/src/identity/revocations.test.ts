/** What has been revoked: whom it means, how long it holds, and that a crash, a full list or a damaged file lets nobody back in. */
import assert from 'node:assert/strict';
import { appendFile, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { Revocations, type TokenFacts } from './revocations.ts';

let folder: string;
let files = 0;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'watchglass-revocations-'));
});
after(() => rm(folder, { recursive: true, force: true }));

const keepMs = 3_600_000;
const nowSeconds = 1_800_000_000;

function facts(change: Partial<TokenFacts> = {}): TokenFacts {
  return {
    id: 'person-1',
    issuer: 'https://id.example',
    session: 's-1',
    tokenId: 't-1',
    client: 'app',
    issuedAt: nowSeconds - 10,
    ...change,
  };
}

async function open(options: { file?: string; now?: () => number; entriesMax?: number } = {}): Promise<Revocations> {
  return Revocations.open({ keepMs, now: () => nowSeconds * 1_000, ...options });
}

const newFile = (): string => join(folder, `revocations-${files++}`);

describe('a revocation', () => {
  it('means whom it names, and nobody else', async () => {
    const cases = [
      [{ by: 'sub', value: 'person-1', issuedUntil: nowSeconds }, { id: 'person-2' }],
      [{ by: 'sid', value: 's-1' }, { session: 's-2' }],
      [{ by: 'sid', value: 's-1', issuer: 'https://id.example' }, { issuer: 'https://other.example' }],
      [{ by: 'jti', value: 't-1' }, { tokenId: 't-2' }],
      [{ by: 'client', value: 'app', issuedUntil: nowSeconds }, { client: undefined }],
      [{ by: 'sub', value: 'person-1', issuedUntil: nowSeconds }, { issuedAt: nowSeconds + 1 }],
    ] as const;
    for (const [revocation, spared] of cases) {
      await using revocations = await open();
      assert.equal(revocations.isRevoked(facts()), false);
      await revocations.add([revocation]);
      assert.equal(revocations.isRevoked(facts()), true, JSON.stringify(revocation));
      assert.equal(revocations.isRevoked(facts(spared)), false, JSON.stringify(spared));
    }
  });

  it('of a subject holds for a token that does not say when it was issued', async () => {
    await using revocations = await open();
    await revocations.add([{ by: 'sub', value: 'person-1', issuedUntil: nowSeconds }]);
    assert.equal(revocations.isRevoked(facts({ issuedAt: undefined })), true);
  });

  it('of a subject without a session spares tokens that have one', async () => {
    await using revocations = await open();
    await revocations.add([{ by: 'sub-without-session', value: 'person-1', issuedUntil: nowSeconds }]);
    assert.equal(revocations.isRevoked(facts()), false);
    assert.equal(revocations.isRevoked(facts({ session: undefined })), true);
  });

  it('is told at once, holds for as long as a token may live, and then makes room', async () => {
    let nowMs = nowSeconds * 1_000;
    await using revocations = await open({ now: () => nowMs });
    let told = 0;
    revocations.onChange(() => {
      told += 1;
    });
    void revocations.add([{ by: 'jti', value: 't-1' }]);
    assert.deepEqual([told, revocations.isRevoked(facts())], [1, true]);
    nowMs += keepMs;
    assert.equal(revocations.isRevoked(facts()), false);
    assert.equal(revocations.size, 0);
  });

  it('of two for the same is the wider one', async () => {
    await using revocations = await open();
    await revocations.add([{ by: 'sub', value: 'person-1', issuedUntil: nowSeconds }]);
    await revocations.add([{ by: 'sub', value: 'person-1', issuedUntil: nowSeconds - 100 }]);
    assert.equal(revocations.isRevoked(facts()), true);
    assert.equal(revocations.size, 1);
  });
});

describe('the list of revocations', () => {
  it('outlives the process, readable by nobody else', async () => {
    const file = newFile();
    {
      await using revocations = await open({ file });
      await revocations.add([{ by: 'jti', value: 't-1' }]);
      await revocations.add([{ by: 'sid', value: 's-9', issuer: 'https://id.example' }]);
    }
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    await using again = await open({ file });
    assert.equal(again.size, 2);
    assert.equal(again.isRevoked(facts()), true);
    assert.equal(again.damaged, false);
  });

  it('that was torn off in the middle of a line keeps all whole ones', async () => {
    const file = newFile();
    {
      await using revocations = await open({ file });
      await revocations.add([{ by: 'jti', value: 't-1' }]);
    }
    await appendFile(file, '{"by":"jti","val');
    await using again = await open({ file });
    assert.deepEqual([again.size, again.damaged], [1, false]);
  });

  it('that is damaged refuses everything issued until now, rather than let somebody back in', async () => {
    const file = newFile();
    await writeFile(file, '{"by":"jti","value":"t-2","untilMs":9e15}\ngarbage\n');
    await using revocations = await open({ file });
    assert.equal(revocations.damaged, true);
    assert.equal(revocations.isRevoked(facts({ id: 'anybody' })), true);
    assert.equal(revocations.isRevoked(facts({ issuedAt: nowSeconds + 31 })), false);
    // And that is kept, too.
    await using again = await open({ file });
    assert.deepEqual([again.damaged, again.isRevoked(facts())], [false, true]);
  });

  it('when full refuses everything issued until now', async () => {
    const file = newFile();
    await using revocations = await open({ file, entriesMax: 10 });
    for (let n = 0; n < 11; n++) await revocations.add([{ by: 'jti', value: `other-${n}` }]);
    assert.equal(revocations.size, 1);
    assert.equal(revocations.isRevoked(facts()), true);
    assert.equal(revocations.isRevoked(facts({ issuedAt: nowSeconds + 31 })), false);
    assert.equal((await readFile(file, 'utf8')).trim().split('\n').length, 1);
  });

  it('is written anew before it outgrows what it says', async () => {
    const file = newFile();
    await using revocations = await open({ file });
    await Promise.all(Array.from({ length: 1_500 }, () => revocations.add([{ by: 'jti', value: 't-1' }])));
    assert.ok((await readFile(file, 'utf8')).split('\n').length < 1_010);
  });

  it('that cannot be written is in force all the same, and whoever added to it is told', async () => {
    const file = newFile();
    await using revocations = await open({ file });
    await rm(folder, { recursive: true });
    // The file is gone with its folder: the next rewrite finds no place.
    const adding = Array.from({ length: 1_200 }, (_, n) =>
      revocations.add([{ by: 'jti', value: n < 2 ? 't-1' : 't-2' }]),
    );
    const settled = await Promise.allSettled(adding);
    assert.ok(settled.some(({ status }) => status === 'rejected'));
    assert.equal(revocations.isRevoked(facts()), true);
  });
});
