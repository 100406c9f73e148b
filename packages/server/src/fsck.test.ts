import assert from 'node:assert/strict';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { localKeys, nodeFiles } from '@watchglass/record/reader';
import { ask, clinic, indexed, post, startTestServer, type TestServer, testEvent } from './api/server.fixture.ts';
import { fsck } from './fsck.ts';
import type { FsckOptions, FsckReport } from './index.ts';
import { item, items, testPlace } from './ledger/ledger.fixture.ts';
import { realWorld } from './world/real-world.ts';
import type { World } from './world/world.ts';

async function check(dataDir: string, options: Partial<FsckOptions> = {}): Promise<FsckReport> {
  return fsck({ dataDir, keyrings: await localKeys(nodeFiles, join(dataDir, 'keys')), ...options });
}

const told = ({ findings }: FsckReport): string[] =>
  findings.map(({ code, place, index }) => [code, place, index].filter((part) => part !== undefined).join(' '));

/** A server whose people, keys, sessions, proposals and holds went through everything there is, six years later. */
async function livedIn(
  context: TestContext,
): Promise<{ server: TestServer; nurse: string; key: string; hold: string }> {
  let aheadMs = 0;
  const real = realWorld();
  const world: World = { ...real, clock: { ...real.clock, now: () => real.clock.now() + aheadMs } };
  let server = await startTestServer({ world });
  context.after(() => server[Symbol.asyncDispose]());
  const event = () => testEvent({ time: new Date(world.clock.now()).toISOString() });
  await post(server, [event(), event()]);
  server = await server.restart(() => {
    aheadMs = (2192 + 40) * 86_400_000;
  });
  const { people, writeKeys, sessions } = server.access;
  const password = 'correct horse battery';
  const added = await people.add(
    { username: 'n.abara', name: 'N. Abara', tenant: clinic, roles: ['nurse'], department: 'icu', password },
    'server',
  );
  await people.grantRole(added.id, 'auditor', 'server');
  await people.revokeRole(added.id, 'auditor', 'server');
  await people.setPassword(added.id, 'another one of them', 'server');
  const gone = await people.add({ username: 'gone', name: 'G.', tenant: clinic, roles: [], password }, 'server');
  await people.disable(gone.id, 'server');
  const key = await writeKeys.create({ tenant: clinic, emitter: 'ward', name: 'ward' }, 'server');
  const old = await writeKeys.create({ tenant: clinic, emitter: 'old', name: 'old' }, 'server');
  await writeKeys.revoke(old.id, 'server');
  const { tokenId: _, ...principal } = {
    kind: 'person' as const,
    ...added,
    tokenId: 'x',
    authentication: { method: 'password' },
  };
  await sessions.create(principal);
  const ended = await sessions.create(principal);
  await sessions.end(ended.cookie);

  const as = (sub: string): Promise<string> =>
    server.tokenOf({
      sub,
      roles: ['privacy-officer'],
      amr: ['mfa'],
      auth_time: Math.floor(world.clock.now() / 1_000) - 30,
    });
  const [ann, bob] = [await as('ann'), await as('bob')];
  const made = async (token: string, url: string, body: unknown): Promise<{ id: string; plan?: string }> => {
    const answer = await ask(server, token, url, body);
    assert.ok(answer.statusCode < 300, `${url}: ${answer.body}`);
    return answer.json() as { id: string; plan?: string };
  };
  await post(server, [event()]);
  const hold = { matter: 'case', reason: 'litigation' };
  const kept = await made(ann, '/v1/holds', { ...hold, actor: 'nurse-1', from: '2040-01-01T00:00:00Z' });
  const ending = await made(ann, '/v1/holds', { ...hold, actor: 'nurse-2' });
  const release = await made(ann, `/v1/holds/${ending.id}/release`, {});
  await made(bob, `/v1/retention/proposals/${release.id}/approve`, { plan: ending.id });
  await made(bob, `/v1/retention/proposals/${release.id}/execute`, {});
  const { units } = (await ask(server, ann, '/v1/retention/plan')).json() as { units: { unit: string }[] };
  const unit = units.find((one) => one.unit.startsWith('access-'))?.unit;
  const shred = await made(ann, '/v1/retention/proposals', { units: [unit] });
  await made(bob, `/v1/retention/proposals/${shred.id}/approve`, { plan: shred.plan });
  await made(bob, `/v1/retention/proposals/${shred.id}/execute`, {});
  await made(server.operator, '/v1/keys/rotate', { of: 'installation' });
  const block = { effect: 'block', subject: 'actor', reason: 'seen in two cities' };
  const expires = new Date(world.clock.now() + 30 * 86_400_000).toISOString();
  await made(ann, '/v1/decisions', { ...block, value: 'p-in-force', expires });
  const mistake = await made(ann, '/v1/decisions', { ...block, value: 'p-mistake', expires });
  const lifted = await server.api.fastify.inject({
    method: 'DELETE',
    url: `/v1/decisions/${mistake.id}`,
    headers: { authorization: `Bearer ${ann}` },
  });
  assert.equal(lifted.statusCode, 200, lifted.body);
  await indexed(server);
  return { server, nurse: added.id, key: key.id, hold: kept.id };
}

