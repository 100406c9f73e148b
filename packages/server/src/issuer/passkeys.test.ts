import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { test } from 'node:test';
import type { Factors, StoredPasskey } from '../access/access.ts';
import { realClock, realWorld } from '../world/real-world.ts';
import { createPasskeys } from './passkeys.ts';

const origin = 'https://id.example';
const id = 'AAECAwQFBgc';
const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const userPresent = 0x01;
const userVerified = 0x04;

/** An ES256 key in COSE: a map of five (RFC 9053 §7.1.1), small enough to be written by hand. */
function coseKey(): string {
  const { x = '', y = '' } = pair.publicKey.export({ format: 'jwk' });
  const head = Buffer.from('a5010203262001215820', 'hex');
  const point = [Buffer.from(x, 'base64url'), Buffer.from('225820', 'hex'), Buffer.from(y, 'base64url')];
  return Buffer.concat([head, ...point]).toString('base64url');
}

function start() {
  let nowMs = 0;
  let stored: StoredPasskey = {
    id,
    person: 'p-1',
    publicKey: coseKey(),
    counter: 5,
    name: 'key',
    transports: ['usb'],
    synced: false,
    created: '2026-01-01T00:00:00.000Z',
  };
  const factors = {
    of: () => ({ totp: false, passkeys: [stored], recoveryCodes: 0 }),
    passkey: (asked: string) => (asked === id ? stored : undefined),
    countPasskey: (_id: string, counter: number) => {
      if (counter <= stored.counter) return false;
      stored = { ...stored, counter };
      return true;
    },
  } as unknown as Factors;
  const world = { ...realWorld(), clock: { ...realClock, monotonicMs: () => nowMs } };
  return {
    passkeys: createPasskeys({ world, factors, origin }),
    pass: (ms: number) => {
      nowMs += ms;
    },
  };
}

interface Change {
  readonly flags?: number;
  readonly counter?: number;
  readonly origin?: string;
  readonly site?: string;
  readonly type?: string;
  readonly id?: string;
  readonly challenge?: string;
}

/** What an authenticator answers (WebAuthn §7.2). */
function answer(options: string, change: Change = {}): string {
  const { challenge } = JSON.parse(options) as { challenge: string };
  const counter = Buffer.alloc(4);
  counter.writeUInt32BE(change.counter ?? 6);
  const authenticatorData = Buffer.concat([
    createHash('sha256')
      .update(change.site ?? 'id.example')
      .digest(),
    Buffer.of(change.flags ?? userPresent | userVerified),
    counter,
  ]);
  const clientDataJSON = Buffer.from(
    JSON.stringify({
      type: change.type ?? 'webauthn.get',
      challenge: change.challenge ?? challenge,
      origin: change.origin ?? origin,
    }),
  );
  const signed = Buffer.concat([authenticatorData, createHash('sha256').update(clientDataJSON).digest()]);
  const named = change.id ?? id;
  return JSON.stringify({
    id: named,
    rawId: named,
    type: 'public-key',
    clientExtensionResults: {},
    response: {
      authenticatorData: authenticatorData.toString('base64url'),
      clientDataJSON: clientDataJSON.toString('base64url'),
      signature: sign('sha256', signed, pair.privateKey).toString('base64url'),
    },
  });
}

test('an answer holds once', async () => {
  const { passkeys } = start();
  const good = answer(passkeys.ask('visit'));
  assert.equal(await passkeys.check('visit', good), undefined);
  assert.equal(await passkeys.check('visit', good), 'passkey-challenge');
});

test('the person has to be verified, and it is asked for', async () => {
  const { passkeys } = start();
  const options = passkeys.ask('visit');
  assert.equal(JSON.parse(options).userVerification, 'required');
  assert.equal(await passkeys.check('visit', answer(options, { flags: userPresent })), 'passkey-unverified');
});

test('a challenge is of one visit, lives five minutes, and is used up by a bad answer too', async () => {
  const { passkeys, pass } = start();
  const options = passkeys.ask('visit');
  assert.equal(await passkeys.check('another visit', answer(options)), 'passkey-challenge');
  assert.equal(await passkeys.check('visit', answer(options, { flags: 0 })), 'passkey-invalid');
  assert.equal(await passkeys.check('visit', answer(options)), 'passkey-challenge');
  const old = passkeys.ask('visit');
  pass(5 * 60_000);
  assert.equal(await passkeys.check('visit', answer(old)), 'passkey-challenge');
});

for (const [what, change, reason] of [
  ['for another site', { site: 'evil.example' }, 'passkey-site'],
  ['from another origin', { origin: 'https://id.example.evil' }, 'passkey-origin'],
  ['to another challenge', { challenge: 'AAAA' }, 'passkey-challenge'],
  ['of another kind', { type: 'webauthn.create' }, 'passkey-invalid'],
  ['of a passkey nobody has', { id: 'AAAA' }, 'passkey-unknown'],
  ['whose counter stands still', { counter: 5 }, 'passkey-counter'],
  ['whose counter went back', { counter: 4 }, 'passkey-counter'],
] as const) {
  test(`an answer ${what} is refused, and the reason says so`, async () => {
    const { passkeys } = start();
    assert.equal(await passkeys.check('visit', answer(passkeys.ask('visit'), change)), reason);
  });
}

test('what is no answer at all is refused', async () => {
  const { passkeys } = start();
  for (const text of ['', '{}', 'null', '{"id":7}', `{"id":"${id}"}`, `"${'x'.repeat(20_000)}"`]) {
    passkeys.ask('visit');
    assert.notEqual(await passkeys.check('visit', text), undefined);
    passkeys.ask('visit');
    assert.equal(typeof (await passkeys.enrol('visit', text)), 'string');
  }
});
