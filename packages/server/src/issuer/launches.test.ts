/** A launch is good once, for five minutes, and a restart changes neither. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openIssuedForTest } from '../access/issued.fixture.ts';
import { SimDisk, SimRandom } from '../world/simulated.ts';
import { createLaunches, type Launch } from './launches.ts';

const launch: Launch = { ehr: 'ehr', client: 'app', person: 'p-1', patient: 'wg-pt-000417', needPatientBanner: true };
const by = { client: 'app', person: 'p-1' };

async function open() {
  const { clock, issued, again } = await openIssuedForTest();
  const random = new SimRandom(5);
  const world = { clock, random, disk: new SimDisk(random).process() };
  return { clock, launches: createLaunches(world, issued), restart: async () => createLaunches(world, await again()) };
}

test('a launch that was made before a restart is good after it, once', async () => {
  const { launches, restart } = await open();
  const { launch: id } = launches.make(launch);
  assert.deepEqual(await (await restart()).take(id, by), launch);
  const after = await restart();
  assert.equal(after.look(id, 'app'), 'launch-used');
  assert.equal(await after.take(id, by), 'launch-used');
});

test('two who take it at the same moment are one who has it', async () => {
  const { launches } = await open();
  const { launch: id } = launches.make(launch);
  const taken = await Promise.all([launches.take(id, by), launches.take(id, by)]);
  assert.deepEqual(taken, [launch, 'launch-used']);
});

test('in the wrong hands it is used up, and of another application it is not', async () => {
  const { launches } = await open();
  const { launch: id } = launches.make(launch);
  assert.equal(await launches.take(id, { ...by, client: 'other' }), 'launch-of-another-client');
  assert.equal(await launches.take(id, { ...by, person: 'p-2' }), 'launch-of-another-person');
  assert.equal(await launches.take(id, by), 'launch-used');
});

test('it ends after five minutes, and a guess is not taken for one that ended', async () => {
  const { clock, launches } = await open();
  const { launch: id } = launches.make(launch);
  clock.advance(5 * 60_000);
  assert.equal(launches.look(id, 'app'), 'launch-expired');
  assert.equal(launches.look('guess', 'app'), 'launch-unknown');
});