/** What is at rest of it, in a directory of its own, to be changed. */
async function copyOf(context: TestContext, from: string): Promise<string> {
  const to = await mkdtemp(join(tmpdir(), 'watchglass-fsck-'));
  context.after(() => rm(to, { recursive: true }));
  await cp(from, to, { recursive: true });
  return to;
}

function editState(dir: string, ...statements: readonly string[]): void {
  const state = new DatabaseSync(join(dir, 'state.sqlite'));
  for (const statement of statements) state.exec(statement);
  state.close();
}

// biome-ignore lint/suspicious/noExplicitAny: whatever a hand does to the file
async function editJson(path: string, edit: (state: any) => void): Promise<void> {
  const state = JSON.parse(await readFile(path, 'utf8')) as unknown;
  edit(state);
  await writeFile(path, `${JSON.stringify(state)}\n`);
}

test('what happened to an installation is what its state says; one edit by hand is told with its place', async (context) => {
  const { server, nurse, key, hold } = await livedIn(context);
  const { dir, world } = server;
  const beside = await check(dir, { world });
  assert.deepEqual(told(beside), []);
  assert.equal(beside.tenants[0]?.checked, (beside.tenants[0]?.size ?? 0) - 2, 'two were shredded');
  assert.deepEqual(beside.skipped, []);
  assert.ok(beside.compared > 30, `${beside.compared}`);

  let still = '';
  const again = await server.restart(async () => {
    still = await copyOf(context, dir);
  });
  await again[Symbol.asyncDispose]();
  const at = (file: string, name: string): string => `${file}: ${name}`;
  const state = (name: string): string => at('state.sqlite', name);
  const kept = (name: string): string => at('retention.json', name);
  const sql =
    (...statements: readonly string[]) =>
    (to: string): void =>
      editState(to, ...statements);
  // biome-ignore lint/suspicious/noExplicitAny: as above
  const json = (file: string, edit: (state: any) => void) => (to: string) => editJson(join(to, file), edit);
  const edits: readonly [what: string, edit: (to: string) => unknown, expected: RegExp][] = [
    ['nothing', () => undefined, /^$/],
    [
      'a role raised',
      sql(`INSERT INTO roles VALUES ('${nurse}', 'admin')`),
      exact(`state-unsaid ${state(`people/${nurse}/roles/admin`)}`),
    ],
    [
      'a role that was revoked',
      sql(`INSERT INTO roles VALUES ('${nurse}', 'auditor')`),
      /^state-unsaid state\.sqlite: people\/[^ ]+\/roles\/auditor \d+$/,
    ],
    [
      'a role removed',
      sql(`DELETE FROM roles WHERE person = '${nurse}'`),
      /^state-lacking state\.sqlite: people\/[^ ]+\/roles\/nurse \d+$/,
    ],
    [
      'a password swapped',
      sql(`UPDATE people SET password = 'x' WHERE id = '${nurse}'`),
      /^state-differs state\.sqlite: people\/[^ ]+\/password \d+$/,
    ],
    [
      'another record for a patient',
      sql(`UPDATE people SET fhir_user = 'Patient/of-another' WHERE id = '${nurse}'`),
      /^state-unsaid state\.sqlite: people\/[^ ]+\/fhirUser( \d+)?$/,
    ],
    [
      'somebody disabled let in again',
      sql(`UPDATE people SET disabled = 0`),
      /^state-lacking state\.sqlite: people\/[^ ]+\/disabled \d+$/,
    ],
    [
      'a username taken',
      sql(`UPDATE people SET username = 'x' WHERE id = '${nurse}'`),
      /^state-differs state\.sqlite: people\/[^ ]+\/username \d+$/,
    ],
    [
      'somebody nobody added',
      sql(`INSERT INTO people VALUES ('p-x', 'x', 'X', 'clinic', NULL, 'x', 0, '2026-01-01T00:00:00.000Z', NULL, 0)`),
      /^(state-unsaid state\.sqlite: people\/p-x[a-z/]*\n?){4}$/,
    ],
    [
      'the secret of a write key',
      sql(`UPDATE write_keys SET hash = 'x' WHERE id = '${key}'`),
      /^state-differs state\.sqlite: write-keys\/[^ ]+\/secret \d+$/,
    ],
    [
      'a revoked write key in force',
      sql('UPDATE write_keys SET revoked = NULL'),
      /^state-lacking state\.sqlite: write-keys\/[^ ]+\/revoked \d+$/,
    ],
    [
      'a session that nobody opened',
      sql(`INSERT INTO sessions SELECT 'x', 's-x', person, principal, seen_ms, ends_ms FROM sessions`),
      exact(`state-unsaid ${state('sessions/s-x')}`),
    ],
    [
      'a session of somebody else',
      sql(`UPDATE sessions SET principal = replace(principal, '${nurse}', 'admin-1')`),
      /^state-differs state\.sqlite: sessions\/s-[0-9a-f]+ \d+$/,
    ],
    ['no state at all', (to) => rm(join(to, 'state.sqlite')), exact('state-absent state.sqlite')],
    [
      'a state that is none',
      (to) => writeFile(join(to, 'state.sqlite'), 'none'),
      exact('state-unreadable state.sqlite'),
    ],
    ['a state of a later version', sql('PRAGMA user_version = 99'), exact('state-unreadable state.sqlite')],
    [
      'another policy',
      json('retention.json', (now) => {
        now.recorded.clinic.access = 1;
      }),
      /^state-differs retention\.json: recorded\/clinic\/access \d+$/,
    ],
    [
      'a confirmation that nobody gave',
      json('retention.json', (now) => {
        now.confirmed.clinic = { access: { days: 1, at: 3 } };
      }),
      exact(`state-unsaid ${kept('confirmed/clinic/access')}`),
    ],
    [
      'a hold removed',
      json('retention.json', (now) => {
        now.holds.clinic = [];
      }),
      new RegExp(`^state-lacking retention\\.json: holds/clinic/${hold} \\d+$`),
    ],
    [
      'an approval forged',
      json('retention.json', (now) => {
        now.proposals.push({ ...now.proposals.at(-1), id: 'rp-0', state: 'approved', orderedBy: null });
      }),
      /^(state-unsaid retention\.json: proposals\/rp-0[a-z/]*\n?){4}$/,
    ],
    [
      'an approval by another person',
      json('retention.json', (now) => {
        now.proposals.at(-1).approvedBy = 'ann';
      }),
      /^state-differs retention\.json: proposals\/rp-[0-9a-f]+\/approved \d+$/,
    ],
    [
      'another unit in a proposal',
      json('retention.json', (now) => {
        now.proposals.at(-1).about.units[0].epoch += 1;
      }),
      /^state-differs retention\.json: proposals\/rp-[0-9a-f]+\/units \d+$/,
    ],
    [
      'another key made current',
      json('keys/keyring.json', (now) => {
        now.shared.current = now.shared.keks.find(
          ({ id, state }: { id: string; state: string }) => id !== now.shared.current && state === 'there',
        ).id;
      }),
      /^state-differs keys\/keyring\.json: current\/\* \d+$/,
    ],
    [
      'a destroyed key back again',
      json('keys/keyring.json', (now) => {
        now.shared.keks.find(({ state }: { state: string }) => state === 'destroyed').state = 'there';
      }),
      /^state-lacking keys\/keyring\.json: keks\/local:[0-9a-f]+ \d+$/,
    ],
    ['no retention.json', (to) => rm(join(to, 'retention.json')), exact('state-absent retention.json')],
    [
      'a damaged retention.json',
      (to) => writeFile(join(to, 'retention.json'), '{'),
      exact('state-unreadable retention.json'),
    ],
    [
      'a decision lifted',
      json('decisions.json', (now) => {
        now.decisions = [];
      }),
      /^state-lacking decisions\.json: d-[0-9a-f]{16} \d+\nstate-lacking decisions\.json: d-[0-9a-f]{16}\/about \d+$/,
    ],
    [
      'somebody else blocked',
      json('decisions.json', (now) => {
        now.decisions[0].value = 'p-another';
      }),
      /^state-differs decisions\.json: d-[0-9a-f]{16}\/about \d+$/,
    ],
    [
      'a decision that nobody made',
      json('decisions.json', (now) => {
        now.decisions.push({ ...now.decisions[0], id: 'd-0000000000000000' });
      }),
      exact(
        `state-unsaid ${at('decisions.json', 'd-0000000000000000')}\nstate-unsaid ${at('decisions.json', 'd-0000000000000000/about')}`,
      ),
    ],
    [
      'an event out of the index',
      (to) => editIndex(to, 'oversight', 'DELETE FROM event WHERE idx = (SELECT min(idx) FROM event)'),
      /^index-differs index\/clinic\/oversight-\d+\.sqlite$/,
    ],
  ];
  for (const [what, edit, expected] of edits) {
    const to = await copyOf(context, still);
    await edit(to);
    const report = await check(to, { world: { ...world, clock: { ...world.clock, sleep: async () => undefined } } });
    assert.match(told(report).join('\n'), expected, what);
    assert.equal(report.sound, what === 'nothing');
    const text = JSON.stringify(report.findings);
    assert.doesNotMatch(text, /Abara|argon2|litigation|p-another|p-in-force|two cities/, what);
  }

  const keyless = await check(still, { world, keyrings: undefined });
  assert.deepEqual([keyless.sound, keyless.tenants[0]?.checked], [true, 0]);
  assert.match(keyless.skipped.join(), /no key-encryption key is here/);
});

