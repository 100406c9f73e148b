import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { parseTenantId } from '@watchglass/record';
import { generateKeyPair, type JWTVerifyGetKey, SignJWT } from 'jose';
import { ServerError } from '../errors.ts';
import { realWorld } from '../world/real-world.ts';
import type { World } from '../world/world.ts';
import type { Access, OwnEvent, PersonPrincipal } from './access.ts';
import { openAccess } from './open-access.ts';
import { stateVersion } from './state.ts';
import type { TokenTrust } from './tokens.ts';

const tenant = parseTenantId('clinic');
const password = 'correct horse battery';
const startMs = Date.UTC(2026, 2, 1);

interface Installation {
  readonly access: Access;
  readonly dir: string;
  readonly recorded: OwnEvent[];
  readonly world: World;
  /** Lets time pass. */
  pass(ms: number): void;
  refuseRecords(error: Error | undefined): void;
  reopen(): Promise<Access>;
}

async function install(context: TestContext, options: { readonly trust?: TokenTrust } = {}): Promise<Installation> {
  const dir = await mkdtemp(join(tmpdir(), 'watchglass-access-'));
  const real = realWorld();
  let nowMs = startMs;
  let refusal: Error | undefined;
  const world: World = { ...real, clock: { ...real.clock, now: () => nowMs, monotonicMs: () => nowMs - startMs } };
  const recorded: OwnEvent[] = [];
  const open = async (): Promise<Access> => {
    const access = await openAccess({
      path: join(dir, 'state.sqlite'),
      keysDir: join(dir, 'keys'),
      world,
      record: async (event) => {
        if (refusal !== undefined) throw refusal;
        recorded.push(event);
      },
      ...options,
    });
    access.tenants.add(tenant);
    return access;
  };
  let access = await open();
  context.after(async () => {
    await access[Symbol.asyncDispose]();
    await rm(dir, { recursive: true });
  });
  return {
    access,
    dir,
    recorded,
    world,
    pass: (ms) => {
      nowMs += ms;
    },
    refuseRecords: (error) => {
      refusal = error;
    },
    async reopen() {
      await access[Symbol.asyncDispose]();
      access = await open();
      return access;
    },
  };
}

function addNurse(access: Access, username = 'n.abara') {
  return access.people.add({ username, name: 'N. Abara', tenant, roles: ['nurse'], password }, 'server');
}

const isCode = (code: string) => (error: unknown) => error instanceof ServerError && error.code === code;

test('a person who was added can sign in, and both are events', async (context) => {
  const { access, recorded } = await install(context);
  const person = await addNurse(access);
  const signIn = await access.people.signIn({ username: ' N.Abara', password, origin: { address: '127.0.0.1' } });
  assert.deepEqual(signIn.kind === 'person' && signIn.person, person);
  assert.deepEqual(
    recorded.map(({ kind, operation, outcome, actor }) => [kind, operation, outcome.status, actor.id]),
    [
      ['access-change', 'person-added', 'success', 'server'],
      ['auth', 'login', 'success', person.id],
    ],
  );
  assert.deepEqual(recorded[0]?.changes?.at(-1), { path: '/roles', op: 'add', after: 'nurse' });
  assert.equal(recorded[1]?.source?.address, '127.0.0.1');
});

test('wrong password, unknown and disabled person look the same and are recorded with their reason', async (context) => {
  const { access, recorded } = await install(context);
  const { id } = await addNurse(access);
  const refused = { kind: 'refused', reason: 'credentials' };
  assert.deepEqual(await access.people.signIn({ username: 'n.abara', password: 'wrong wrong wrong' }), refused);
  assert.deepEqual(await access.people.signIn({ username: 'typed-my-password-here', password }), refused);
  await access.people.disable(id, 'server');
  assert.deepEqual(await access.people.signIn({ username: 'n.abara', password }), refused);
  const denied = recorded.filter(({ kind }) => kind === 'auth');
  assert.deepEqual(
    denied.map(({ operation, outcome, actor }) => [operation, outcome.status, outcome.reason, actor.id]),
    [
      ['login-failed', 'denied', 'wrong-password', id],
      ['login-failed', 'denied', 'unknown-person', 'unknown'],
      ['login-failed', 'denied', 'disabled', id],
    ],
  );
  assert.ok(!JSON.stringify(recorded).includes('typed-my-password-here'));
});

