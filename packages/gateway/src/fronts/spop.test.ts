/** SPOP 2.0 as HAProxy speaks it, and as nobody should: greetings, questions in a row, fragments, noise. fast-check prints the seed of a failure. */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import type { Asked } from './asked.ts';
import type { Verdict } from './decision.ts';
import { type SpopAgent, serveSpop } from './spop-agent.ts';
import {
  FrameReader,
  FrameWriter,
  frameTypes,
  parseFrame,
  parseMessages,
  parsePairs,
  SpopError,
} from './spop-frames.ts';

/** A connection whose other end is the test. */
class Line extends Duplex {
  readonly said: Buffer[] = [];
  /** Nobody reads what is said. */
  stuck = false;
  onSaid: () => void = () => undefined;
  override _read(): void {}
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.said.push(Buffer.from(chunk));
    if (!this.stuck) done();
    this.onSaid();
  }
  setNoDelay(): this {
    return this;
  }
  destroySoon(): void {
    this.destroy();
  }
}

const yes = (requestId: string): Verdict => ({
  kind: 'yes',
  auditId: '01890000-0000-7000-8000-000000000000',
  requestId,
  subject: 'person-1',
  tenant: 'clinic',
  accept: 'application/fhir+json',
});

interface Talk {
  readonly line: Line;
  readonly asked: Asked[];
  readonly faults: unknown[];
  readonly agent: SpopAgent;
  say(bytes: Buffer): void;
  /** Frames said so far, once there are that many or the line has ended. */
  heard(count: number): Promise<readonly ReturnType<typeof parseFrame>[]>;
}

function talk(decide: (asked: Asked) => Promise<Verdict> = async (asked) => yes(asked.requestId ?? '')): Talk {
  const line = new Line();
  const asked: Asked[] = [];
  const faults: unknown[] = [];
  const agent = serveSpop(line as unknown as Socket, {
    judge: {
      decide(what) {
        asked.push(what);
        return decide(what);
      },
      refuseInput: async () => ({
        ...yes('refused'),
        kind: 'no',
        code: 'protocol-violation',
        status: 400,
        headers: {},
        body: Buffer.from('{}'),
      }),
      fields: () => ['accept'],
    },
    onFault: (error) => faults.push(error),
  });
  return {
    line,
    asked,
    faults,
    agent,
    say: (bytes) => void line.push(bytes),
    async heard(count) {
      for (;;) {
        const frames = [...new FrameReader().take(Buffer.concat(line.said))].map(parseFrame);
        if (frames.length >= count || line.destroyed) return frames;
        await new Promise<void>((resolve) => {
          line.onSaid = resolve;
          line.once('close', resolve);
        });
      }
    },
  };
}

function hello(more: Record<string, string | number | boolean> = {}): Buffer {
  const frame = new FrameWriter().begin(frameTypes.haproxyHello, 0, 0);
  const said = { 'supported-versions': '2.0', 'max-frame-size': 16_380, capabilities: 'pipelining,async', ...more };
  for (const [name, value] of Object.entries(said)) frame.pair(name, value);
  return frame.end().take();
}

function notify(
  streamId: number,
  frameId: number,
  values: Record<string, string | boolean>,
  name = 'watchglass',
): Buffer {
  const frame = new FrameWriter()
    .begin(frameTypes.notify, streamId, frameId)
    .text(name)
    .byte(Object.keys(values).length);
  for (const [key, value] of Object.entries(values)) frame.pair(key, value);
  return frame.end().take();
}

const question = { method: 'GET', target: '/fhir/Patient/p-1', host: 'api', 'request-id': 'request-1' };

