/** Six years pass, and what is over goes: over HTTP, by two people, with a hold that keeps some of it; and everything that must not go that way. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { type EventDraft, retentionClasses } from '@watchglass/record';
import { verifyLedger } from '@watchglass/record/reader';
import { defaultRetention, type RetentionSettings } from '../retention/policy.ts';
import { realWorld } from '../world/real-world.ts';
import type { World } from '../world/world.ts';
import { ask, clinic, indexed, post, startTestServer, type TestServer, testEvent } from './server.fixture.ts';

const dayMs = 86_400_000;
const sixYearsMs = (2192 + 40) * dayMs;

interface Years {
  server: TestServer;
  readonly world: World;
  /** Lets time pass while no server runs. */
  pass(ms: number, settings?: RetentionSettings, between?: () => Promise<void>): Promise<void>;
  person(name: string, more?: Record<string, unknown>): Promise<string>;
  event(over?: Partial<EventDraft>): EventDraft;
  /** The unit of a class in the month the run began in. */
  unit(retentionClass: string): string;
}

async function withYears(
  work: (years: Years) => Promise<void>,
  settings: RetentionSettings = defaultRetention,
): Promise<void> {
  let aheadMs = 0;
  const real = realWorld();
  const world: World = { ...real, clock: { ...real.clock, now: () => real.clock.now() + aheadMs } };
  const began = new Date(world.clock.now());
  const epoch = (began.getUTCFullYear() - 1970) * 12 + began.getUTCMonth();
  const years: Years = {
    server: await startTestServer({ world, retention: settings }),
    world,
    async pass(ms, next = settings, between = async () => undefined) {
      const later = async (): Promise<void> => {
        aheadMs += ms;
        await between();
      };
      years.server = await years.server.restart(later, { retention: next });
    },
    person: (name, more = {}) =>
      years.server.tokenOf({
        sub: name,
        roles: ['privacy-officer'],
        amr: ['pwd', 'mfa'],
        auth_time: Math.floor(world.clock.now() / 1_000) - 30,
        ...more,
      }),
    event: (over = {}) => testEvent({ time: new Date(world.clock.now()).toISOString(), ...over }),
    unit: (retentionClass) => `${retentionClass}-${epoch}`,
  };
  try {
    await work(years);
  } finally {
    await years.server[Symbol.asyncDispose]();
  }
}

function refused(answer: { readonly statusCode: number; json(): unknown }, status: number, code: string): void {
  assert.deepEqual([answer.statusCode, (answer.json() as { code: string }).code], [status, code]);
}

const patientOf = (id: string): Partial<EventDraft> => ({
  targets: [{ type: 'Observation', id: `obs-${id}`, patient: id }],
});

