/** A crew of real processes: who dies, hangs or does not hear is replaced, and who can't be is said to be lost. */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

import { ChannelError } from './channel.ts';
import { Crew, type CrewNews, type CrewOptions, crewTimes } from './crew.ts';

const exec = fileURLToPath(new URL('./crew.fixture.ts', import.meta.url));
/** Who hangs or is deaf is found as late as in earnest: a busy machine holds up the sound ones, too. */
const times = { ...crewTimes, restartFirstMs: 1, restartMaxMs: 8 };

let crew: Crew | undefined;
afterEach(async () => {
  await crew?.stop();
  crew = undefined;
});

function make(options: Partial<CrewOptions> = {}): {
  readonly made: Crew;
  readonly news: CrewNews[];
  readonly ended: number[];
} {
  const news: CrewNews[] = [];
  const ended: number[] = [];
  const made = new Crew({
    count: 2,
    exec,
    begin: (slot) => slot,
    desk: (slot) => ({
      answer: () => null,
      hear: () => undefined,
      [Symbol.dispose]: () => void ended.push(slot),
    }),
    onNews: (one) => news.push(one),
    times,
    ...options,
  });
  crew = made;
  return { made, news, ended };
}

async function until(is: () => boolean): Promise<void> {
  while (!is()) await new Promise((tick) => setImmediate(tick));
}

describe('a crew', () => {
  it('begins with what each was told, and is told and asked as one', async () => {
    const { made, ended } = make();
    assert.deepEqual(await made.start(), ['begun 1', 'begun 2']);
    assert.deepEqual(
      made.status.map(({ slot, state, restarts }) => [slot, state, restarts]),
      [
        [1, 'ready', 0],
        [2, 'ready', 0],
      ],
    );
    await made.broadcast('anything', 'x');
    assert.deepEqual(await made.askReady('what', 5_000), [
      { slot: 1, answer: 'heard null' },
      { slot: 2, answer: 'heard null' },
    ]);
    assert.equal(made.tell(2, 'x', 0), true);
    assert.equal(made.tell(3, 'x', 0), false);
    const pids = made.status.map(({ pid }) => pid ?? 0);
    await made.stop();
    assert.deepEqual(ended.sort(), [1, 2]);
    for (const pid of pids) assert.throws(() => process.kill(pid, 0));
  });

  it('kills who does not say that it heard, and what was told is in force in who comes after', async () => {
    let state = 'old';
    const { made, news } = make({ count: 1, begin: () => state, times: { ...times, heardWithinMs: 300 } });
    await made.start();
    const [{ pid } = assert.fail('no worker')] = made.status;
    await made.askReady('be-deaf', 5_000);
    state = 'new';
    await made.broadcast('revoked', state);
    assert.notEqual(made.status[0]?.pid, pid);
    assert.throws(() => process.kill(pid ?? 0, 0));
    await until(() => made.status[0]?.state === 'ready');
    assert.deepEqual(
      news.map(({ kind }) => kind),
      ['ready', 'silent', 'died', 'ready'],
    );
    assert.deepEqual(await made.askReady('what', 5_000), [{ slot: 1, answer: 'heard null' }]);
  });

  it('kills who hangs, and starts another', async () => {
    const { made, news } = make({ count: 1, times: { ...times, pingEveryMs: 20, hungAfterMs: 2_000 } });
    await made.start();
    void made.askReady('spin', 60_000);
    await until(() => made.status[0]?.restarts === 1 && made.status[0].state === 'ready');
    assert.deepEqual(
      news.map((one) => (one.kind === 'silent' ? one.about : one.kind)),
      ['ready', 'ping', 'died', 'ready'],
    );
  });

  it('says what the one said that could not begin, and leaves nobody running', async () => {
    const { made, ended } = make({ begin: (slot) => (slot === 2 ? 'refuse' : slot) });
    await assert.rejects(made.start(), (error: unknown) => {
      assert.ok(error instanceof ChannelError);
      assert.deepEqual(error.said, { code: 'spool-locked', message: 'expected better' });
      return true;
    });
    assert.deepEqual(ended.sort(), [1, 2]);
    assert.deepEqual(
      made.status.map(({ state }) => state),
      ['down', 'down'],
    );
  });

  it('tries again where what holds one up is about to go', async () => {
    let tries = 0;
    const { made } = make({
      count: 1,
      begin: () => {
        tries += 1;
        return tries < 3 ? 'refuse' : 'well';
      },
      isPassing: (said) => (said as { code?: unknown } | null)?.code === 'spool-locked',
    });
    assert.deepEqual(await made.start(), ['begun well']);
    assert.equal(tries, 3);
  });

  it('is lost when nobody serves and nobody can be started', async () => {
    let mode = 'serve';
    const { made, news } = make({ count: 1, begin: () => mode });
    await made.start();
    mode = 'die';
    process.kill(made.status[0]?.pid ?? 0, 'SIGKILL');
    assert.equal(await made.lost, 'closed');
    assert.deepEqual(
      news.map(({ kind }) => kind),
      ['ready', 'died', 'failed', 'failed', 'failed', 'failed'],
    );
  });
});
