import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TenantId } from '@watchglass/record';
import fc from 'fast-check';
import { DoorSequence, type Numbered } from './door-sequence.ts';

const tenant = 'clinic' as TenantId;

test('numbers go on from what the ledger has', () => {
  const sequence = new DoorSequence((_tenant, emitter) => (emitter === 'known' ? 41 : 0));
  assert.equal(sequence.number(tenant, 'known', 'a').seq, 42);
  assert.equal(sequence.number(tenant, 'new', 'b').seq, 1);
});

test('an event that comes again keeps its number', () => {
  const sequence = new DoorSequence(() => 0);
  const first = sequence.number(tenant, 'e', 'a');
  sequence.used(tenant, first, 'a');
  assert.deepEqual(sequence.number(tenant, 'e', 'a'), { emitter: 'e', seq: 1, again: true });
  assert.equal(sequence.number(tenant, 'e', 'b').seq, 2);
});

test('whatever is refused or stored, the numbers of what was stored have no gap once all is settled', () => {
  const step = fc.record({ take: fc.boolean(), keep: fc.boolean(), which: fc.nat(20) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const sequence = new DoorSequence(() => 0);
      const open: { number: Numbered; id: string }[] = [];
      const stored: number[] = [];
      let ids = 0;
      const settle = (keep: boolean, which: number): void => {
        const [one] = open.splice(which % open.length, 1);
        if (one === undefined) return;
        if (keep) {
          sequence.used(tenant, one.number, one.id);
          stored.push(one.number.seq);
        } else sequence.giveBack(tenant, one.number);
      };
      for (const { take, keep, which } of steps) {
        if (take || open.length === 0) {
          const id = `id-${ids++}`;
          open.push({ id, number: sequence.number(tenant, 'e', id) });
        } else settle(keep, which);
      }
      while (open.length > 0) settle(true, 0);
      // What was given back in the middle is what the next events get.
      const highest = Math.max(0, ...stored);
      while (stored.length < highest) stored.push(sequence.number(tenant, 'e', `id-${ids++}`).seq);
      assert.deepEqual(
        stored.toSorted((a, b) => a - b),
        Array.from({ length: highest }, (_, i) => i + 1),
      );
      assert.equal(sequence.number(tenant, 'e', 'last').seq, highest + 1);
    }),
    { seed: 3 },
  );
});
