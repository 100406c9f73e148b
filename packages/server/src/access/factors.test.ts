import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { parseTenantId } from '@watchglass/record';
import { realClock, realWorld } from '../world/real-world.ts';
import type { Access, OwnEvent, Person } from './access.ts';
import { lockMsMax, lockoutWindowMs } from './lockout.ts';
import { openAccess } from './open-access.ts';
import { base32, matchTotp, totpCode, totpStep } from './totp.ts';

const tenant = parseTenantId('clinic');
const password = 'correct horse battery';
const assurance = 'urn:watchglass:acr:mfa';
const secret = Buffer.from('12345678901234567890');

interface Opened {
  readonly access: Access;
  readonly recorded: OwnEvent[];
  readonly nurse: Person;
  readonly dir: string;
  readonly pass: (ms: number) => void;
  readonly nowMs: () => number;
}

async function open(context: TestContext): Promise<Opened> {
  const dir = await mkdtemp(join(tmpdir(), 'watchglass-factors-'));
  let passedMs = 0;
  const clock = { ...realClock, now: () => 1_800_000_000_000 + passedMs, monotonicMs: () => passedMs };
  const recorded: OwnEvent[] = [];
  const access = await openAccess({
    path: join(dir, 'state.sqlite'),
    keysDir: join(dir, 'keys'),
    world: { ...realWorld(), clock },
    record: async (event) => {
      recorded.push(event);
    },
  });
  access.tenants.add(tenant);
  const nurse = await access.people.add(
    { username: 'n.abara', name: 'N. Abara', tenant, roles: ['nurse'], password },
    'server',
  );
  context.after(async () => {
    await access[Symbol.asyncDispose]();
    await rm(dir, { recursive: true });
  });
  return {
    access,
    recorded,
    nurse,
    dir,
    pass: (ms) => {
      passedMs += ms;
    },
    nowMs: clock.now,
  };
}

const prove = ({ access, nurse }: Opened, code: string, address = '192.0.2.1') =>
  access.people.prove({
    person: nurse,
    method: 'totp',
    assurance,
    origin: { address },
    check: async () => {
      const match = access.factors.matchTotp(nurse.id, code);
      return match === 'match' ? undefined : `code-${match}`;
    },
  });

test('codes are those of RFC 6238, appendix B', () => {
  const cases = [
    [59, '287082'],
    [1_111_111_109, '081804'],
    [1_111_111_111, '050471'],
    [1_234_567_890, '005924'],
    [2_000_000_000, '279037'],
    [20_000_000_000, '353130'],
  ] as const;
  for (const [seconds, code] of cases) assert.equal(totpCode(secret, totpStep(seconds * 1_000)), code);
});

test('secrets are written as in RFC 4648, section 10', () => {
  const of = (letters: string): string => base32(Buffer.from(letters));
  assert.deepEqual(['f', 'fo', 'foo', 'foob', 'fooba', 'foobar'].map(of), [
    'MY',
    'MZXQ',
    'MZXW6',
    'MZXW6YQ',
    'MZXW6YTB',
    'MZXW6YTBOI',
  ]);
});

test('a code is good one step early or late, no more, and each step once', () => {
  const nowMs = 1_800_000_000_000;
  const step = totpStep(nowMs);
  const at = (offset: number, lastStep = 0) =>
    matchTotp(secret, { code: totpCode(secret, step + offset), nowMs, lastStep }).kind;
  assert.deepEqual(
    [-2, -1, 0, 1, 2].map((offset) => at(offset)),
    ['wrong', 'match', 'match', 'match', 'wrong'],
  );
  assert.equal(at(0, step), 'replayed');
  assert.equal(at(-1, step), 'replayed');
  assert.equal(at(1, step), 'match');
  for (const code of ['', '12345', '1234567', 'abcdef', '１２３４５６'])
    assert.equal(matchTotp(secret, { code, nowMs, lastStep: 0 }).kind, 'wrong');
});

test('with a second factor a right password is the first of two, and both are events', async (context) => {
  const opened = await open(context);
  const { access, nurse, recorded, nowMs, dir } = opened;
  await access.factors.setTotp(nurse.id, { secret, step: totpStep(nowMs()) - 1 }, 'server', { address: '192.0.2.1' });
  assert.equal(recorded.at(-1)?.operation, 'totp-set');
  assert.equal(recorded.at(-1)?.source?.address, '192.0.2.1');
  assert.ok(!(await readFile(join(dir, 'state.sqlite'))).includes(secret), 'the secret is sealed');

  const first = await access.people.signIn({ username: 'n.abara', password });
  assert.equal(first.kind, 'first-factor');
  assert.equal(recorded.at(-1)?.operation, 'first-factor');
  const code = totpCode(secret, totpStep(nowMs()));
  const second = await prove(opened, code);
  assert.equal(second.kind, 'person');
  assert.deepEqual(
    [recorded.at(-1)?.operation, recorded.at(-1)?.actor.authentication],
    ['login', { method: 'totp', mfa: true, assurance }],
  );
  assert.equal((await prove(opened, code)).kind, 'refused');
  assert.equal(recorded.at(-1)?.outcome.reason, 'code-replayed');
  assert.ok(!JSON.stringify(recorded).includes(code));
});

