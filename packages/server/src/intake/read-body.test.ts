import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { ServerError } from '../errors.ts';
import { BytesInFlight, bodyBytesMax, inFlightBytesMax, readBody } from './read-body.ts';

const code = (expected: string) => (error: unknown) => error instanceof ServerError && error.code === expected;

async function* chunks(...parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* parts;
}

const plain = { contentLength: undefined, contentEncoding: undefined };

test('a body arrives whole, plain or compressed', async () => {
  const bytes = new TextEncoder().encode('{"a":"é"}'.repeat(1_000));
  for (const [contentEncoding, sent] of [
    [undefined, bytes],
    ['gzip', gzipSync(bytes)],
    ['zstd', zstdCompressSync(bytes)],
  ] as const) {
    const inFlight = new BytesInFlight();
    const half = Math.floor(sent.length / 2);
    const body = await readBody(
      { body: chunks(sent.subarray(0, half), sent.subarray(half)), contentLength: sent.length, contentEncoding },
      inFlight,
    );
    assert.deepEqual(Buffer.from(body.bytes), Buffer.from(bytes));
    inFlight.give(body.takenBytes);
    assert.equal(inFlight.bytes, 0);
  }
});

test('a body that unpacks to more than the bound is refused, and so is one that is sent', async () => {
  const inFlight = new BytesInFlight();
  const bomb = gzipSync(new Uint8Array(bodyBytesMax + 1));
  await assert.rejects(
    readBody({ ...plain, body: chunks(bomb), contentEncoding: 'gzip' }, inFlight),
    code('body-too-large'),
  );
  await assert.rejects(
    readBody({ ...plain, body: chunks(new Uint8Array(bodyBytesMax), new Uint8Array(1)) }, inFlight),
    code('body-too-large'),
  );
  await assert.rejects(
    readBody({ ...plain, body: chunks(), contentLength: bodyBytesMax + 1 }, inFlight),
    code('body-too-large'),
  );
  assert.equal(inFlight.bytes, 0);
});

test('a body that is cut off or not what it says is refused', async () => {
  const inFlight = new BytesInFlight();
  const cut = async function* (): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(10);
    throw new Error('aborted');
  };
  await assert.rejects(readBody({ ...plain, body: cut() }, inFlight), code('bad-request'));
  await assert.rejects(
    readBody({ ...plain, body: chunks(new Uint8Array(5)), contentLength: 6 }, inFlight),
    code('bad-request'),
  );
  const gzip = gzipSync('{}');
  await assert.rejects(
    readBody({ ...plain, body: chunks(gzip.subarray(0, gzip.length - 4)), contentEncoding: 'gzip' }, inFlight),
    code('bad-request'),
  );
  await assert.rejects(
    readBody({ ...plain, body: chunks(new Uint8Array(64)), contentEncoding: 'zstd' }, inFlight),
    code('bad-request'),
  );
  await assert.rejects(readBody({ ...plain, body: chunks(), contentEncoding: 'br' }, inFlight), code('media-type'));
  assert.equal(inFlight.bytes, 0);
});

test('more bytes at the same time than can be held are asked to come later', async () => {
  const inFlight = new BytesInFlight();
  inFlight.take(inFlightBytesMax - 10);
  await assert.rejects(
    readBody({ ...plain, body: chunks(new Uint8Array(11)) }, inFlight),
    (error) => code('over-capacity')(error) && (error as ServerError).retryAfterMs !== undefined,
  );
  assert.equal(inFlight.bytes, inFlightBytesMax - 10);
});
