/** What the server decided, by itself: in force, kept, over; and what a server can answer. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { type Listening, serve } from '../gateway.fixture.ts';
import { type FeedProblem, startDecisionFeed } from './decision-feed.ts';
import { type Decision, Decisions, parseSnapshot } from './decisions.ts';

const made = Date.parse('2026-01-01T12:00:00Z');
const decision = (id: string, over: Partial<Decision> = {}): Decision => ({
  id,
  effect: 'block',
  subject: 'actor',
  value: 'dr-x',
  made: new Date(made).toISOString(),
  expires: new Date(made + 1_000).toISOString(),
  by: 'analyst',
  reason: 'probing',
  ...over,
});
const nobody = { actor: 'dr-y', client: undefined, session: undefined, authenticatedAt: undefined };

let folder: string;
let nowMs: number;
let news: string[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'watchglass-decisions-'));
  nowMs = made;
  news = [];
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const openHere = (): Promise<Decisions> =>
  Decisions.open({
    file: join(folder, 'decisions.json'),
    now: () => nowMs,
    onNews: (one) => news.push(`${one.kind} ${one.decision.id}`),
  });

describe('decisions', () => {
  it('block addresses, people, clients and sessions, until their end or until they are lifted', async () => {
    const decisions = await openHere();
    assert.equal(decisions.forAddress(undefined), false);
    await decisions.take({
      version: '1',
      decisions: [
        decision('a', { subject: 'address', value: '2001:db8::/32' }),
        decision('b'),
        decision('c', { subject: 'client', value: 'app' }),
        decision('d', { subject: 'session', value: 's-1' }),
      ],
    });
    assert.equal(decisions.forAddress('2001:db8::1'), true);
    assert.equal(decisions.forAddress('2001:db9::1'), false);
    assert.equal(decisions.forAddress(undefined), true);
    assert.equal(decisions.forKnown(nobody), undefined);
    assert.deepEqual(decisions.forKnown({ ...nobody, actor: 'dr-x' }), { kind: 'blocked', by: 'actor', id: 'b' });
    assert.equal(decisions.forKnown({ ...nobody, client: 'app' })?.id, 'c');
    assert.equal(decisions.forKnown({ ...nobody, session: 's-1' })?.id, 'd');
    await decisions.take({
      version: '2',
      decisions: [decision('a', { subject: 'address', value: '2001:db8::/32' }), decision('b')],
    });
    assert.equal(decisions.forKnown({ ...nobody, client: 'app' }), undefined);
    nowMs += 1_000;
    assert.equal(decisions.forAddress('2001:db8::1'), false);
    assert.equal(decisions.forKnown({ ...nobody, actor: 'dr-x' }), undefined);
    decisions.sweep();
    decisions.sweep();
    assert.deepEqual(news, [
      'applied a',
      'applied b',
      'applied c',
      'applied d',
      'lifted c',
      'lifted d',
      'expired a',
      'expired b',
    ]);
    assert.equal(decisions.size, 0);
  });

  it('ask for a sign-in after they were made, and a block is stronger', async () => {
    const decisions = await openHere();
    const stepUp = decision('s', { effect: 'step-up' });
    await decisions.take({ version: '1', decisions: [stepUp] });
    const at = (offsetMs: number | undefined): unknown =>
      decisions.forKnown({
        ...nobody,
        actor: 'dr-x',
        authenticatedAt: offsetMs === undefined ? undefined : new Date(made + offsetMs).toISOString(),
      });
    for (const offsetMs of [-1_000, 0, undefined])
      assert.deepEqual(at(offsetMs), { kind: 'step-up', sinceMs: made, id: 's' });
    assert.equal(at(1_000), undefined);
    await decisions.take({ version: '2', decisions: [decision('b'), stepUp] });
    assert.deepEqual(at(1_000), { kind: 'blocked', by: 'actor', id: 'b' });
  });

  it('outlive the process without being told again, and a damaged file counts as none', async () => {
    await (await openHere()).take({ version: '7', decisions: [decision('b')] });
    const again = await openHere();
    assert.equal(again.version, '7');
    assert.equal(again.forKnown({ ...nobody, actor: 'dr-x' })?.id, 'b');
    assert.deepEqual(news, ['applied b']);
    await writeFile(join(folder, 'decisions.json'), (await readFile(join(folder, 'decisions.json'))).subarray(0, 40));
    const damaged = await openHere();
    assert.equal(damaged.version, undefined);
    assert.equal(damaged.size, 0);
  });

  it('that this version does not know are left out, and an answer that is none is refused', () => {
    const taken = parseSnapshot({ version: '1', decisions: [decision('a'), { ...decision('b'), effect: 'smile' }] });
    assert.equal(taken?.decisions.length, 1);
    assert.equal(taken?.unknownCount, 1);
    const stepUpOfClient = decision('c', { effect: 'step-up', subject: 'client' });
    assert.equal(parseSnapshot({ version: '1', decisions: [stepUpOfClient] })?.decisions.length, 0);
    for (const wrong of [undefined, [], {}, { version: '', decisions: [] }, { version: '1', decisions: {} }])
      assert.equal(parseSnapshot(wrong), undefined);
  });
});

describe('the question for decisions', () => {
  let server: Listening | undefined;
  afterEach(() => server?.close());

  it('comes back until the server answers well, names what it has, and keeps what it had', async () => {
    const answers: [number, string][] = [
      [500, ''],
      [200, '{"version":1}'],
      [200, JSON.stringify({ version: 'v1', decisions: [decision('b')] })],
      [204, ''],
      [401, ''],
    ];
    const asked: string[] = [];
    const askedAll = Promise.withResolvers<void>();
    server = await serve((request, response) => {
      asked.push(request.url ?? '');
      assert.equal(request.headers.authorization, 'Bearer wgk_test');
      const [status, body] = answers[asked.length - 1] ?? [503, ''];
      response.writeHead(status, { 'content-type': 'application/json' }).end(body);
      if (asked.length === answers.length) askedAll.resolve();
    });
    const problems: (FeedProblem | undefined)[] = [];
    const refused = Promise.withResolvers<void>();
    const decisions = await openHere();
    const feed = startDecisionFeed({
      decisions,
      serverUrl: server.url,
      writeKey: 'wgk_test',
      onProblem: (problem) => {
        problems.push(problem);
        if (problem === 'refused') refused.resolve();
      },
    });
    await askedAll.promise;
    await refused.promise;
    await feed[Symbol.asyncDispose]();
    assert.deepEqual(problems, ['unreachable', 'invalid', undefined, 'refused']);
    const path = '/v1/gateway/decisions';
    assert.deepEqual(asked, [path, path, path, `${path}?after=v1`, `${path}?after=v1`]);
    assert.equal(decisions.forKnown({ ...nobody, actor: 'dr-x' })?.id, 'b');
  });

  it('is seldom put to a server that knows no decisions', async () => {
    const told = Promise.withResolvers<FeedProblem | undefined>();
    server = await serve((_request, response) => response.writeHead(404).end());
    const decisions = await openHere();
    const options = { decisions, serverUrl: server.url, writeKey: 'wgk_test', onProblem: told.resolve };
    await using feed = startDecisionFeed(options);
    assert.equal(await told.promise, 'unsupported');
    assert.equal(feed.problem(), 'unsupported');
  });
});