test('right passwords between wrong codes do not keep the account from being locked', async (context) => {
  const opened = await open(context);
  const { access, nurse, recorded, nowMs } = opened;
  await access.factors.setTotp(nurse.id, { secret, step: 0 }, 'server');
  for (let n = 0; n < 10; n++) {
    await access.people.signIn({ username: 'n.abara', password, origin: { address: `192.0.2.${n}` } });
    await prove(opened, 'not it', `192.0.2.${n}`);
  }
  const lockouts = recorded.filter(({ operation }) => operation === 'lockout');
  assert.deepEqual(
    lockouts.map(({ outcome }) => outcome.reason),
    ['account-locked'],
  );
  const right = await prove(opened, totpCode(secret, totpStep(nowMs())));
  assert.deepEqual([right.kind, right.kind === 'refused' && right.reason], ['refused', 'locked']);
  const typed = await access.people.signIn({ username: 'n.abara', password });
  assert.deepEqual([typed.kind, typed.kind === 'refused' && typed.reason], ['refused', 'locked']);
});

test('each lock in a row is twice as long, an hour at most, and unknown people are locked the same', async (context) => {
  const { access, pass } = await open(context);
  for (const username of ['n.abara', 'nobody']) {
    const waits: number[] = [];
    for (let round = 0; round < 4; round++) {
      for (let n = 0; n < 10; n++) await access.people.signIn({ username, password: 'not the password' });
      const locked = await access.people.signIn({ username, password });
      assert.ok(locked.kind === 'refused' && locked.reason === 'locked');
      waits.push(locked.retryAfterMs);
      pass(locked.retryAfterMs);
    }
    assert.deepEqual(waits, [lockoutWindowMs, 2 * lockoutWindowMs, lockMsMax, lockMsMax]);
  }
});

test('a recovery code works once, new ones end the old, and they are kept as hashes', async (context) => {
  const { access, nurse, recorded, dir } = await open(context);
  const codes = await access.factors.newRecoveryCodes(nurse.id, 'server');
  assert.equal(new Set(codes).size, 10);
  const [one = '', two = ''] = codes;
  const used = await Promise.all(
    [one, ` ${one.toUpperCase()} `].map((code) => access.factors.spendRecoveryCode(nurse.id, code, 'server')),
  );
  assert.deepEqual(used, [true, false]);
  assert.equal(access.factors.of(nurse.id).recoveryCodes, 9);
  await access.factors.newRecoveryCodes(nurse.id, 'server');
  assert.equal(await access.factors.spendRecoveryCode(nurse.id, two, 'server'), false);
  assert.deepEqual(
    recorded.slice(-3).map(({ operation }) => operation),
    ['recovery-codes-set', 'recovery-code-used', 'recovery-codes-set'],
  );
  const kept = `${JSON.stringify(recorded)}${await readFile(join(dir, 'state.sqlite'), 'latin1')}`;
  assert.ok(codes.every((code) => !kept.includes(code)));
});

test('a passkey whose counter does not grow is told from one that counts, and from one that never does', async (context) => {
  const { access, nurse } = await open(context);
  const passkey = { publicKey: 'AA', name: 'key', transports: ['usb'], synced: false };
  await access.factors.addPasskey(nurse.id, { ...passkey, id: 'counts', counter: 5 }, 'server');
  await access.factors.addPasskey(nurse.id, { ...passkey, id: 'never', counter: 0 }, 'server');
  assert.deepEqual(
    [6, 6, 5, 0, 7].map((counter) => access.factors.countPasskey('counts', counter)),
    [true, false, false, false, true],
  );
  assert.deepEqual(
    [true, true],
    [0, 0].map((counter) => access.factors.countPasskey('never', counter)),
  );
  await assert.rejects(access.factors.addPasskey(nurse.id, { ...passkey, id: 'never', counter: 0 }, 'server'), {
    code: 'input-invalid',
  });
});

test('a reset takes every factor and is on record before it is done', async (context) => {
  const { access, nurse, recorded } = await open(context);
  await access.factors.setTotp(nurse.id, { secret, step: 0 }, 'server');
  await access.factors.newRecoveryCodes(nurse.id, 'server');
  await access.factors.reset(nurse.id, 'server');
  assert.equal(recorded.at(-1)?.operation, 'factors-reset');
  assert.deepEqual(access.factors.of(nurse.id), { totp: false, passkeys: [], recoveryCodes: 0 });
  assert.equal((await access.people.signIn({ username: 'n.abara', password })).kind, 'person');
});