test('ten failures lock the username, known or not, for the rest of fifteen minutes', async (context) => {
  const { access, recorded, pass } = await install(context);
  await addNurse(access);
  for (const username of ['n.abara', 'nobody']) {
    await Promise.all(
      Array.from({ length: 10 }, () => access.people.signIn({ username, password: 'wrong wrong wrong' })),
    );
    const signIn = await access.people.signIn({ username, password });
    assert.deepEqual(signIn, { kind: 'refused', reason: 'locked', retryAfterMs: 15 * 60_000 });
    assert.equal((await access.people.signIn({ username, password })).kind, 'refused');
    assert.equal(recorded.filter(({ outcome }) => outcome.reason === 'locked').length, 1);
    recorded.length = 0;
  }
  pass(15 * 60_000);
  assert.equal((await access.people.signIn({ username: 'n.abara', password })).kind, 'person');
});

test('attempts side by side gain no guesses', async (context) => {
  const { access, recorded } = await install(context);
  await addNurse(access);
  const answers = await Promise.all(
    Array.from({ length: 30 }, () => access.people.signIn({ username: 'n.abara', password: 'wrong wrong wrong' })),
  );
  assert.equal(answers.filter((answer) => answer.kind === 'refused' && answer.reason === 'credentials').length, 10);
  assert.equal(recorded.filter(({ outcome }) => outcome.reason === 'wrong-password').length, 10);
});

test('what cannot be recorded does not happen', async (context) => {
  const { access, refuseRecords } = await install(context);
  const person = await addNurse(access);
  const key = await access.writeKeys.create({ tenant, emitter: 'edge-1', name: 'edge' }, 'server');
  refuseRecords(new ServerError('read-only'));
  await assert.rejects(addNurse(access, 'other'), isCode('read-only'));
  await assert.rejects(access.people.grantRole(person.id, 'auditor', 'server'), isCode('read-only'));
  await assert.rejects(access.writeKeys.revoke(key.id, 'server'), isCode('read-only'));
  await assert.rejects(access.writeKeys.create({ tenant, emitter: 'e', name: 'n' }, 'server'), isCode('read-only'));
  await assert.rejects(access.people.signIn({ username: 'n.abara', password }), isCode('read-only'));
  refuseRecords(undefined);
  assert.equal(access.people.find('other'), undefined);
  assert.deepEqual(access.people.get(person.id)?.roles, ['nurse']);
  assert.equal(access.writeKeys.verify(key.secret)?.id, key.id);
  assert.equal(access.writeKeys.list().length, 1);
});

test('of two people of one username one is added, and only one is recorded', async (context) => {
  const { access, recorded } = await install(context);
  const results = await Promise.allSettled([addNurse(access), addNurse(access)]);
  assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  assert.equal(recorded.length, 1);
});

test('what a new person may be is checked, and the error names each place', async (context) => {
  const { access } = await install(context);
  const adding = access.people.add(
    { username: 'Not Good', name: '', tenant, roles: ['NURSE'], password: 'short' },
    'server',
  );
  await assert.rejects(adding, (error: unknown) => {
    assert.ok(error instanceof ServerError);
    assert.equal(error.code, 'input-invalid');
    assert.deepEqual(
      error.errors?.map(({ path }) => path),
      ['/username', '/name', '/roles', '/password'],
    );
    assert.ok(!error.message.includes('short'));
    return true;
  });
});

