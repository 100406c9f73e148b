/**
 * What can happen in a history, one entry each: add one here and every history has it. An operation draws its details from its own random, uses
 * the session to do something, and tells the model what was answered; it decides nothing about what must hold at the end.
 */
import type { Event } from '../../packages/record/src/index.ts';
import type { AppendItem } from '../../packages/server/src/ledger/ledger.ts';
import type { SimRandom } from '../../packages/server/src/world/simulated.ts';
import { endingOperations } from './ending-operations.ts';
import { keyOperations } from './key-operations.ts';
import { tenants, Violation } from './model.ts';
import type { Session } from './session.ts';

export interface Operation {
  readonly name: string;
  readonly weight: number;
  /** Appends go on beside what follows, unless it waits for them. */
  readonly run: (session: Session, random: SimRandom) => void | Promise<void>;
}

const secondMs = 1000;
const minuteMs = 60 * secondMs;
const hourMs = 60 * minuteMs;

/** What happens in every history. */
export const usualOperations: readonly Operation[] = [
  {
    name: 'add a tenant',
    weight: 8,
    run: (session, random) => session.addTenant(random.pick(tenants)),
  },
  {
    name: 'append',
    weight: 40,
    run: (session, random) => {
      const log = session.anyLog(random);
      if (log !== undefined) session.append(log, [session.newCall(log, random.between(1, 5), random)]);
    },
  },
  {
    name: 'append long records',
    weight: 4,
    run: (session, random) => {
      const log = session.anyLog(random);
      if (log === undefined) return;
      const targets = (): NonNullable<Event['targets']> =>
        Array.from({ length: 60 }, () => ({
          type: 'Observation',
          id: Buffer.from(random.bytes(24)).toString('hex'),
          role: 'object' as const,
        }));
      session.append(log, [session.newCall(log, random.between(1, 3), random, () => ({ targets: targets() }))]);
    },
  },
  {
    name: 'append and wait',
    weight: 12,
    run: async (session, random) => {
      const log = session.anyLog(random);
      if (log === undefined) return;
      session.append(log, [session.newCall(log, random.between(1, 3), random)]);
      await session.idle();
    },
  },
  {
    name: 'send again',
    weight: 16,
    run: (session, random) => {
      const log = session.anyLog(random);
      if (log === undefined || log.calls.length === 0) return;
      const again = random.pick(log.calls);
      session.append(log, random.chance(30) ? [again, session.newCall(log, random.between(1, 2), random)] : [again]);
    },
  },
  {
    name: 'send other bytes under a known id',
    weight: 5,
    run: (session, random) => {
      const log = session.anyLog(random);
      const known = log === undefined ? [] : [...log.acknowledged.values()];
      if (log === undefined || known.length === 0 || session.outside.forgetful) return;
      const { event, envelope } = random.pick(known).item;
      // Of what was shredded the ledger knows the id only: other bytes can't be told from the same.
      if ([...log.shreds.values()].some(({ events }) => [...events.values()].some(({ id }) => id === event.id))) return;
      const digest = `${envelope.digest.startsWith('0') ? '1' : '0'}${envelope.digest.slice(1)}`;
      const forged: AppendItem = { event, envelope: { ...envelope, digest } };
      const fine = session.newItems(log, 1, random);
      log.impossible.push(...fine);
      session.refused(log, [...fine, forged], 'id-conflict');
    },
  },
  {
    name: 'send a record that is too large',
    weight: 2,
    run: (session, random) => {
      const log = session.anyLog(random);
      if (log === undefined) return;
      const [fine, large] = session.newItems(log, 2, random) as [AppendItem, AppendItem];
      log.impossible.push(fine, large);
      session.refused(log, [fine, { ...large, text: 'x'.repeat(65_537) }], 'record-too-large');
    },
  },
  {
    name: 'wait for answers',
    weight: 10,
    run: (session) => session.idle(),
  },
  {
    name: 'read and prove',
    weight: 6,
    run: async (session, random) => {
      const log = session.anyLog(random);
      if (log === undefined || log.acknowledged.size === 0) return;
      const { index } = random.pick([...log.acknowledged.values()]);
      await session.prove(log, index);
    },
  },
  {
    name: 'time passes',
    weight: 10,
    run: (session, random) => session.advance(random.between(10, 8000)),
  },
  {
    name: 'a step ends',
    weight: 10,
    run: async (session, random) => {
      session.advance(random.between(55, 70) * secondMs);
      await session.turns(random.between(0, 60));
    },
  },
  {
    name: 'an idle quarter of an hour',
    weight: 4,
    run: async (session) => {
      session.advance(15 * minuteMs);
      await session.turns(40);
      session.advance(minuteMs);
      await session.turns(40);
    },
  },
  {
    name: 'the clock steps back',
    weight: 4,
    run: (session, random) => session.step(-random.between(1, 300) * minuteMs),
  },
  {
    name: 'the clock jumps ahead',
    weight: 3,
    run: (session, random) => session.step(random.between(1, 14) * hourMs),
  },
  {
    name: 'the clock jumps over months',
    weight: 1,
    run: (session, random) => session.step(random.between(20, 80) * 24 * hourMs),
  },
];

/** What besides happens in some. */
export const themes: Readonly<Record<string, readonly Operation[]>> = { keys: keyOperations, ending: endingOperations };

export const operations: readonly Operation[] = [...usualOperations, ...keyOperations, ...endingOperations];

export function operationNamed(name: string): Operation {
  const found = operations.find((one) => one.name === name);
  if (found === undefined) throw new Violation(`no operation is called ${name}`);
  return found;
}