describe('the agent for HAProxy', () => {
  it('says hello in what both speak, and takes no more than it said', async () => {
    const one = talk();
    one.say(hello({ 'max-frame-size': 1_024 }));
    const [frame] = await one.heard(1);
    assert.equal(frame?.type, frameTypes.agentHello);
    assert.deepEqual(Object.fromEntries(parsePairs(frame?.payload ?? Buffer.alloc(0))), {
      version: '2.0',
      'max-frame-size': 1_024,
      capabilities: 'pipelining',
    });
    one.say(notify(1, 1, { ...question, accept: 'x'.repeat(1_100) }));
    const [, bye] = await one.heard(2);
    assert.equal(bye?.type, frameTypes.agentDisconnect);
    assert.equal(parsePairs(bye?.payload ?? Buffer.alloc(0)).get('status-code'), 3);
    assert.equal(one.asked.length, 0);
  });

  it('ends after the hello of a health check', async () => {
    const one = talk();
    const ended = new Promise((resolve) => one.line.once('finish', resolve));
    one.say(hello({ healthcheck: true }));
    await ended;
    assert.equal((await one.heard(1))[0]?.type, frameTypes.agentHello);
  });

  it('answers each question of a row under its own number, in the order of the decisions', async () => {
    const waiting = new Map<string, (verdict: Verdict) => void>();
    const one = talk(({ requestId = '' }) => new Promise((resolve) => waiting.set(requestId, resolve)));
    one.say(
      Buffer.concat([
        hello(),
        notify(7, 1, { ...question, 'request-id': 'first' }),
        notify(300, 2, { ...question, 'request-id': 'second' }),
      ]),
    );
    await one.heard(1);
    waiting.get('second')?.(yes('second'));
    const [, second] = await one.heard(2);
    assert.deepEqual([second?.type, second?.streamId, second?.frameId], [frameTypes.ack, 300, 2]);
    waiting.get('first')?.(yes('first'));
    const [, , first] = await one.heard(3);
    assert.deepEqual([first?.streamId, first?.frameId], [7, 1]);
    assert.equal(one.asked[0]?.rawTarget, '/fhir/Patient/p-1');
  });

  it('sets allow for a yes only, and a question without its parts is a no', async () => {
    const one = talk();
    one.say(
      Buffer.concat([
        hello(),
        notify(1, 1, question),
        notify(2, 1, { method: 'GET' }),
        notify(3, 1, question, 'other'),
      ]),
    );
    const frames = await one.heard(4);
    const allow = (payload: Buffer): number | undefined => {
      const at = payload.indexOf('allow');
      return at === -1 ? undefined : payload[at + 5];
    };
    const byStream = new Map(frames.slice(1).map((frame) => [frame.streamId, allow(frame.payload)]));
    assert.deepEqual([byStream.get(1), byStream.get(2), byStream.get(3)], [0x11, 0x01, 0x01]);
  });

  it('answers without allow when the decision itself breaks', async () => {
    const one = talk(() => Promise.reject(new Error('broken')));
    one.say(Buffer.concat([hello(), notify(1, 1, question)]));
    const [, ack] = await one.heard(2);
    assert.equal(ack?.type, frameTypes.ack);
    assert.equal(ack?.payload.length, 0);
    assert.equal(one.faults.length, 1);
  });

  it('refuses fragments, another version, what it lacks, and questions before a greeting', async () => {
    const fragment = notify(1, 1, question);
    fragment[8] = 0;
    const rest = new FrameWriter().begin(frameTypes.unset, 1, 1).end().take();
    const cases: readonly (readonly [Buffer, number])[] = [
      [Buffer.concat([hello(), fragment]), 10],
      [Buffer.concat([hello(), rest]), 10],
      [hello({ 'supported-versions': '1.0' }), 8],
      [hello({ 'supported-versions': 2 }), 5],
      [hello({ 'max-frame-size': 'x' }), 6],
      [hello({ 'max-frame-size': 100 }), 9],
      [hello({ capabilities: 1 }), 7],
      [notify(1, 1, question), 4],
      [Buffer.concat([hello(), hello()]), 4],
      [Buffer.from([0xff, 0, 0, 0]), 3],
      [Buffer.from([0, 0, 0, 1, 1]), 4],
    ];
    for (const [bytes, status] of cases) {
      const one = talk();
      one.say(bytes);
      const ended = new Promise((resolve) => one.line.once('close', resolve));
      await ended;
      const frames = await one.heard(1);
      const bye = frames.at(-1);
      assert.equal(bye?.type, frameTypes.agentDisconnect);
      assert.equal(parsePairs(bye?.payload ?? Buffer.alloc(0)).get('status-code'), status);
      assert.equal(one.asked.length, 0);
    }
  });

  it('answers what is under way when it is drained, hears nothing more, and says goodbye', async () => {
    const verdict = Promise.withResolvers<Verdict>();
    const one = talk(() => verdict.promise);
    one.say(Buffer.concat([hello(), notify(1, 1, question)]));
    await one.heard(1);
    one.agent.drain();
    one.say(notify(2, 1, question));
    verdict.resolve(yes('request-1'));
    const [, ack, bye] = await one.heard(3);
    assert.deepEqual([ack?.type, ack?.streamId], [frameTypes.ack, 1]);
    assert.equal(bye?.type, frameTypes.agentDisconnect);
    assert.equal(one.asked.length, 1);
  });

  it('asks for no more questions of who does not read the answers', async () => {
    const one = talk();
    one.say(hello());
    await one.heard(1);
    one.line.stuck = true;
    const long = Array.from({ length: 100 }, (_, at) =>
      notify(at + 1, 1, { ...question, 'request-id': 'x'.repeat(1_000) }),
    );
    const paused = new Promise((resolve) => one.line.once('pause', resolve));
    one.say(Buffer.concat(long));
    await paused;
    assert.equal(one.line.isPaused(), true);
  });

  it('knows an argument by its own name, whatever stood in its place before', async () => {
    const one = talk();
    one.say(
      Buffer.concat([
        hello(),
        notify(1, 1, question),
        notify(2, 1, { target: '/fhir/Patient/p-2', method: 'PUT', accept: 'a', tls: true }),
        notify(3, 1, { methox: 'DELETE', method: 'GET', target: '/fhir/Patient/p-3' }),
        notify(4, 1, { method: 'GET', target: '/fhir/Patient/p-4', 'target\0': '/fhir/metadata' }),
      ]),
    );
    await one.heard(5);
    assert.deepEqual(
      one.asked.map(({ method, rawTarget, scheme }) => [method, rawTarget, scheme]),
      [
        ['GET', '/fhir/Patient/p-1', 'http'],
        ['PUT', '/fhir/Patient/p-2', 'https'],
        ['GET', '/fhir/Patient/p-3', 'http'],
        ['GET', '/fhir/Patient/p-4', 'http'],
      ],
    );
  });

  it('says goodbye when HAProxy does', async () => {
    const one = talk();
    const bye = new FrameWriter()
      .begin(frameTypes.haproxyDisconnect, 0, 0)
      .pair('status-code', 0)
      .pair('message', 'normal')
      .end()
      .take();
    one.say(Buffer.concat([hello(), bye]));
    const [, answer] = await one.heard(2);
    assert.equal(answer?.type, frameTypes.agentDisconnect);
    assert.equal(parsePairs(answer?.payload ?? Buffer.alloc(0)).get('status-code'), 0);
  });
});

