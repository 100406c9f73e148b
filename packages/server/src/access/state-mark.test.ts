/** An older copy of `state.sqlite` is found out, whatever moment it is of; a process that is killed makes none. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimClock, SimDisk, type SimMishap, SimRandom } from '../world/simulated.ts';
import { openMarks, openState, type State } from './state.ts';
import { openStateMark, type StateMark } from './state-mark.ts';

const path = '/state.mark';
const disk = () => new SimDisk(new SimRandom(1));

async function open(
  state: State,
  on: SimDisk,
  options: { readonly mishaps?: readonly SimMishap[]; readonly seed?: number } = {},
): Promise<StateMark & { readonly strangers: number }> {
  const random = new SimRandom(options.seed ?? 3);
  const world = { clock: new SimClock(0), disk: on.process(options.mishaps), random };
  let strangers = 0;
  const mark = await openStateMark({
    ...{ state, path, world },
    atStranger: () => {
      strangers++;
    },
  });
  return { ...mark, strangers };
}

/** The marks of a file, as a copy of it has them. */
function copyOf(state: State): State {
  const copy = openState(':memory:');
  const marks = openMarks(state);
  for (const name of ['lineage', 'endings']) openMarks(copy).set(name, marks.get(name) ?? '');
  return copy;
}

test('a copy from before anything ended is refused, and the newest one goes on', async () => {
  const [state, on] = [openState(':memory:'), disk()];
  const mark = await open(state, on);
  mark.advance();
  await mark.settled();
  const older = copyOf(state);
  mark.advance();
  await mark.settled();
  await assert.rejects(open(older, on), { code: 'state-older' });
  await assert.rejects(open(openState(':memory:'), on), { code: 'state-older' });
  assert.equal((await open(state, on)).strangers, 0);
});

test('a file that is ahead of its mark was written by a process that was killed, and goes on; the mark follows', async () => {
  const [state, on] = [openState(':memory:'), disk()];
  const mark = await open(state, on);
  mark.advance();
  const older = copyOf(state);
  mark.advance();
  assert.equal((await open(state, on)).strangers, 0);
  await assert.rejects(open(older, on), { code: 'state-older' });
});

test('what was undone was never counted', async () => {
  const [state, on] = [openState(':memory:'), disk()];
  const mark = await open(state, on);
  state.exec('BEGIN');
  mark.advance();
  state.exec('ROLLBACK');
  await mark.settled();
  assert.equal((await open(state, on)).strangers, 0);
});

test('whoever takes the mark away goes on with another file: what was given is over, and neither the old one nor its mark comes back', async () => {
  const [state, on] = [openState(':memory:'), disk()];
  const mark = await open(state, on);
  for (let n = 0; n < 5; n++) mark.advance();
  await mark.settled();
  const before = copyOf(state);
  await on.process().remove(path);
  assert.equal((await open(state, on, { seed: 4 })).strangers, 1);
  await assert.rejects(open(before, on), { code: 'state-older' });
  assert.equal((await open(state, on)).strangers, 0);
});

test('nobody hears that something ended while the mark can not be written, and many who wait cost few writes', async () => {
  const [state, on] = [openState(':memory:'), disk()];
  const mark = await open(state, on, { mishaps: [{ fault: 'EIO', at: 1, among: ['datasync', path] }] });
  mark.advance();
  await assert.rejects(mark.settled());
  await mark.settled();
  let renames = 0;
  on.onOperation = (what) => {
    if (/^\d+ rename/.test(what)) renames++;
  };
  const waits = Array.from({ length: 50 }, () => {
    mark.advance();
    return mark.settled();
  });
  await Promise.all(waits);
  assert.ok(renames >= 1 && renames <= 3, `${renames} renames`);
  const older = copyOf(state);
  mark.advance();
  await mark.settled();
  await assert.rejects(open(older, on), { code: 'state-older' });
});

test('a mark that says nothing is not believed', async () => {
  const [state, on] = [openState(':memory:'), disk()];
  await open(state, on);
  await on.process().replace(path, new TextEncoder().encode('x 1\n'));
  await assert.rejects(open(state, on), { code: 'state-older' });
});
