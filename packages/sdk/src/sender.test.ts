import assert from 'node:assert/strict';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { createClient } from './client.ts';
import type { DeadLetter } from './dead-letters.ts';
import { SdkError } from './errors.ts';
import { type Sender, startSender } from './sender.ts';
import {
  accepted,
  event,
  eventServer,
  openTestSpool,
  type Posted,
  type Reply,
  temporaryFolder,
} from './spool.fixture.ts';
import type { Spool } from './spool.ts';

let folder: { readonly path: string; remove(): Promise<void> };
const closing: (() => PromiseLike<void>)[] = [];

beforeEach(async () => {
  folder = await temporaryFolder();
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  await folder.remove();
});

async function start(
  reply: (posted: Posted, count: number) => Reply,
  options: { readonly deadLettersMax?: number } = {},
): Promise<{ spool: Spool; sender: Sender; posts: Posted[] }> {
  let count = 0;
  const server = await eventServer((posted) => {
    count += 1;
    return reply(posted, count);
  });
  const spool = await openTestSpool(folder.path, options);
  const sender = startSender({ spool, serverUrl: server.url, writeKey: 'wgk_test', backoffMinMs: 5 });
  closing.push(
    () => server.close(),
    () => spool[Symbol.asyncDispose](),
    () => sender[Symbol.asyncDispose](),
  );
  return { spool, sender, posts: server.posts };
}

const patience = (): AbortSignal => AbortSignal.timeout(60_000);

async function lettersOf(spool: Spool): Promise<DeadLetter[]> {
  const letters: DeadLetter[] = [];
  for await (const letter of spool.deadLetters.read()) letters.push(letter);
  return letters;
}

function seqsOf(posted: Posted): number[] {
  return posted.lines.map((line) => (JSON.parse(line) as { emitter: { seq: number } }).emitter.seq);
}

