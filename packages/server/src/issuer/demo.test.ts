import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { parseTenantId } from '@watchglass/record';
import { decodeJwt } from 'jose';
import type { Access, OwnEvent } from '../access/access.ts';
import { openAccess } from '../access/open-access.ts';
import { ServerError } from '../errors.ts';
import { realWorld } from '../world/real-world.ts';
import { openDemo } from './demo.ts';
import { mintAccessToken } from './mint.ts';
import { openSigningKey } from './signing-key.ts';

const tenant = parseTenantId('clinic');

interface Tokens {
  readonly people: readonly { id: string; username: string; password: string; role: string; token: string }[];
  readonly writeKey: string;
  readonly gatewayWriteKey: string;
}

async function install(context: TestContext) {
  const dir = await mkdtemp(join(tmpdir(), 'watchglass-demo-'));
  const keysDir = join(dir, 'keys');
  const world = realWorld();
  const recorded: OwnEvent[] = [];
  const record = async (event: OwnEvent): Promise<void> => {
    recorded.push(event);
  };
  const access: Access = await openAccess({ path: join(dir, 'state.sqlite'), keysDir, world, record });
  access.tenants.add(tenant);
  const signingKey = await openSigningKey(world, keysDir);
  const peopleFile = join(dir, 'roster.json');
  const staff = [
    {
      id: 'wg-pr-0001',
      username: 'n.abara',
      name: 'N. Abara',
      role: 'nurse',
      department: 'medicine',
      address: '127.1.2.3',
    },
  ];
  await writeFile(peopleFile, JSON.stringify({ staff, patients: ['wg-pt-000001'] }));
  context.after(async () => {
    await access[Symbol.asyncDispose]();
    await rm(dir, { recursive: true });
  });
  const options = {
    world,
    access,
    issuer: {
      mint: (order: Parameters<typeof mintAccessToken>[1]) =>
        mintAccessToken({ issuer: 'http://localhost:1', signingKey, world }, order),
    },
    tenant,
    peopleFile,
    keysDir,
    demoDir: join(dir, 'demo'),
    report: (message: string) => assert.fail(message),
  };
  const open = async (): Promise<Tokens> => {
    await using _demo = await openDemo(options);
    return JSON.parse(await readFile(join(dir, 'demo', 'tokens.json'), 'utf8')) as Tokens;
  };
  return { access, recorded, dir, open, peopleFile };
}

test('the demo has the staff of the roster and one person for each role of Watchglass, who can all sign in', async (context) => {
  const { access, dir, open, recorded } = await install(context);
  const { people, writeKey, gatewayWriteKey } = await open();
  assert.deepEqual(people.map(({ role }) => role).sort(), [
    'administrator',
    'auditor',
    'nurse',
    'patient',
    'privacy-officer',
    'security-analyst',
  ]);
  for (const { id, username, password, role, token } of people) {
    assert.equal((await access.people.signIn({ username, password })).kind, 'person');
    const { sub, roles, exp = 0, iat = 0 } = decodeJwt(token);
    assert.deepEqual([sub, roles, exp - iat], [id, [role], 86_400]);
  }
  assert.equal(access.writeKeys.verify(writeKey)?.emitter, 'demo');
  assert.equal(access.writeKeys.verify(gatewayWriteKey)?.emitter, 'demo-gateway');
  assert.equal((await stat(join(dir, 'demo', 'tokens.json'))).mode & 0o777, 0o600);
  assert.equal((await stat(join(dir, 'keys', 'demo-people.json'))).mode & 0o777, 0o600);
  for (const { password } of people) assert.ok(!JSON.stringify(recorded).includes(password));
});

test('starting again keeps people, passwords and keys, and changes nothing', async (context) => {
  const { open, recorded } = await install(context);
  const first = await open();
  const { length } = recorded;
  const second = await open();
  const lasting = ({ people, writeKey, gatewayWriteKey }: Tokens) => [
    people.map(({ id, password }) => [id, password]),
    writeKey,
    gatewayWriteKey,
  ];
  assert.deepEqual(lasting(second), lasting(first));
  assert.equal(recorded.length, length);
});

test('lost passwords are made anew, and a revoked key is replaced', async (context) => {
  const { access, dir, open } = await install(context);
  const first = await open();
  await rm(join(dir, 'keys', 'demo-people.json'));
  await access.writeKeys.revoke(access.writeKeys.verify(first.writeKey)?.id ?? '', 'server');
  const { people, writeKey } = await open();
  const [person] = people;
  assert.ok(person !== undefined);
  assert.notEqual(person.password, first.people[0]?.password);
  assert.equal((await access.people.signIn(person)).kind, 'person');
  assert.notEqual(access.writeKeys.verify(writeKey), undefined);
});

test('a roster that is missing or none says how to write one', async (context) => {
  const { open, peopleFile } = await install(context);
  await writeFile(peopleFile, '{"staff": "many"}');
  await assert.rejects(
    open(),
    (error) => error instanceof ServerError && /is not a roster; write it with/.test(error.message),
  );
  await rm(peopleFile);
  await assert.rejects(
    open(),
    (error) => error instanceof ServerError && /there is no .*roster\.json; write it with/.test(error.message),
  );
});