test('what is over goes by two people, with its evidence; a hold keeps what it is about', async () => {
  await withYears(async (years) => {
    const first = await post(years.server, [
      years.event(patientOf('wg-pt-1')),
      years.event(patientOf('wg-pt-7')),
      years.event(patientOf('wg-pt-1')),
    ]);
    const indexes = (first.json() as { receipts: { index: number }[] }).receipts.map(({ index }) => index);
    await years.pass(sixYearsMs);
    await post(years.server, [years.event()]);
    const { server } = years;
    const ann = await years.person('ann');
    const bob = await years.person('bob', { roles: ['administrator'] });
    const hold = await ask(server, ann, '/v1/holds', { patient: 'wg-pt-7', matter: 'case 12', reason: 'litigation' });
    assert.equal(hold.statusCode, 201);
    assert.ok(!hold.body.includes('wg-pt-7'));
    const before = (await ask(server, ann, `/v1/events/${indexes[0]}/proof`)).body;

    const plan = (await ask(server, bob, '/v1/retention/plan')).json() as {
      hash: string;
      units: { unit: string; events: number; held: { events: number }[]; keks: string[]; seeds: unknown[] }[];
    };
    const planned = plan.units.find(({ unit }) => unit === years.unit('access'));
    assert.equal(planned?.events, 3);
    assert.deepEqual(
      planned.held.map(({ events }) => events),
      [1],
    );
    assert.ok(planned.keks.length > 0 && planned.seeds.length > 0);
    const proposed = (await ask(server, ann, '/v1/retention/proposals', { units: [years.unit('access')] })).json() as {
      id: string;
      plan: string;
    };
    const approved = await ask(server, bob, `/v1/retention/proposals/${proposed.id}/approve`, { plan: proposed.plan });
    assert.equal(approved.statusCode, 200, approved.body);
    const done = await ask(server, bob, `/v1/retention/proposals/${proposed.id}/execute`, {});
    assert.equal(done.statusCode, 200, done.body);
    const [outcome] = (
      done.json() as { shredded: { unit: string; events: number; evidence: number; keys: { state: string }[] }[] }
    ).shredded;
    assert.deepEqual([outcome?.unit, outcome?.events], [years.unit('access'), 3]);
    assert.ok(outcome?.keys.every(({ state }) => state === 'destroyed'));

    refused(await ask(server, ann, `/v1/events/${indexes[0]}`), 410, 'shredded');
    refused(await ask(server, ann, `/v1/events/${indexes[0]}/proof`), 410, 'shredded');
    const auditor = await server.tokenOf({ sub: 'eve', roles: ['security-analyst'] });
    assert.equal(
      (await ask(server, auditor, `/v1/events/${indexes[0]}/proof`)).statusCode,
      200,
      'a proof without opening',
    );
    assert.ok(before.startsWith('c2sp.org/tlog-proof@v1\n'));
    assert.equal((await ask(server, ann, `/v1/events/${indexes[1]}`)).statusCode, 200);
    await indexed(server);
    const found = async (patient: string): Promise<number[]> =>
      (
        (await ask(server, ann, '/v1/events/search', { patient, kind: 'api' })).json() as {
          events: { index: number }[];
        }
      ).events.map(({ index }) => index);
    assert.deepEqual(await found('wg-pt-1'), []);
    assert.deepEqual(await found('wg-pt-7'), [indexes[1]]);
    const evidence = (await ask(server, ann, `/v1/events/${outcome?.evidence}`)).json() as { operation: string };
    assert.equal(evidence.operation, 'shred-completed');
    const steps = (await ask(server, ann, '/v1/events/search', { kind: 'access-change', limit: 50 })).json() as {
      events: { operation: string }[];
    };
    for (const step of ['shred-proposed', 'shred-approved', 'shred-ordered', 'retention-policy'])
      assert.ok(
        steps.events.some(({ operation }) => operation === step),
        `${step} is an event`,
      );

    // The hold ends the same way.
    const { id: holdId } = hold.json() as { id: string };
    const release = (await ask(server, bob, `/v1/holds/${holdId}/release`, {})).json() as { id: string; plan: string };
    refused(
      await ask(server, bob, `/v1/retention/proposals/${release.id}/approve`, { plan: release.plan }),
      409,
      'same-person',
    );
    await ask(server, ann, `/v1/retention/proposals/${release.id}/approve`, { plan: release.plan });
    assert.equal((await ask(server, ann, `/v1/retention/proposals/${release.id}/execute`, {})).statusCode, 200);
    refused(await ask(server, ann, `/v1/events/${indexes[1]}`), 410, 'shredded');
    assert.deepEqual((await ask(server, ann, '/v1/holds')).json(), { holds: [] });
    await indexed(server);
    assert.deepEqual(await found('wg-pt-7'), []);

    await years.pass(60_000);
    refused(await ask(years.server, await years.person('ann'), `/v1/events/${indexes[0]}`), 410, 'shredded');
    await indexed(years.server);
    const report = await verifyLedger({
      ledgerDir: join(years.server.dir, 'ledger'),
      keysDir: join(years.server.dir, 'keys'),
      full: true,
    });
    assert.deepEqual(report.findings, []);
    assert.equal(report.tenants.find(({ tenant }) => tenant === clinic)?.shredded, 3);
  });
});

