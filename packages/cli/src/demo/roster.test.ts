import assert from 'node:assert/strict';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { awaitDemoTokens, type DemoPerson, inRoleOrder } from './roster.ts';

const person = (username: string, role: string): DemoPerson => ({
  id: username,
  username,
  role,
  password: 'p',
  token: 't',
});

test('the first person of each role comes first, in the order people look for them, and nobody is lost', () => {
  const people = [
    person('a', 'auditor'),
    person('n1', 'nurse'),
    person('n2', 'nurse'),
    person('p', 'physician'),
    person('x', 'chaplain'),
  ];
  assert.deepEqual(
    inRoleOrder(people).map(({ username }) => username),
    ['p', 'n1', 'a', 'x', 'n2'],
  );
});

test('tokens are awaited, and a server that never writes them is an error', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'watchglass-tokens-'));
  const path = join(dir, 'tokens.json');
  const { signal } = new AbortController();
  try {
    await assert.rejects(awaitDemoTokens(path, 60, signal), { code: 'child-failed' });
    const waiting = awaitDemoTokens(path, 10_000, signal);
    await writeFile(
      `${path}.new`,
      JSON.stringify({ tenant: 'clinic', writeKey: 'wgk_a', gatewayWriteKey: 'wgk_b', people: [] }),
    );
    await rename(`${path}.new`, path);
    assert.equal((await waiting).writeKey, 'wgk_a');
  } finally {
    await rm(dir, { recursive: true });
  }
});
