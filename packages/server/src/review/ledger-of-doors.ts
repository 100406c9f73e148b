/**
 * The ledger as the doors for events have it: it takes no event under a name of ours. A sender may name its emitter, but who could speak as `server` could put words
 * into our mouth, and with one large number use up the sequence of our own records: then nothing could be recorded any more, and so nothing answered.
 */
import { isOwnEmitter } from '../access/own-recorder.ts';
import { ServerError } from '../errors.ts';
import type { Ledger } from '../ledger/ledger.ts';

type DoorLedger = Pick<Ledger, 'append' | 'state' | 'countRefused' | 'emitters'>;

export function ledgerOfDoors(ledger: DoorLedger): DoorLedger {
  return {
    get state() {
      return ledger.state;
    },
    countRefused: (...refused) => ledger.countRefused(...refused),
    emitters: (tenant) => ledger.emitters(tenant),
    async append(tenant, items) {
      const position = items.findIndex(({ event }) => isOwnEmitter(event.emitter.id));
      if (position < 0) return await ledger.append(tenant, items);
      const place = {
        at: position,
        path: '/emitter/id',
        expected: 'an emitter of your own',
        got: 'a name Watchglass keeps for itself',
      };
      throw new ServerError(
        'event-invalid',
        `event ${position}, ${place.path}: expected ${place.expected}, got ${place.got}`,
        {
          errors: [place],
        },
      );
    },
  };
}