test('roles, people, keys and sessions survive a restart', async (context) => {
  const { access, reopen } = await install(context);
  const person = await addNurse(access);
  await access.people.grantRole(person.id, 'privacy-officer', 'server');
  const key = await access.writeKeys.create({ tenant, emitter: 'edge-1', name: 'edge' }, 'server');
  const { cookie } = await access.sessions.create(principalOf(person));
  const again = await reopen();
  assert.deepEqual(again.people.find('n.abara')?.roles, ['nurse', 'privacy-officer']);
  assert.equal(again.writeKeys.verify(key.secret)?.emitter, 'edge-1');
  assert.deepEqual(again.sessions.get(cookie)?.principal.roles, ['nurse', 'privacy-officer']);
  assert.deepEqual(again.tenants.list(), [tenant]);
});

function principalOf(person: {
  id: string;
  username: string;
  name: string;
  roles: readonly string[];
}): PersonPrincipal {
  const { id, username, name, roles } = person;
  return { kind: 'person', id, username, name, roles, tenant, authentication: { method: 'bearer' } };
}

test('a write key is good until it is revoked, and its secret is stored nowhere', async (context) => {
  const { access, dir, recorded } = await install(context);
  const key = await access.writeKeys.create({ tenant, emitter: 'edge-1', name: 'edge' }, 'server');
  assert.match(key.secret, /^wgk_[A-Za-z0-9_-]{43}$/);
  assert.equal(access.writeKeys.verify(key.secret)?.tenant, tenant);
  assert.equal(access.writeKeys.verify(`${key.secret.slice(0, -1)}${key.secret.endsWith('A') ? 'B' : 'A'}`), undefined);
  assert.equal(access.writeKeys.verify('wgk_'), undefined);
  await access.writeKeys.revoke(key.id, 'server');
  assert.equal(access.writeKeys.verify(key.secret), undefined);
  await assert.rejects(access.writeKeys.revoke(key.id, 'server'), isCode('not-found'));
  assert.ok(access.writeKeys.list()[0]?.revoked !== undefined);
  assert.deepEqual(
    recorded.map(({ operation }) => operation),
    ['write-key-created', 'write-key-revoked'],
  );
  for (const file of ['state.sqlite', 'state.sqlite-wal']) {
    assert.ok(!(await readFile(join(dir, file))).includes(key.secret));
  }
  assert.ok(!JSON.stringify(recorded).includes(key.secret));
});

test('a session ends when idle, when old, when ended, and when its person is disabled', async (context) => {
  const { access, pass, recorded } = await install(context);
  const person = await addNurse(access);
  const open = async () => (await access.sessions.create(principalOf(person), { address: '::1' })).cookie;
  const idle = await open();
  pass(29 * 60_000);
  assert.equal(access.sessions.get(idle)?.principal.id, person.id);
  pass(29 * 60_000);
  assert.notEqual(access.sessions.get(idle), undefined);
  pass(30 * 60_000);
  assert.equal(access.sessions.get(idle), undefined);

  const looked = await open();
  pass(20 * 60_000);
  assert.equal(access.sessions.look(looked)?.principal.id, person.id);
  pass(10 * 60_000);
  assert.equal(access.sessions.get(looked), undefined, 'looking at a session is not using it');

  const old = await open();
  for (let passedMs = 0; passedMs < 12 * 3_600_000 - 20 * 60_000; passedMs += 20 * 60_000) {
    pass(20 * 60_000);
    assert.notEqual(access.sessions.get(old), undefined);
  }
  pass(20 * 60_000);
  assert.equal(access.sessions.get(old), undefined);

  const ended = await open();
  await access.sessions.end(ended);
  assert.equal(access.sessions.get(ended), undefined);
  assert.equal(recorded.at(-1)?.operation, 'logout');

  const disabled = await open();
  await access.people.disable(person.id, 'server');
  assert.equal(access.sessions.get(disabled), undefined);
  await assert.rejects(open(), isCode('sign-in-failed'));
});

test('a role that is taken away is gone from sessions at once', async (context) => {
  const { access } = await install(context);
  const person = await addNurse(access);
  await access.people.grantRole(person.id, 'auditor', 'server');
  const { cookie } = await access.sessions.create(principalOf(person));
  const rights = () => access.rightsOf(access.sessions.get(cookie)?.principal as PersonPrincipal);
  assert.ok(rights().has('open'));
  await access.people.revokeRole(person.id, 'auditor', 'server');
  assert.equal(rights().size, 0);
});

