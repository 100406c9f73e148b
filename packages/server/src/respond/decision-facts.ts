/**
 * Decisions for the gateways: what the logs say of them, and what `decisions.json` holds. One put there by hand would shut somebody out, or let somebody in again, on
 * nobody's word.
 */
import { hash } from 'node:crypto';
import { type HeardRecord, type HeldFacts, type Listener, type SaidFacts, saidAt } from '../access/facts.ts';
import type { World } from '../world/world.ts';
import { type Decision, readDecisions } from './decisions.ts';

/** The file forgets a decision that is over with its next change, which may be while it is read. */
const endingMs = 60 * 60_000;

export class DecisionListener implements Listener {
  readonly said: SaidFacts = new Map();
  readonly #nowMs: number;

  constructor(nowMs: number) {
    this.#nowMs = nowMs;
  }

  hear({ record, tenant, index, partial, tell }: HeardRecord): void {
    const { submitter, event } = record;
    const [target] = event.targets ?? [];
    if (submitter !== 'self' || event.kind !== 'access-change' || target?.type !== 'Decision') return;
    const { id = '' } = target;
    if (event.operation === 'decision-made') {
      const [effect, subject, value, reason, expires] = ['effect', 'subject', 'value', 'reason', 'expires'].map(
        (name) => saidAt(record, `/${name}`),
      );
      if (!effect || !subject || !value || !reason || !expires || Number.isNaN(Date.parse(expires))) {
        tell('own-event-invalid', 'effect, subject, value, reason and expires of a decision', 'not all of them');
        return;
      }
      const leftMs = Date.parse(expires) - this.#nowMs;
      if (leftMs <= 0) return;
      const mayLack = leftMs < endingMs ? { mayLack: true } : {};
      for (const [name, said] of factsOf({ id, effect, subject, value, reason, expires, by: event.actor.id }))
        this.said.set(name, { value: said, tenant, index, ...mayLack });
    } else if (event.operation === 'decision-withdrawn') {
      const names = [id, `${id}/about`];
      // One that is over by now was not kept to be compared.
      for (const name of names) if (this.said.has(name)) this.said.set(name, { value: undefined, tenant, index });
      if (id === '' && !partial) tell('own-event-invalid', 'the id of a decision', 'none');
    }
  }
}

/** What is in force; undefined where there is no file. @throws ServerError `state-unknown` */
export async function readDecisionFacts(world: World, path: string): Promise<HeldFacts | undefined> {
  if ((await world.disk.size(path)) === undefined) return undefined;
  const facts: HeldFacts = new Map();
  for (const decision of await readDecisions(world, path)) {
    if (Date.parse(decision.expires) <= world.clock.now()) continue;
    for (const [name, value] of factsOf(decision)) facts.set(name, { value, tenant: decision.tenant });
  }
  return facts;
}

/** Whom it is about, and why, may name people: that is compared by its SHA-256. */
function factsOf(decision: Readonly<Record<Exclude<keyof Decision, 'tenant' | 'made'>, string>>): [string, string][] {
  const { id, effect, subject, value, reason, expires, by } = decision;
  return [
    [id, `${effect} ${subject} until ${expires}, by ${by}`],
    [`${id}/about`, `sha256:${hash('sha256', JSON.stringify([value, reason]), 'hex')}`],
  ];
}