test('nothing goes by one person, by a weak or an old sign-in, after a proposal expired, or otherwise than it was seen', async () => {
  await withYears(async (years) => {
    await post(years.server, [years.event(patientOf('wg-pt-1')), years.event(patientOf('wg-pt-7'))]);
    const [ann, bob] = [await years.person('ann'), await years.person('bob')];
    const units = [years.unit('access')];
    refused(await ask(years.server, ann, '/v1/retention/proposals', {}), 422, 'nothing-to-shred');
    await years.pass(40 * dayMs);
    refused(
      await ask(years.server, await years.person('ann'), '/v1/retention/proposals', { units }),
      422,
      'retention-floor',
    );
    await years.pass(sixYearsMs);
    await post(years.server, [years.event()]);
    const { server } = years;
    const fresh = async (): Promise<[string, string]> => [await years.person('ann'), await years.person('bob')];
    let [first, second] = await fresh();
    refused(await ask(server, ann, '/v1/retention'), 401, 'unauthenticated');
    refused(await ask(server, bob, '/v1/retention'), 401, 'unauthenticated');
    refused(await ask(server, server.operator, '/v1/retention/proposals', {}), 403, 'forbidden');
    refused(
      await ask(server, await years.person('eve', { roles: ['auditor'] }), '/v1/retention/proposals', {}),
      403,
      'forbidden',
    );
    refused(
      await ask(server, await years.person('ann', { amr: ['pwd'] }), '/v1/retention/proposals', { units }),
      403,
      'sign-in-weak',
    );
    const old = { auth_time: Math.floor(years.world.clock.now() / 1_000) - 16 * 60 };
    refused(
      await ask(server, await years.person('ann', old), '/v1/retention/proposals', { units }),
      403,
      'sign-in-stale',
    );
    refused(
      await ask(server, await years.person('ann', { auth_time: undefined }), '/v1/retention/proposals', { units }),
      403,
      'sign-in-stale',
    );
    refused(await ask(server, first, '/v1/retention/proposals', { units, plan: 'ab' }), 409, 'plan-changed');
    refused(await ask(server, first, '/v1/retention/proposals', { units: ['access-1'] }), 422, 'nothing-to-shred');
    refused(await ask(server, first, '/v1/retention/proposals', { units: ['nothing'] }), 422, 'input-invalid');
    refused(await ask(server, first, '/v1/retention/proposals', { unit: 'x' }), 422, 'input-invalid');

    const propose = async (): Promise<{ id: string; plan: string }> => {
      const answer = await ask(years.server, first, '/v1/retention/proposals', { units });
      assert.equal(answer.statusCode, 201, answer.body);
      return answer.json() as { id: string; plan: string };
    };
    const { id, plan } = await propose();
    const at = (step: string, of = id): string => `/v1/retention/proposals/${of}/${step}`;
    refused(await ask(server, first, at('approve'), { plan }), 409, 'same-person');
    refused(await ask(server, second, at('approve'), { plan: 'other' }), 409, 'plan-changed');
    refused(await ask(server, second, at('execute'), {}), 409, 'proposal-state');
    refused(await ask(server, second, at('approve', 'rp-none'), { plan }), 404, 'not-found');
    assert.equal((await ask(server, second, at('approve'), { plan })).statusCode, 200);
    // A hold that was added after the approval changes the plan.
    await ask(server, first, '/v1/holds', { patient: 'wg-pt-7', matter: 'case 1', reason: 'litigation' });
    refused(await ask(server, second, at('execute'), {}), 409, 'plan-changed');
    // One about everything leaves nothing to go.
    const all = await ask(server, first, '/v1/holds', { first: 0, last: 1_000_000, matter: 'case 2', reason: 'audit' });
    refused(await ask(server, first, '/v1/retention/proposals', { units }), 409, 'held-whole');
    const { id: allId } = all.json() as { id: string };
    const release = (await ask(server, first, `/v1/holds/${allId}/release`, {})).json() as { id: string; plan: string };
    await ask(server, second, at('approve', release.id), { plan: release.plan });
    assert.equal((await ask(server, second, at('execute', release.id), {})).statusCode, 200);

    // What the file beside the log says approves nothing.
    const forged = await propose();
    const path = join(server.dir, 'retention.json');
    await years.pass(0, defaultRetention, async () => {
      const state = JSON.parse(await readFile(path, 'utf8')) as { proposals: Record<string, unknown>[] };
      const last = state.proposals.at(-1) as Record<string, unknown>;
      Object.assign(last, { state: 'approved', approvedBy: 'bob', approvedAt: last.proposedAt });
      await writeFile(path, JSON.stringify(state));
    });
    [first, second] = await fresh();
    refused(await ask(years.server, first, at('execute', forged.id), {}), 409, 'approval-unproven');

    const late = await propose();
    await years.pass(8 * dayMs);
    [first, second] = await fresh();
    refused(await ask(years.server, second, at('approve', late.id), { plan: late.plan }), 409, 'proposal-expired');
    const events = (await ask(years.server, first, '/v1/events/search', { patient: 'wg-pt-1' })).json() as {
      events: unknown[];
    };
    assert.equal(events.events.length > 0, true);
    refused(await ask(years.server, first, '/v1/holds', { matter: 'x', reason: 'y' }), 422, 'input-invalid');
    refused(await ask(years.server, first, '/v1/retention/plan?at=soon'), 400, 'bad-request');
  });
});

