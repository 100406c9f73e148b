/** Against a real authority: `openssl ts` of the system, which makes the certificates and answers the requests. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { LedgerError } from '../errors.ts';
import { hasOpenssl, makeAuthority, type TestAuthority } from './authority.fixture.ts';
import { openTimestamp, timestampRequest } from './timestamp.ts';

const message = Buffer.from('watchglass.example/clinic\n5\nAAAA\n');
const nonce = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);

describe('timestamps (RFC 3161)', { skip: hasOpenssl() ? false : 'needs openssl' }, () => {
  const kinds = ['rsa', 'ec'] as const;
  const authorities = new Map<string, TestAuthority>();
  before(async () => {
    for (const kind of kinds) authorities.set(kind, await makeAuthority(kind));
  });
  after(async () => {
    for (const authority of authorities.values()) await authority[Symbol.asyncDispose]();
  });
  const authority = (kind: string): TestAuthority => authorities.get(kind) as TestAuthority;
  const rootOf = (kind: string): X509Certificate => new X509Certificate(readFileSync(authority(kind).caFile));

  for (const kind of kinds) {
    test(`of an authority with ${kind} keys are verified, up to its root`, async () => {
      const { reply } = authority(kind);
      const response = await reply(timestampRequest(message, nonce));
      const opened = openTimestamp(response, { message, nonce, roots: [rootOf(kind)] });
      assert.equal(opened.trusted, true);
      assert.match(opened.authority, /CN=Test TSA/);
      assert.ok(Math.abs(opened.timeMs - Date.now()) < 120_000);
      assert.equal(openTimestamp(response, { message }).trusted, false);
    });
  }

  test('over another text, for another request, or of another authority are refused', async () => {
    const response = await authority('ec').reply(timestampRequest(message, nonce));
    const refused = { code: 'timestamp-invalid' };
    assert.throws(() => openTimestamp(response, { message: Buffer.from('other') }), refused);
    assert.throws(() => openTimestamp(response, { message, nonce: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 9) }), refused);
    assert.throws(() => openTimestamp(response, { message, roots: [rootOf('rsa')] }), /trusted root/);
  });

  test('with a certificate that is not for timestamps are refused', async () => {
    const one = authority('ec');
    const response = await one.reply(timestampRequest(message, nonce));
    const roots = [rootOf('ec')];
    const other = await one.signedFor('serverAuth', response);
    assert.throws(() => openTimestamp(other, { message, nonce, roots }), /not for timestamps/);
    // The same way of signing, with the right certificate, is fine.
    assert.equal(openTimestamp(await one.signedFor('timeStamping', response), { message, nonce, roots }).trusted, true);
  });

  test('a refusal is told from a timestamp', async () => {
    const response = await authority('ec')
      .reply(Buffer.from('3003020101', 'hex'))
      .catch(() => undefined);
    const refusal = Buffer.from('30053003020102', 'hex');
    assert.throws(
      () => openTimestamp(response ?? refusal, { message }),
      (error) => error instanceof LedgerError,
    );
    assert.throws(() => openTimestamp(refusal, { message }), { code: 'timestamp-refused' });
  });

  test('no changed byte makes it say another time, and none makes the reader do worse than refuse', async () => {
    const response = await authority('ec').reply(timestampRequest(message, nonce));
    const good = openTimestamp(response, { message, nonce, roots: [rootOf('ec')] });
    let refused = 0;
    for (let at = 0; at < response.length; at++) {
      for (const bit of [0x01, 0x80]) {
        const changed = Uint8Array.from(response);
        changed[at] = (changed[at] as number) ^ bit;
        try {
          const opened = openTimestamp(changed, { message, nonce, roots: [rootOf('ec')] });
          // What no signature covers may say what it likes: the status text, a certificate beside.
          assert.equal(opened.timeMs, good.timeMs);
        } catch (error) {
          assert.ok(error instanceof LedgerError, `byte ${at}: ${String(error)}`);
          refused++;
        }
      }
    }
    assert.ok(refused > response.length, `${refused} of ${2 * response.length} changes were refused`);
    for (let length = 0; length < response.length; length += 7)
      assert.throws(() => openTimestamp(response.subarray(0, length), { message }), { code: 'timestamp-invalid' });
    assert.throws(() => openTimestamp(Buffer.concat([response, Buffer.from([0])]), { message }), {
      code: 'timestamp-invalid',
    });
  });

  test('what is stored is what openssl verifies too', async () => {
    const one = authority('rsa');
    const response = await one.reply(timestampRequest(message, nonce));
    assert.match(await one.opensslVerify(response, message), /Verification: OK/);
  });
});
