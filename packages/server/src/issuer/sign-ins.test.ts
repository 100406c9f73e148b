/** Sign-ins at applications: bounded for all, and for each person, so that nobody pushes others out. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openIssuedForTest } from '../access/issued.fixture.ts';
import { SimDisk, SimRandom } from '../world/simulated.ts';
import { createSignIns, signInsOfOneMax } from './sign-ins.ts';

test('whoever signs in without end pushes out their own sign-ins, with what was given for them, and nobody else’s', async () => {
  const { clock, issued, again } = await openIssuedForTest();
  const random = new SimRandom(5);
  const world = { clock, random, disk: new SimDisk(random).process() };
  const signIns = createSignIns(world, issued);
  const signIn = (person: string, n: number): void => {
    const grantId = `grant ${person} ${n}`;
    issued.put('Grant', grantId, { payload: {}, untilMs: clock.now() + 60_000, grantId });
    issued.put('RefreshToken', grantId, { payload: {}, untilMs: clock.now() + 60_000, grantId });
    signIns.add({ sid: `sid ${person} ${n}`, grantId, person, client: 'app', offline: false });
  };
  signIn('nurse', 0);
  for (let n = 0; n < signInsOfOneMax + 3; n++) signIn('endless', n);
  const after = createSignIns(world, await again());
  for (const store of [signIns, after]) {
    assert.equal(store.of('endless').length, signInsOfOneMax);
    assert.equal(store.get('sid endless 2'), undefined);
    assert.ok(store.get('sid endless 3'));
    assert.ok(store.get('sid nurse 0'));
  }
  assert.equal(issued.get('RefreshToken', 'grant endless 2'), undefined);
  assert.ok(issued.get('RefreshToken', 'grant endless 3'));
  assert.ok(issued.get('RefreshToken', 'grant nurse 0'));
});
