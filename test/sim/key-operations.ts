/** What can happen to keys in a history: those that sign checkpoints are changed, those that others are wrapped under are turned, and files are wrapped anew. */
import type { Operation } from './operations.ts';

export const keyOperations: readonly Operation[] = [
  {
    name: 'rotate a checkpoint key',
    weight: 9,
    run: (session, random) => {
      const log = session.anyLog(random);
      if (log !== undefined) session.changeKey(log, { kind: 'planned' });
    },
  },
  {
    name: 'end an overlap',
    weight: 6,
    run: (session, random) => {
      const log = session.anyLog(random);
      if (log !== undefined) session.changeKey(log, { kind: 'end-overlap' });
    },
  },
  {
    name: 'a checkpoint key is compromised',
    weight: 2,
    run: (session, random) => {
      const log = session.anyLog(random);
      if (log !== undefined) session.changeKey(log, { kind: 'compromised' });
    },
  },
  {
    name: 'add an ML-DSA-44 key',
    weight: 1,
    run: (session, random) => {
      const log = session.anyLog(random);
      if (log !== undefined) session.changeKey(log, { kind: 'add-ml-dsa-44' });
    },
  },
  {
    name: 'rotate the key-encryption key',
    weight: 4,
    run: (session) =>
      session.also('rotate the key-encryption key', [], async () => {
        await session.keys.service.rotate({ tenant: undefined, record: async () => undefined });
      }),
  },
  {
    name: 'wrap anew',
    weight: 4,
    run: (session) =>
      session.also('wrap anew', [], async () => {
        const tenants = session.ledger.tenants();
        await session.keys.service.rewrap({ tenants, record: async () => undefined });
      }),
  },
];
