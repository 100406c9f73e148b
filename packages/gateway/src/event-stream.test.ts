/** Server-sent events through the gateway: as they come, and only as long as whoever has them may have them. */
import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { describe, it } from 'node:test';
import type { Event } from '@watchglass/record';
import { type Dispatcher, request } from 'undici';

import { smallEventBytesMax } from './capture/recorder.ts';
import {
  answerPatient,
  endedAfterEach,
  eventsUpTo,
  type Road,
  type RoadOptions,
  startRoad,
} from './gateway.fixture.ts';

const startOne = endedAfterEach(startRoad);

/** An API that begins a stream and leaves it to the test what comes. */
async function start(
  options: RoadOptions = {},
): Promise<Road & { readonly streams: ServerResponse[]; stream(token?: string): Promise<Dispatcher.ResponseData> }> {
  const streams: ServerResponse[] = [];
  const made = await startOne({
    upstream(asked, response) {
      if (asked.url?.includes('/Patient/')) return answerPatient(asked, response);
      response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
      response.write('data: first\n\n');
      streams.push(response);
    },
    ...options,
  });
  return {
    ...made,
    streams,
    stream: (token = made.token) =>
      request(`${made.gateway.url}/fhir/Observation`, {
        headers: { authorization: `Bearer ${token}`, accept: 'text/event-stream' },
      }),
  };
}

async function nextText(body: AsyncIterator<Buffer>): Promise<string | undefined> {
  const next = await body.next();
  return next.done === true ? undefined : next.value.toString();
}

const iterate = ({ body }: Dispatcher.ResponseData): AsyncIterator<Buffer> => body[Symbol.asyncIterator]();

const gone = (stream: ServerResponse | undefined): Promise<void> =>
  new Promise((resolve) => (stream?.destroyed === true ? resolve() : stream?.once('close', resolve)));

describe('a stream of events', () => {
  it('is released event by event, its event says that nobody read it, and another how it ended', async () => {
    const of = await start();
    const answer = await of.stream();
    assert.equal(answer.statusCode, 200);
    assert.equal(answer.headers['content-type'], 'text/event-stream; charset=utf-8');
    assert.equal(of.asked[0]?.headers.accept, 'text/event-stream');
    const body = iterate(answer);
    assert.equal(await nextText(body), 'data: first\n\n');
    of.streams[0]?.write('data: second\n\n');
    assert.equal(await nextText(body), 'data: second\n\n');
    const [begin] = (await eventsUpTo(of, 1)) as [Event];
    assert.deepEqual(
      [begin.operation, begin.outcome.status, begin.exposure?.truncated],
      ['search-type', 'success', true],
    );
    of.streams[0]?.end();
    assert.equal(await nextText(body), undefined);
    const [, end] = (await eventsUpTo(of, 2)) as [Event, Event];
    assert.deepEqual([end.outcome.reason, end.completes, end.exposure?.truncated], ['streamed', begin.id, true]);
    assert.equal(end.exposure?.bytes, 'data: first\n\ndata: second\n\n'.length);
  });

  it('may be silent for longer than other answers', async () => {
    const of = await start();
    const body = iterate(await of.stream());
    assert.equal(await nextText(body), 'data: first\n\n');
    // Who did not ask for events gets the same answer whole or not at all. Twice their time, since undici looks at its own once a second only.
    for (const _ of [1, 2]) assert.equal((await of.fetch('/fhir/Observation')).status, 504);
    of.streams[0]?.write('data: late\n\n');
    assert.equal(await nextText(body), 'data: late\n\n');
  });

  it('ends when the person is let in no longer, and the API hears of it', async () => {
    const of = await start();
    const body = iterate(await of.stream());
    await nextText(body);
    await of.gateway.revoke({ sub: 'person-1' });
    await assert.rejects(async () => {
      while ((await nextText(body)) !== undefined);
    });
    await gone(of.streams[0]);
    const end = (await eventsUpTo(of, 3)).find(({ outcome }) => outcome.reason === 'token-revoked');
    assert.equal(end?.outcome.status, 'failed');
  });

  it('ends when the gateway stops, at once', async () => {
    const of = await start({ config: { limits: { drainMs: 60_000 } } });
    const body = iterate(await of.stream());
    await nextText(body);
    const over = assert.rejects(async () => {
      while ((await nextText(body)) !== undefined);
    });
    const startedMs = performance.now();
    await of.gateway[Symbol.asyncDispose]();
    await over;
    assert.ok(performance.now() - startedMs < 30_000);
    assert.ok(of.events.some(({ outcome }) => outcome.reason === 'going-away'));
  });

  it('ends at the API when the client leaves', async () => {
    const of = await start();
    const answer = await of.stream();
    await nextText(iterate(answer));
    answer.body.on('error', () => undefined).destroy();
    await gone(of.streams[0]);
    const [, end] = (await eventsUpTo(of, 2)) as [Event, Event];
    assert.equal(end.outcome.reason, 'stream-cut-off');
  });

  it('is not for who may have only what is about one patient', async () => {
    const of = await start();
    const token = await of.issuer.mint({ scope: 'patient/*.rs', patient: 'p-1' });
    const answer = await request(`${of.gateway.url}/fhir/Observation?patient=p-1`, {
      headers: { authorization: `Bearer ${token}`, accept: 'text/event-stream' },
    });
    assert.equal(answer.statusCode, 403);
    await answer.body.dump();
    await gone(of.streams[0]);
  });

  it('has as many of one person as is said, and takes no place of other requests', async () => {
    const of = await start({ config: { websockets: { perPersonMax: 2 }, limits: { inFlightMax: 1 } } });
    const [first, second] = [await of.stream(), await of.stream()];
    assert.deepEqual([first.statusCode, second.statusCode], [200, 200]);
    const third = await of.stream();
    assert.equal(third.statusCode, 429);
    await third.body.dump();
    for (const { body } of [first, second]) body.on('error', () => undefined).destroy();
  });

  it('has its place from its first byte on: of many that are asked for at once no more are let in', async () => {
    const of = await start({ config: { websockets: { perPersonMax: 2 } } });
    const answers = await Promise.all(Array.from({ length: 12 }, () => of.stream()));
    assert.equal(answers.filter(({ statusCode }) => statusCode === 200).length, 2);
    for (const { body } of answers) body.on('error', () => undefined).destroy();
  });

  it('takes no connection of other requests, and room in the spool only for its end', async () => {
    const of = await start({
      adjust: (config) => ({ ...config, upstream: { ...config.upstream, connectionsMax: 1 } }),
    });
    const streams = await Promise.all(Array.from({ length: 4 }, () => of.stream()));
    assert.deepEqual(
      streams.map(({ statusCode }) => statusCode),
      [200, 200, 200, 200],
    );
    assert.equal((await of.fetch('/fhir/Patient/p-1')).status, 200);
    assert.equal(of.gateway.spool.status.reservedBytes, 4 * smallEventBytesMax);
    for (const { body } of streams) body.on('error', () => undefined).destroy();
  });

  it('that nobody asked for is held like any other answer, and lasts no longer', async () => {
    const of = await start({ adjust: (config) => ({ ...config, upstream: { ...config.upstream, timeoutMs: 1_000 } }) });
    const endless = await of.fetch('/fhir/Observation');
    assert.deepEqual([endless.status, endless.text.includes('first')], [504, false]);
    await gone(of.streams[0]);
    assert.equal(of.gateway.spool.status.reservedBytes, 0);
  });
});
