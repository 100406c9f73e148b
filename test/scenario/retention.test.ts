/** `watchglass retention` and `hold` against a server in which six years have passed: what two people type, and what is answered. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { post, startTestServer, testEvent } from '../../packages/server/src/api/server.fixture.ts';
import { realWorld } from '../../packages/server/src/world/real-world.ts';
import type { World } from '../../packages/server/src/world/world.ts';
import { type Ran, watchglassHere } from './command.fixture.ts';

test('two people end what is over from their terminals, a hold keeps its part, and verify says so', async () => {
  let aheadMs = 0;
  const real = realWorld();
  const world: World = { ...real, clock: { ...real.clock, now: () => real.clock.now() + aheadMs } };
  const event = (patient: string) =>
    testEvent({
      time: new Date(world.clock.now()).toISOString(),
      targets: [{ type: 'Observation', id: `o-${patient}`, patient }],
    });
  let server = await startTestServer({ world });
  try {
    await post(server, [event('wg-pt-1'), event('wg-pt-7')]);
    server = await server.restart(() => {
      aheadMs = 2232 * 86_400_000;
    });
    await post(server, [event('wg-pt-1')]);
    const url = await server.api.listen({ host: '127.0.0.1', port: 0 });
    const token = (sub: string): Promise<string> =>
      server.tokenOf({
        sub,
        roles: ['privacy-officer'],
        amr: ['pwd', 'mfa'],
        auth_time: Math.floor(world.clock.now() / 1_000),
      });
    const as = async (who: string, ...argv: readonly string[]): Promise<Ran> =>
      watchglassHere([...argv, '--server', url, '--token', await token(who)]);

    const held = await as(
      'ann',
      'hold',
      'add',
      '--patient',
      'wg-pt-7',
      '--matter',
      'case 12',
      '--reason',
      'litigation',
      '--json',
    );
    assert.equal(held.code, 0, held.err);
    const hold = JSON.parse(held.out) as { id: string };
    assert.match((await as('bob', 'hold', 'list')).out, new RegExp(`^${hold.id}  case 12: patient ·`));
    const plan = await as('bob', 'retention', 'plan');
    assert.equal(plan.code, 0, plan.err);
    const [, unit = ''] = /^(access-\d+) +2 /m.exec(plan.out) ?? [];
    assert.notEqual(unit, '', plan.out);
    assert.match(plan.err, /^The key-encryption key local:[0-9a-f]{16} would be destroyed/m);
    assert.match((await as('bob', 'retention', 'plan', '--at', '2027-01-01')).out, /^Nothing is over at 2027-01-01/);
    const proposed = await as('ann', 'retention', 'propose', unit);
    const [, id = ''] = /^(rp-[0-9a-f]{16}) {2}proposed: shred access-\d+ \(2 events\)/.exec(proposed.out) ?? [];
    assert.notEqual(id, '', proposed.out + proposed.err);
    const alone = await as('ann', 'retention', 'approve', id, '--json');
    assert.deepEqual([alone.code, JSON.parse(alone.err).error.code], [1, 'same-person']);
    assert.match((await as('bob', 'retention', 'approve', id)).out, /approved: .*, approved by bob/);
    const done = await as('bob', 'retention', 'execute', id);
    assert.equal(done.code, 0, done.err);
    assert.match(done.out, /access-\d+: 2 events are gone; evidence at index \d+/);
    assert.match(done.err, /local:[0-9a-f]{16} is destroyed/);
    assert.match((await as('ann', 'retention', 'list')).out, /was shredded: 2 events; evidence at index \d+/);
    assert.equal((await as('bob', 'retention', 'execute', 'rp-1/../x')).code, 2);
    const verified = await watchglassHere(['verify', server.dir, '--full']);
    assert.equal(verified.code, 0, verified.out);
    assert.match(verified.out, /2 shredded \(1 held\), all others opened/);
    const release = await as('bob', 'hold', 'release', hold.id, '--json');
    const { id: releaseId } = JSON.parse(release.out) as { id: string };
    assert.equal((await as('ann', 'retention', 'approve', releaseId)).code, 0);
    assert.match((await as('ann', 'retention', 'execute', releaseId)).out, /the hold [0-9a-f]{32} is released/);
    assert.equal((await as('ann', 'hold', 'list')).out, 'No hold is on.\n');
  } finally {
    await server[Symbol.asyncDispose]();
  }
});
