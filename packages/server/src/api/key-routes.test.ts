import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { decode, parseTenantId, type TenantId } from '@watchglass/record';
import { parseSeedFile, parseWrappedSecret } from '@watchglass/record/reader';
import { defaultKeys } from '../ledger/kek/settings.ts';
import { startVault } from '../ledger/kek/vault-server.fixture.ts';
import { clinic, startTestServer, type TestServer } from './server.fixture.ts';

interface Listed {
  readonly keys: readonly {
    readonly id: string;
    readonly state: string;
    readonly tenant?: string;
    readonly files: { readonly seeds: number; readonly others: number };
  }[];
  readonly rewrap: { readonly state: string; readonly rewrapped: number; readonly failed: readonly unknown[] } | null;
}

const other = parseTenantId('other');

async function ask(
  server: TestServer,
  method: 'GET' | 'POST',
  url: string,
  body?: object,
  token: string = server.operator,
): Promise<{ status: number; json: Record<string, unknown> }> {
  const answer = await server.api.fastify.inject({
    method,
    url,
    headers: { authorization: `Bearer ${token}` },
    ...(body === undefined ? {} : { payload: body }),
  });
  return { status: answer.statusCode, json: answer.json<Record<string, unknown>>() };
}

const list = async (server: TestServer, tenant: TenantId = clinic): Promise<Listed> =>
  (await ask(server, 'GET', `/v1/keys?tenant=${tenant}`)).json as unknown as Listed;