describe('the sender', () => {
  it('sends in order and acknowledges what the server took', async () => {
    const { spool, sender, posts } = await start(accepted);
    for (let i = 0; i < 20; i++) await spool.append([event(), event()]);
    await sender.drain(patience());
    assert.deepEqual(
      posts.flatMap(seqsOf),
      Array.from({ length: 40 }, (_, n) => n + 1),
    );
    assert.equal(spool.status.waitingCount, 0);
    assert.equal(sender.status.sentCount, 40);
    assert.equal(posts[0]?.authorization, 'Bearer wgk_test');
    assert.equal(posts[0]?.contentType, 'application/x-ndjson');
  });

  it('waits out 503 and 429, and sends the same again', async () => {
    const replies: Reply[] = [{ status: 503 }, { status: 429, headers: { 'retry-after': '0' } }, { status: 500 }];
    const { spool, sender, posts } = await start((posted) => replies.shift() ?? accepted(posted));
    await spool.append([event(), event()]);
    await sender.drain(patience());
    assert.deepEqual(posts.map(seqsOf), [
      [1, 2],
      [1, 2],
      [1, 2],
      [1, 2],
    ]);
    assert.equal(sender.status.retryCount, 3);
    assert.equal(sender.status.problem, undefined);
  });

  it('says once that sending fails, and once that it works again', async () => {
    let count = 0;
    const server = await eventServer((posted) => {
      count += 1;
      return count <= 3 ? { status: 503 } : count === 4 ? { status: 429 } : accepted(posted);
    });
    const spool = await openTestSpool(folder.path);
    const problems: (string | undefined)[] = [];
    const onProblem = (problem: string | undefined): void => void problems.push(problem);
    const sender = startSender({ spool, serverUrl: server.url, writeKey: 'wgk_test', backoffMinMs: 5, onProblem });
    closing.push(
      () => server.close(),
      () => spool[Symbol.asyncDispose](),
      () => sender[Symbol.asyncDispose](),
    );
    await spool.append([event()]);
    await sender.drain(patience());
    assert.deepEqual(problems, ['status-503', 'status-429', undefined]);
  });

  it('honours Retry-After', async () => {
    const at: number[] = [];
    const { spool, sender } = await start((posted, count) => {
      at.push(performance.now());
      return count === 1 ? { status: 503, headers: { 'retry-after': '1' } } : accepted(posted);
    });
    await spool.append([event()]);
    await sender.drain(patience());
    assert.ok(at[1]! - at[0]! > 950, `waited ${at[1]! - at[0]!} ms`);
  });

  it('sets aside exactly the events the server calls invalid, and goes on', async () => {
    const refused = new Set([3, 7]);
    const { spool, sender, posts } = await start((posted) => {
      const seqs = seqsOf(posted);
      const errors = seqs.flatMap((seq, position) =>
        refused.has(seq) ? [{ at: position, path: '/actor/id', expected: 'text', got: 'nothing' }] : [],
      );
      return errors.length === 0 ? accepted(posted) : { status: 422, body: { code: 'event-invalid', errors } };
    });
    await spool.append(Array.from({ length: 10 }, () => event()));
    await sender.drain(patience());
    assert.equal(spool.status.deadLetterCount, 2);
    assert.equal(sender.status.deadLetteredCount, 2);
    const letters = await lettersOf(spool);
    assert.deepEqual(
      letters.map(({ seq, status }) => ({ seq, status })),
      [
        { seq: 3, status: 422 },
        { seq: 7, status: 422 },
      ],
    );
    assert.equal(letters[0]?.reason, 'event-invalid /0/actor/id');
    const taken = posts.filter((posted) => !seqsOf(posted).some((seq) => refused.has(seq))).flatMap(seqsOf);
    assert.deepEqual(taken, [1, 2, 4, 5, 6, 8, 9, 10]);
  });

  it('finds the culprit by halving where the server names no place', async () => {
    const { spool, sender } = await start((posted) =>
      seqsOf(posted).includes(6) ? { status: 409 } : accepted(posted),
    );
    await spool.append(Array.from({ length: 9 }, () => event()));
    await sender.drain(patience());
    const letters = await lettersOf(spool);
    assert.deepEqual(
      letters.map(({ seq }) => seq),
      [6],
    );
  });

  it('makes batches smaller when they are too large', async () => {
    const { spool, sender, posts } = await start((posted) =>
      posted.lines.length > 3 ? { status: 413 } : accepted(posted),
    );
    await spool.append(Array.from({ length: 10 }, () => event()));
    await sender.drain(patience());
    assert.equal(spool.status.deadLetterCount, 0);
    assert.deepEqual(
      posts.filter(({ lines }) => lines.length <= 3).flatMap(seqsOf),
      Array.from({ length: 10 }, (_, n) => n + 1),
    );
  });

  it('keeps events when too many were set aside already', async () => {
    const { spool, sender, posts } = await start(() => ({ status: 422 }), { deadLettersMax: 2 });
    await spool.append(Array.from({ length: 4 }, () => event()));
    while (sender.status.problem !== 'dead-letters-full') await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal(spool.status.deadLetterCount, 2);
    assert.equal(spool.status.waitingCount, 4);
    assert.ok(posts.length >= 2);
  });

  it('does not take an answer without receipts for an acknowledgement', async () => {
    const { spool, sender } = await start((posted, count) =>
      count === 1 ? { status: 201, body: { receipts: [] } } : accepted(posted),
    );
    await spool.append([event()]);
    await sender.drain(patience());
    assert.equal(sender.status.retryCount, 1);
  });

  it('sends what an earlier process left', async () => {
    const first = await openTestSpool(folder.path);
    await first.append([event(), event()]);
    await first[Symbol.asyncDispose]();
    const { sender, posts } = await start(accepted);
    await sender.drain(patience());
    assert.deepEqual(posts.flatMap(seqsOf), [1, 2]);
  });

  it('sends again what the server took before it could be noted: the same events under the same ids and numbers', async () => {
    const { promise: taken, resolve } = Promise.withResolvers<void>();
    const first = await start((posted) => {
      resolve();
      return accepted(posted);
    });
    const done = join(folder.path, 'spool');
    await first.spool.append([event(), event(), event()]);
    // As a process that dies right after the server's answer leaves it.
    await taken;
    const left = join(folder.path, 'left');
    await cp(join(done, 'segments'), join(left, 'spool', 'segments'), { recursive: true });
    await cp(join(folder.path, 'spool.key'), join(left, 'spool.key'));
    const again = await openTestSpool(left);
    const server = await eventServer(accepted);
    const sender = startSender({ spool: again, serverUrl: server.url, writeKey: 'wgk_test', backoffMinMs: 5 });
    closing.push(
      () => server.close(),
      () => again[Symbol.asyncDispose](),
      () => sender[Symbol.asyncDispose](),
    );
    await sender.drain(patience());
    assert.deepEqual(
      server.posts.flatMap(({ lines }) => lines),
      first.posts.flatMap(({ lines }) => lines),
    );
    assert.deepEqual(await again.append([event()]), { firstSeq: 4, lastSeq: 4 });
  });

  it('refuses to send events in the clear to another machine', async () => {
    const spool = await openTestSpool(folder.path);
    closing.push(() => spool[Symbol.asyncDispose]());
    assert.throws(
      () => startSender({ spool, serverUrl: 'http://audit.example', writeKey: 'wgk_test' }),
      (error) => error instanceof SdkError && error.code === 'insecure-url',
    );
  });
});

describe('a client', () => {
  it('captures an event in one call, durable at once and at the server soon', async () => {
    const server = await eventServer(accepted);
    const client = await createClient({ url: server.url, writeKey: 'wgk_test', dir: folder.path, emitterId: 'app' });
    closing.push(
      () => server.close(),
      () => client[Symbol.asyncDispose](),
    );
    const id = await client.capture({
      kind: 'api',
      action: 'read',
      outcome: { status: 'success' },
      actor: { id: 'dr-ada' },
    });
    assert.equal(client.spool.status.lastSeq, 1);
    await client.sender.drain(patience());
    const sent = JSON.parse(server.posts[0]!.lines[0]!) as Record<string, unknown>;
    assert.equal(sent.id, id);
    assert.deepEqual(sent.emitter, { id: 'app', seq: 1 });
    assert.equal('tenant' in sent, false);
  });
});
