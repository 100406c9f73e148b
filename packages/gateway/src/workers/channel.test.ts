/** Two ends of a channel: what is asked together goes together, and every way of getting no answer is an error in time. */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { describe, it } from 'node:test';

import { Channel, ChannelError, type ChannelFault, type ChannelOptions } from './channel.ts';

interface Ends {
  readonly near: Channel;
  readonly far: Channel;
  readonly frames: { watchglass: unknown[] }[];
}

/** Joined as by a pipe: each frame is JSON, and is written a turn later. */
function join(options: Partial<ChannelOptions> & { readonly stuck?: boolean } = {}): Ends {
  const frames: Ends['frames'] = [];
  const near: Channel = new Channel({
    answer: (name) => `near ${name}`,
    hear: () => undefined,
    ...(options.openMax === undefined ? {} : { openMax: options.openMax }),
    ...(options.waitingMax === undefined ? {} : { waitingMax: options.waitingMax }),
    wire: {
      send(frame, written) {
        frames.push(frame as { watchglass: unknown[] });
        if (options.stuck === true) return;
        setImmediate(() => {
          far.receive(JSON.parse(JSON.stringify(frame)));
          written(null);
        });
      },
    },
  });
  const far: Channel = new Channel({
    answer: options.answer ?? ((name, body) => `${name} ${String(body)}`),
    hear: options.hear ?? (() => undefined),
    wire: {
      send(frame, written) {
        near.receive(JSON.parse(JSON.stringify(frame)));
        written(null);
      },
    },
  });
  return { near, far, frames };
}

async function faultOf(asked: Promise<unknown>): Promise<ChannelFault> {
  const error = await asked.then(
    () => assert.fail('expected no answer'),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof ChannelError);
  return error.fault;
}

describe('a channel', () => {
  it('carries what is asked in one turn as one frame, and gives each its own answer', async () => {
    const { near, frames } = join();
    const answers = await Promise.all([1, 2, 3].map((n) => near.ask('double', n, 1_000)));
    assert.deepEqual(answers, ['double 1', 'double 2', 'double 3']);
    assert.equal(frames.length, 1);
    assert.equal(frames[0]?.watchglass.length, 3);
    assert.equal(near.openCount, 0);
  });

  it('asks both ways, and keeps the order of what is told', async () => {
    const heard: unknown[] = [];
    const { near, far } = join({ hear: (name, body) => heard.push([name, body]) });
    for (let n = 0; n < 1_200; n++) assert.equal(near.tell('n', n), true);
    assert.equal(await far.ask('back', null, 1_000), 'near back');
    assert.equal(await near.ask('after', 'all', 1_000), 'after all');
    assert.deepEqual(
      heard,
      Array.from({ length: 1_200 }, (_, n) => ['n', n]),
    );
  });

  it('answers when a promise does, and refuses with the code of an error of ours only', async () => {
    const { near } = join({
      answer: async (name) => {
        await Promise.resolve();
        if (name === 'coded') throw Object.assign(new Error('says so'), { code: 'listen-failed' });
        if (name === 'other') throw new Error('of somebody: wg-pt-000417');
        return 'well';
      },
    });
    assert.equal(await near.ask('good', 0, 1_000), 'well');
    const said = async (name: string): Promise<unknown> =>
      near.ask(name, 0, 1_000).catch((error: ChannelError) => [error.fault, error.said]);
    assert.deepEqual(await said('coded'), ['refused', { code: 'listen-failed', message: 'says so' }]);
    assert.deepEqual(await said('other'), ['refused', null]);
  });

  it('is late for who waits no longer, and an answer that comes then is told once to who would give back what it brings', async () => {
    const { promise, resolve } = Promise.withResolvers<string>();
    const { near } = join({ answer: () => promise });
    const late: unknown[] = [];
    assert.equal(await faultOf(near.ask('slow', 0, 5)), 'late');
    assert.equal(await faultOf(near.ask('slow', 0, 5, (answer) => late.push(answer))), 'late');
    resolve('too late');
    assert.equal(await near.ask('quick', 0, 60_000), 'too late');
    assert.equal(near.openCount, 0);
    assert.deepEqual(late, ['too late']);
  });

  it('takes so many questions and no more, and waits for a frame to be written before the next', async () => {
    const { near, frames } = join({ stuck: true, openMax: 2, waitingMax: 4 });
    const asked = [near.ask('a', 0, 60_000), near.ask('b', 0, 60_000)];
    for (const one of asked) one.catch(() => undefined);
    assert.equal(await faultOf(near.ask('c', 0, 60_000)), 'full');
    await new Promise((tick) => setImmediate(tick));
    assert.deepEqual([near.tell('1', 0), near.tell('2', 0), near.tell('3', 0), near.tell('4', 0)], Array(4).fill(true));
    assert.equal(near.tell('5', 0), false);
    await new Promise((tick) => setImmediate(tick));
    assert.equal(frames.length, 1);
    near.close();
    for (const one of asked) assert.equal(await faultOf(one), 'closed');
    assert.equal(await faultOf(near.ask('d', 0, 60_000)), 'closed');
    assert.equal(near.tell('e', 0), false);
  });

  it('leaves alone what is no frame of its own', () => {
    const heard: unknown[] = [];
    const { far } = join({ hear: (name) => heard.push(name) });
    for (const frame of [
      null,
      { stop: true },
      { watchglass: 'x' },
      { watchglass: [['tell', 'only a name']] },
      { watchglass: [['tell', 1, 2]] },
      { watchglass: [['constructor', 1, 2]] },
      { watchglass: [['ask', '1', 'name', 0]] },
      { watchglass: Array(513).fill(['tell', 'x', 0]) },
    ])
      far.receive(frame);
    assert.deepEqual(heard, []);
    far.receive({ watchglass: [['tell', 'sound', 0]] });
    assert.deepEqual(heard, ['sound']);
  });

  it('works over the pipe between two processes, and is closed by the death of one', async () => {
    const child = fork(new URL('./channel.fixture.ts', import.meta.url));
    const channel = new Channel({
      answer: () => null,
      hear: () => undefined,
      wire: { send: (frame, written) => void child.send(frame as object, written) },
    });
    child.on('message', (frame) => channel.receive(frame));
    child.on('disconnect', () => channel.close());
    const answers = await Promise.all(Array.from({ length: 2_000 }, (_, n) => channel.ask('echo', n, 20_000)));
    assert.deepEqual(
      answers,
      Array.from({ length: 2_000 }, (_, n) => n),
    );
    const never = faultOf(channel.ask('never', 0, 60_000));
    child.kill('SIGKILL');
    assert.equal(await never, 'closed');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  });
});