test('rights follow the fixed table', async (context) => {
  const { access } = await install(context);
  const rights = (roles: string[]) => [
    ...access.rightsOf({ ...principalOf({ id: 'x', username: 'x', name: 'x', roles }) }),
  ];
  assert.deepEqual(rights(['privacy-officer']), [
    'search',
    'open',
    'tail',
    'status',
    'retention',
    'hold',
    'shred',
    'respond',
  ]);
  assert.deepEqual(rights(['auditor']), ['search', 'open', 'status', 'retention']);
  assert.deepEqual(rights(['security-analyst']), ['search', 'tail', 'status', 'respond']);
  assert.deepEqual(rights(['administrator']), [
    'search',
    'status',
    'keys',
    'configure',
    'retention',
    'shred',
    'respond',
  ]);
  assert.deepEqual(rights(['physician', 'nurse', 'billing', 'registration', 'patient', 'unheard-of']), []);
});

test('the operator token is made once, readable by its owner only, and may not open', async (context) => {
  const { access, dir, reopen } = await install(context);
  const path = join(dir, 'keys', 'operator.token');
  const token = (await readFile(path, 'utf8')).trim();
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.equal((await stat(join(dir, 'keys'))).mode & 0o777, 0o700);
  assert.equal((await stat(join(dir, 'state.sqlite'))).mode & 0o777, 0o600);
  assert.equal((await stat(join(dir, 'state.sqlite-wal'))).mode & 0o777, 0o600);
  const operator = access.operator.verify(token);
  assert.ok(operator !== undefined);
  assert.deepEqual(
    [...access.rightsOf(operator)],
    ['search', 'tail', 'status', 'keys', 'configure', 'retention', 'respond'],
  );
  assert.equal(access.actorOf(operator).shared, true);
  assert.equal(access.operator.verify(`wgo_${'A'.repeat(43)}`), undefined);
  assert.notEqual((await reopen()).operator.verify(token), undefined);
});

test('a key file that others can read keeps the server from starting, and the message says what to do', async (context) => {
  const { dir, reopen } = await install(context);
  const path = join(dir, 'keys', 'operator.token');
  await chmod(path, 0o640);
  await assert.rejects(reopen(), (error: unknown) => {
    assert.ok(isCode('key-file-exposed')(error));
    assert.match((error as Error).message, /got mode 0640; run chmod 600 .*operator\.token/);
    return true;
  });
  await chmod(path, 0o600);
  await writeFile(path, 'emptied');
  await assert.rejects(reopen(), isCode('key-file-invalid'));
  await rm(path);
  await reopen();
});

test('a state of a newer version is refused', async (context) => {
  const { access, dir, reopen } = await install(context);
  await access[Symbol.asyncDispose]();
  const state = new DatabaseSync(join(dir, 'state.sqlite'));
  state.exec('PRAGMA user_version = 99');
  state.close();
  await assert.rejects(reopen(), isCode('state-unknown'));
  const back = new DatabaseSync(join(dir, 'state.sqlite'));
  back.exec(`PRAGMA user_version = ${stateVersion}`);
  back.close();
  await reopen();
});