function exact(text: string): RegExp {
  return new RegExp(`^${text.replaceAll('.', '\\.')}$`);
}

async function editIndex(dir: string, retentionClass: string, statement: string): Promise<void> {
  const names = await readdir(join(dir, 'index/clinic'));
  const name =
    names
      .filter((one) => one.startsWith(retentionClass) && one.endsWith('.sqlite'))
      .sort()
      .at(-1) ?? '';
  const index = new DatabaseSync(join(dir, 'index/clinic', name));
  index.exec(statement);
  index.close();
}

test('records that a writer with the right keys made, and that make no sense, are told by their index', async (context) => {
  const place = await testPlace();
  context.after(() => place.remove());
  const world = {
    ...place.world(),
    clock: { ...realWorld().clock, now: () => place.clock.now(), sleep: async () => undefined },
  };
  await using ledger = await place.open();
  await ledger.addTenant(clinic);
  const own = (operation: string, id: string, changes: readonly object[]) => {
    const { event, envelope } = item(place, {
      kind: 'access-change',
      operation,
      emitter: { id: 'server', seq: (place.seqs.get('server') ?? 0) + 1 },
      targets: [{ type: 'Person', id }],
    });
    return {
      event: { ...event, changes } as typeof event,
      envelope: { ...envelope, submitter: 'self', intake: 'self' },
    };
  };
  const role = { path: '/roles', op: 'add', after: 'admin' };
  const [unknown] = items(place, 1);
  const [odd] = items(place, 1);
  await ledger.append(clinic, [
    unknown!,
    { ...odd!, envelope: { ...odd!.envelope, submitter: 'someone' } },
    own('role-granted', 'p-unknown', [role]),
    own('person-added', 'p-1', [{ path: '/username', op: 'add', after: 'a' }, role]),
    own('role-granted', 'p-1', []),
    own('role-granted', 'p-1', [role]),
    own('password-set', 'p-1', [{ path: '/password', op: 'replace' }]),
  ]);
  const report = await check(place.dir, { world });
  assert.deepEqual(told(report), [
    'submitter-unknown 0',
    'envelope-invalid 1',
    'own-event-senseless 2',
    'own-event-invalid 4',
    'state-absent state.sqlite',
  ]);
  assert.deepEqual(told(await check(place.dir, { world, ledgerDir: place.ledgerDir })).length, 4);
  await assert.rejects(check(join(place.dir, 'nothing'), { world }), { code: 'ledger-unreadable' });
});