async function rewrapped(server: TestServer): Promise<Listed> {
  for (;;) {
    const listed = await list(server);
    if (listed.rewrap?.state !== 'running') return listed;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function operations(server: TestServer, tenant: TenantId = clinic): Promise<string[]> {
  const entries = await server.ledger.read(tenant, 0, 1_000);
  return entries
    .map(({ m }) => decode(m).event)
    .flatMap(({ kind, operation }) => (kind === 'access-change' ? [operation ?? ''] : []));
}

test('a rotation, and wrapping anew, move seeds, token keys and the pseudonym key, and each is on record before it happens', async () => {
  await using server = await startTestServer();
  await server.indexes.reached(clinic, server.ledger.head(clinic).size);
  const [first] = (await list(server)).keys;
  const turned = await ask(server, 'POST', '/v1/keys/rotate', { of: 'installation' });
  assert.equal(turned.status, 200);
  assert.equal(turned.json.from, first?.id);
  const to = String(turned.json.to);
  const [older, current] = (await list(server)).keys;
  assert.deepEqual([older?.state, current?.state, current?.id], ['older', 'current', to]);
  assert.ok((older?.files.seeds ?? 0) > 0 && (older?.files.others ?? 0) > 1);

  assert.equal((await ask(server, 'POST', '/v1/keys/rewrap', { of: 'installation' })).status, 202);
  const after = await rewrapped(server);
  assert.deepEqual([after.rewrap?.state, after.rewrap?.failed], ['done', []]);
  assert.deepEqual(after.keys[0]?.files, { seeds: 0, others: 0 });
  const seeds = join(server.dir, 'ledger/clinic/seeds');
  for (const name of await readdir(seeds)) assert.equal(parseSeedFile(await readFile(join(seeds, name))).kek, to);
  const index = join(server.dir, 'index/clinic');
  const tokenKeys = (await readdir(index)).filter((name) => name.endsWith('.token-key'));
  for (const path of [...tokenKeys.map((name) => join(index, name)), join(server.dir, 'keys/clinic.pseudonym-key')])
    assert.equal(parseWrappedSecret(await readFile(path)).kek, to, path);

  const events = await operations(server);
  assert.deepEqual(
    events.filter((name) => name.startsWith('ke')),
    ['kek-current', 'keys-rewrap', 'keys-rewrapped'],
  );
  const entries = await server.ledger.read(clinic, 0, 1_000);
  const change = entries.map(({ m }) => decode(m).event).find(({ operation }) => operation === 'kek-current');
  assert.deepEqual(change?.changes, [
    { path: '/keys/current', op: 'replace', before: first?.id, after: to },
    { path: '/keys/ring', op: 'replace', after: 'shared' },
  ]);
  assert.equal(change?.targets?.[0]?.id, to);

  // A restart reads all of it: the ledger, the tokens, the pseudonyms.
  await using again = await server.restart();
  await again.indexes.reached(clinic, again.ledger.head(clinic).size);
  assert.equal((await ask(again, 'POST', '/v1/events/search', { operation: 'kek-current' })).json.count, 1);
});

test('the keys that tenants share are the operator’s: an administrator sees their own tenant’s files and changes nothing', async () => {
  await using server = await startTestServer({ tenants: [clinic, other] });
  const administrator = await server.token('administrator');
  const rotated = await ask(server, 'POST', '/v1/keys/rotate', { of: 'installation' }, administrator);
  assert.deepEqual([rotated.status, rotated.json.code], [403, 'forbidden']);
  assert.equal((await ask(server, 'POST', '/v1/keys/rewrap', { of: 'installation' }, administrator)).status, 403);
  // The tenant brings no keys of its own.
  const own = await ask(server, 'POST', '/v1/keys/rotate', { of: 'tenant' }, administrator);
  assert.deepEqual([own.status, own.json.code], [422, 'keyring-invalid']);
  const theirs = (await ask(server, 'GET', '/v1/keys', undefined, administrator)).json as unknown as Listed;
  const all = await list(server);
  assert.ok((theirs.keys[0]?.files.others ?? 0) < (all.keys[0]?.files.others ?? 0));
  assert.equal(theirs.rewrap, null);
  const auditor = await server.token('auditor');
  assert.equal((await ask(server, 'GET', '/v1/keys', undefined, auditor)).status, 403);
  // What the operator changes concerns every tenant, and is in every log.
  assert.equal((await ask(server, 'POST', '/v1/keys/rotate', { of: 'installation', tenant: clinic })).status, 200);
  for (const tenant of [clinic, other]) assert.ok((await operations(server, tenant)).includes('kek-current'));
});

test('an administrator rotates the keys their tenant brought; a keeper that refuses is told with its code', async () => {
  await using vault = await startVault();
  const dir = mkdtempSync(join(tmpdir(), 'vault-token-'));
  try {
    const path = join(dir, 'token');
    writeFileSync(path, 'hvs.a-token');
    const own = { ...vault.settings, token: { kind: 'file', path } } as const;
    await using server = await startTestServer({
      tenants: [clinic, other],
      keys: { ...defaultKeys, tenants: { clinic: own } },
    });
    const administrator = await server.token('administrator');
    const rotated = await ask(server, 'POST', '/v1/keys/rotate', { of: 'tenant' }, administrator);
    assert.equal(rotated.json.from, 'vault-transit:watchglass');
    assert.match(String(rotated.json.to), /^vault-transit:watchglass-/);
    // Its own keys are its own matter.
    assert.ok(!(await operations(server, other)).includes('kek-current'));
    assert.ok((await operations(server)).includes('kek-current'));
    vault.allowed.delete('keys');
    const refused = await ask(server, 'POST', '/v1/keys/rotate', { of: 'tenant' }, administrator);
    assert.deepEqual([refused.status, refused.json.code], [503, 'keys-unavailable']);
    assert.match(String(refused.json.detail), /permission_denied/);
    assert.doesNotMatch(JSON.stringify(refused.json) + server.log(), /hvs\./);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

test('a keeper that can’t be asked at the first start keeps the server from starting', async () => {
  await using vault = await startVault();
  const token = { kind: 'file', path: '/nowhere' } as const;
  const settings = { ...defaultKeys, tenants: { clinic: { ...vault.settings, token } } };
  await assert.rejects(startTestServer({ tenants: [clinic, other], keys: settings }), { code: 'kek-refused' });
});

test('a request that asks for something else is told each place', async () => {
  await using server = await startTestServer();
  for (const body of [{}, { of: 'everybody' }, { of: 'tenant', key: 'with space' }, { of: 'installation', more: 1 }]) {
    const { status, json } = await ask(server, 'POST', '/v1/keys/rotate', body);
    assert.deepEqual([status, json.code], [422, 'input-invalid'], JSON.stringify(body));
  }
  const named = await ask(server, 'POST', '/v1/keys/rotate', { of: 'installation', key: 'kek-x' });
  assert.deepEqual([named.status, named.json.code], [422, 'keyring-invalid']);
});
