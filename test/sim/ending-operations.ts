/**
 * What ends in a history: holds are placed and released, and classes and epochs that are over are shredded, as a retention server orders it: what is to go is
 * looked at, approved, and then goes. What there was of it the model keeps, so that `ending-checks.ts` can say what must be left.
 */
import { decode, type TenantId } from '../../packages/record/src/index.ts';
import type { Unit } from '../../packages/record/src/reader.ts';
import { unitName } from '../../packages/record/src/reader.ts';
import type { Ledger } from '../../packages/server/src/ledger/ledger.ts';
import { hashPlan } from '../../packages/server/src/ledger/shred-survey.ts';
import type { SimRandom } from '../../packages/server/src/world/simulated.ts';
import type { GoneEvent, HoldModel, LogModel } from './model.ts';
import type { Operation } from './operations.ts';
import type { Session } from './session.ts';

const people = ['p-1', 'p-2'];
const minuteMs = 60_000;
const refusals = ['plan-changed', 'shred-unfinished', 'not-found', 'keys-unavailable'] as const;

export const endingOperations: readonly Operation[] = [
  {
    name: 'place a hold',
    weight: 7,
    run: (session, random) => {
      const log = session.anyLog(random);
      if (log !== undefined) placeHold(session, log, random);
    },
  },
  {
    name: 'release a hold',
    weight: 4,
    run: (session, random) => {
      const log = session.anyLog(random);
      const holds = (log?.holds ?? []).filter(({ id, released }) => id !== undefined && released === 'no');
      if (log === undefined || holds.length === 0) return;
      const hold = random.pick(holds);
      hold.released = 'perhaps';
      session.also(`release hold ${hold.id}`, ['not-found', 'shred-unfinished'], async () => {
        await session.ledger.ending.releaseHold(log.tenant, hold.id ?? '', people);
        if (!session.process.dead) hold.released = 'yes';
      });
    },
  },
  {
    name: 'the month ends',
    weight: 5,
    run: async (session, random) => {
      const now = new Date(session.clock.now());
      const endMs = Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 1);
      if (endMs - session.clock.now() < 24 * 60 * minuteMs) session.step(endMs - session.clock.now() + minuteMs);
      const log = session.anyLog(random);
      if (log !== undefined) session.append(log, [session.newCall(log, random.between(1, 2), random)]);
      await session.idle();
      session.advance(minuteMs);
      await session.turns(random.between(20, 60));
    },
  },
  {
    name: 'shred what is over',
    weight: 9,
    run: async (session, random) => {
      const log = session.anyLog(random);
      if (log === undefined) return;
      session.also(`shred what is over of ${log.tenant}`, refusals, () => shred(session, log, random));
      if (random.chance(50)) await session.idle();
    },
  },
  {
    name: 'go on with shreds',
    weight: 3,
    run: (session) =>
      session.also('go on with shreds', refusals, async () => {
        await session.ledger.ending.resume();
      }),
  },
];

function placeHold(session: Session, log: LogModel, random: SimRandom): void {
  const indexes = [...log.acknowledged.values()].map(({ index }) => index);
  const first = indexes.length === 0 ? random.below(12) : random.pick(indexes);
  const criteria = random.chance(30)
    ? { actor: `person-${random.below(7)}` }
    : { indexes: { first, last: first + random.below(6) } };
  const hold: HoldModel = { id: undefined, criteria, released: 'no' };
  log.holds.push(hold);
  const added = new Date(session.clock.now()).toISOString();
  const terms = { v: 1, criteria, matter: 'case 1', reason: 'litigation', by: 'p-1', added } as const;
  session.also(`place a hold on ${log.tenant}`, refusals, async () => {
    const { id } = await session.ledger.ending.addHold(log.tenant, terms);
    if (!session.process.dead) hold.id = id;
  });
}

async function shred(session: Session, log: LogModel, random: SimRandom): Promise<void> {
  const { ending } = session.ledger;
  const { tenant } = log;
  const found = await ending.survey(tenant, () => true);
  if (found.length === 0 || session.process.dead) return;
  const chosen = random.chance(50) ? found : [random.pick(found)];
  const units = chosen.map((survey) => ({ ...survey, days: 2192 }));
  const before = await eventsOf(session.ledger, tenant);
  if (session.process.dead) return;
  const holds = log.holds.filter(({ id }) => id !== undefined);
  for (const unit of units) {
    const unitEvents = before.get(unitName(unit)) ?? new Map<number, GoneEvent>();
    log.shreds.set(unitName(unit), { unit: unitName(unit), events: unitEvents, holds, answered: false });
  }
  await ending.shred(tenant, { units, plan: hashPlan(tenant, units), people });
  if (!session.process.dead)
    for (const unit of units) (log.shreds.get(unitName(unit)) as { answered: boolean }).answered = true;
}

/** All that can be read of a log, by class and epoch. */
async function eventsOf(ledger: Ledger, tenant: TenantId): Promise<Map<string, Map<number, GoneEvent>>> {
  const found = new Map<string, Map<number, GoneEvent>>();
  const { size } = ledger.head(tenant);
  for (let from = 0; from < size; ) {
    const part = await ledger.read(tenant, from, 1000);
    for (const { index, m, ...unit } of part) {
      const { event } = decode(m);
      const name = unitName(unit as Unit);
      const events = found.get(name) ?? new Map<number, GoneEvent>();
      found.set(name, events.set(index, { index, id: event.id, actor: event.actor?.id }));
    }
    from = (part.at(-1)?.index ?? size) + 1;
  }
  return found;
}