describe('SPOP frames', () => {
  it('read numbers as the protocol writes them', () => {
    for (const [value, bytes] of [
      [0, '00'],
      [239, 'ef'],
      [240, 'f000'],
      [2_287, 'ff7f'],
      [2_288, 'f08000'],
      [264_431, 'ffff7f'],
      [264_432, 'f0808000'],
    ] as const) {
      const frame = new FrameWriter().begin(frameTypes.ack, value, 1).end().take();
      assert.equal(frame.subarray(9, -1).toString('hex'), bytes);
      assert.equal(parseFrame(frame.subarray(4)).streamId, value);
    }
  });

  it('read what was written, whatever it is', () => {
    const text = fc.string({ unit: 'binary-ascii', maxLength: 300 });
    const value = fc.oneof(text, fc.boolean(), fc.nat(2 ** 31));
    fc.assert(
      fc.property(fc.dictionary(text, value, { maxKeys: 20 }), fc.maxSafeNat(), (pairs, streamId) => {
        const frame = new FrameWriter().begin(frameTypes.haproxyHello, streamId, 3);
        for (const [name, what] of Object.entries(pairs)) frame.pair(name, what);
        const parsed = parseFrame(frame.end().take().subarray(4));
        assert.equal(parsed.streamId, streamId);
        assert.deepEqual([...parsePairs(parsed.payload)], Object.entries(pairs));
      }),
      { numRuns: 500 },
    );
  });

  it('know addresses, and IPv4 inside IPv6', () => {
    const pair = (type: number, bytes: string): Buffer =>
      Buffer.concat([Buffer.from([1, 0x61, type]), Buffer.from(bytes, 'hex')]);
    assert.equal(parsePairs(pair(6, 'cb007107')).get('a'), '203.0.113.7');
    assert.equal(parsePairs(pair(7, '20010db8000000000000000000000001')).get('a'), '2001:db8::1');
    assert.equal(parsePairs(pair(7, '00000000000000000000ffffcb007107')).get('a'), '203.0.113.7');
  });

  it('that are noise are refused, and nothing else happens', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (noise) => {
        const bytes = Buffer.from(noise);
        for (const read of [() => parseFrame(bytes), () => parsePairs(bytes), () => parseMessages(bytes)]) {
          try {
            read();
          } catch (error) {
            assert.ok(error instanceof SpopError);
          }
        }
      }),
      { numRuns: 5_000 },
    );
  });

  it('come out the same however they were cut, and no more is held than one', () => {
    const frames = Buffer.concat([hello(), notify(1, 1, question), notify(2, 1, question)]);
    fc.assert(
      fc.property(fc.array(fc.nat(frames.length), { maxLength: 12 }), (cuts) => {
        const reader = new FrameReader();
        const places = [0, ...cuts.toSorted((a, b) => a - b), frames.length];
        const out = places.slice(1).flatMap((to, i) => [...reader.take(frames.subarray(places[i], to))]);
        assert.equal(out.length, 3);
        assert.equal(reader.heldBytes, 0);
        assert.equal(
          out.reduce((sum, { length }) => sum + length + 4, 0),
          frames.length,
        );
      }),
      { numRuns: 500 },
    );
  });

  it('with a flipped byte never make the agent throw, and never make it say yes unasked', async () => {
    const sound = Buffer.concat([hello(), notify(1, 1, question)]);
    await fc.assert(
      fc.asyncProperty(fc.nat(sound.length - 1), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
        const one = talk();
        const bytes = Buffer.from(sound);
        bytes[at] = (bytes[at] ?? 0) ^ flip;
        one.say(bytes);
        await new Promise((resolve) => setImmediate(resolve));
        await new Promise((resolve) => setImmediate(resolve));
        const acks = [...new FrameReader().take(Buffer.concat(one.line.said))].filter(
          (frame) => frame[0] === frameTypes.ack,
        );
        assert.ok(acks.length <= 1);
        assert.deepEqual(one.faults, []);
        one.line.destroy();
      }),
      { numRuns: 400 },
    );
  });
});