test('fewer than six years come into force when a person confirms them, and the policy in force is an event', async () => {
  const short: RetentionSettings = {
    ...defaultRetention,
    classes: { access: 30, security: 'life-of-record', oversight: 'astm-10y' },
  };
  await withYears(async (years) => {
    await post(years.server, [years.event()]);
    const policies = async (token: string): Promise<Record<string, unknown>[]> =>
      ((await ask(years.server, token, '/v1/retention')).json() as { policies: Record<string, unknown>[] }).policies;
    const [ann] = [await years.person('ann')];
    assert.deepEqual(
      (await policies(ann)).map((policy) => [policy.class, policy.days, policy.unconfirmed]),
      [
        ['access', 2192, true],
        ['security', null, false],
        ['oversight', 3653, false],
      ],
    );
    await years.pass(70 * dayMs, short);
    await post(years.server, [years.event()]);
    const officer = await years.person('ann');
    const other = await years.person('bob');
    const units = [years.unit('access')];
    refused(await ask(years.server, officer, '/v1/retention/proposals', { units }), 422, 'retention-floor');
    refused(
      await ask(years.server, officer, '/v1/retention/confirm', { class: 'access', days: 31 }),
      422,
      'input-invalid',
    );
    refused(
      await ask(years.server, years.server.operator, '/v1/retention/confirm', { class: 'access', days: 30 }),
      403,
      'forbidden',
    );
    assert.equal(
      (await ask(years.server, officer, '/v1/retention/confirm', { class: 'access', days: 30 })).statusCode,
      200,
    );
    assert.equal((await policies(officer))[0]?.days, 30);
    refused(
      await ask(years.server, officer, '/v1/retention/proposals', { units: [years.unit('security')] }),
      422,
      'retention-not-over',
    );
    const { id, plan } = (await ask(years.server, officer, '/v1/retention/proposals', { units })).json() as {
      id: string;
      plan: string;
    };
    await ask(years.server, other, `/v1/retention/proposals/${id}/approve`, { plan });
    assert.equal((await ask(years.server, other, `/v1/retention/proposals/${id}/execute`, {})).statusCode, 200);
    await indexed(years.server);
    const steps = (await ask(years.server, officer, '/v1/events/search', { kind: 'access-change' })).json() as {
      events: { operation: string; changes?: { path: string }[] }[];
    };
    assert.ok(steps.events.some(({ operation }) => operation === 'retention-floor-confirmed'));
    assert.equal(steps.events.filter(({ operation }) => operation === 'retention-policy').length, 2);
    assert.deepEqual(retentionClasses.length, 3);
  }, short);
});