test('a token is good only as the issuer gives them', async (context) => {
  const { privateKey, publicKey } = await generateKeyPair('RS256', { modulusLength: 2048 });
  const other = await generateKeyPair('RS256', { modulusLength: 2048 });
  let lookups = 0;
  const keys: JWTVerifyGetKey = async () => {
    lookups += 1;
    return publicKey;
  };
  const trust = {
    issuer: 'https://issuer.example',
    audience: 'urn:watchglass:api',
    algorithms: ['RS256'],
    keys,
    knownPeopleOnly: false,
  };
  const { access, pass } = await install(context, { trust });
  const nowS = startMs / 1_000;
  const claims = {
    iss: trust.issuer,
    aud: [trust.audience, 'other'],
    sub: 'p-1',
    client_id: 'app',
    jti: 'j-1',
    iat: nowS,
    exp: nowS + 300,
    roles: ['auditor'],
    tenant: 'clinic',
    preferred_username: 'pat',
    acr: 'a',
    amr: ['pwd', 'mfa'],
    auth_time: nowS,
  };
  const sign = (change: object = {}, header: object = {}, key = privateKey) =>
    new SignJWT({ ...claims, ...change })
      .setProtectedHeader({ alg: 'RS256', typ: 'at+jwt', kid: 'k', ...header })
      .sign(key);

  const good = await sign();
  const principal = await access.tokens.verify(good);
  assert.deepEqual(principal, {
    kind: 'person',
    id: 'p-1',
    username: 'pat',
    name: 'pat',
    roles: ['auditor'],
    tenant,
    client: 'app',
    tokenId: 'j-1',
    authentication: { method: 'bearer', mfa: true, assurance: 'a', time: new Date(startMs).toISOString() },
  });
  assert.deepEqual(await access.tokens.verify(good), principal);
  assert.equal(lookups, 1, 'a token seen a moment ago costs no signature');

  const bad: [string, string][] = [
    ['another key', await sign({}, {}, other.privateKey)],
    ['id token', await sign({}, { typ: 'JWT' })],
    ['no kid', await sign({}, { kid: undefined })],
    ['another issuer', await sign({ iss: 'https://issuer.example/' })],
    ['another audience', await sign({ aud: 'urn:other' })],
    ['expired', await sign({ exp: nowS - 61 })],
    ['not yet', await sign({ nbf: nowS + 61 })],
    ['no jti', await sign({ jti: undefined })],
    ['no client', await sign({ client_id: undefined })],
    ['a tenant that is not here', await sign({ tenant: 'elsewhere' })],
    ['a tenant that is no text', await sign({ tenant: ['clinic'] })],
    ['bit flip', `${good.slice(0, -2)}${good.endsWith('AA') ? 'BB' : 'AA'}`],
    ['four parts', `${good}.x`],
    ['not a token', 'wgk_x'],
    [
      'alg none',
      `${Buffer.from('{"alg":"none","typ":"at+jwt","kid":"k"}').toString('base64url')}.${good.split('.')[1]}.`,
    ],
  ];
  for (const [name, token] of bad) assert.equal(await access.tokens.verify(token), undefined, name);
  assert.equal((await access.tokens.verify(await sign({ exp: nowS - 59 })))?.id, 'p-1', 'a minute of tolerance');
  assert.equal(
    (await access.tokens.verify(await sign({ tenant: undefined })))?.tenant,
    tenant,
    'the only tenant is meant',
  );

  pass(300_000 + 61_000);
  assert.equal(await access.tokens.verify(good), undefined, 'the cache does not outlive the token');
});

test('a local person in a token has the roles of today, and an unknown one is nobody', async (context) => {
  const { privateKey, publicKey } = await generateKeyPair('RS256', { modulusLength: 2048 });
  const trust = {
    issuer: 'https://i.example',
    audience: 'a',
    algorithms: ['RS256'],
    keys: async () => publicKey,
    knownPeopleOnly: true,
  };
  const { access } = await install(context, { trust });
  const person = await addNurse(access);
  const nowS = startMs / 1_000;
  const sign = (sub: string) =>
    new SignJWT({ client_id: 'c', roles: ['administrator'], tenant: 'clinic' })
      .setProtectedHeader({ alg: 'RS256', typ: 'at+jwt', kid: 'k' })
      .setIssuer(trust.issuer)
      .setAudience('a')
      .setSubject(sub)
      .setJti('j')
      .setIssuedAt(nowS)
      .setExpirationTime(nowS + 60)
      .sign(privateKey);
  const token = await sign(person.id);
  assert.deepEqual((await access.tokens.verify(token))?.roles, ['nurse']);
  assert.equal(await access.tokens.verify(await sign('p-nobody')), undefined);
  await access.people.disable(person.id, 'server');
  assert.equal(await access.tokens.verify(token), undefined);
});
