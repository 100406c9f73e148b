/**
 * Policies, confirmations, proposals, approvals and holds: what the logs say of them, and what `retention.json` holds. An approval that nobody gave, a hold that is
 * gone or fewer days than were confirmed show here; nothing is shredded on the word of that file alone either way.
 */
import { hash } from 'node:crypto';
import { retentionClasses } from '@watchglass/record';
import { unitName } from '@watchglass/record/reader';
import { type HeardRecord, type HeldFacts, type Listener, type SaidFacts, saidAt } from '../access/facts.ts';
import type { World } from '../world/world.ts';
import { type Proposal, proposalsKeptMax, RetentionState } from './retention-state.ts';

/** An event names so many units; a longer plan is compared by its hash. */
const unitsSaidMax = 199;
/** Proposals of a log that are kept to be compared; the file keeps fewer. */
const proposalsMax = 10_000;

interface KnownProposal {
  readonly plan: string;
  readonly by: string;
  approvedBy: string | undefined;
}

export class RetentionListener implements Listener {
  readonly said: SaidFacts = new Map();
  readonly #proposals: Map<string, KnownProposal> = new Map();
  /** Plans and holds that were ordered. */
  readonly #ordered: Set<string> = new Set();

  hear(heard: HeardRecord): void {
    const { event, submitter } = heard.record;
    if (submitter !== 'self') return;
    const target = event.targets?.[0];
    if (event.kind === 'system' && event.site === 'ledger') this.#ended(heard, target?.id ?? '');
    if (event.kind !== 'access-change') return;
    if (target?.type === 'RetentionPolicy') this.#policy(heard);
    if (target?.type === 'RetentionProposal' && target.id !== undefined) this.#proposal(heard, target.id);
  }

  #say(heard: HeardRecord, name: string, value: string | undefined, mayLack = false): void {
    const { tenant, index } = heard;
    this.said.set(name, { value, tenant, index, ...(mayLack ? { mayLack } : {}) });
  }

  #policy(heard: HeardRecord): void {
    const { record, tenant, tell, index } = heard;
    const { operation, changes = [] } = record.event;
    for (const { path, after = '' } of changes) {
      const name = path.replace(/^\/retention\//, '');
      if (!retentionClasses.some((one) => one === name) || !/^(life-of-record|\d+ days)$/.test(after))
        tell('own-event-invalid', 'days, or life-of-record, at /retention and a class', 'something else');
      else if (operation === 'retention-policy') this.#say(heard, `recorded/${tenant}/${name}`, after);
      else if (operation === 'retention-floor-confirmed')
        this.#say(heard, `confirmed/${tenant}/${name}`, `${after} at ${index}`);
    }
  }

  #proposal(heard: HeardRecord, id: string): void {
    const { record, tell, partial, index } = heard;
    const match = /^(shred|hold-release)-(proposed|approved|ordered)$/.exec(record.event.operation ?? '');
    if (match === null) return;
    const [, kind = '', step] = match;
    const plan = saidAt(record, kind === 'shred' ? '/plan' : '/hold');
    const by = record.event.actor.id;
    const known = this.#proposals.get(id);
    const at = `proposals/${id}`;
    if (plan === undefined) {
      tell('own-event-invalid', kind === 'shred' ? 'the hash of a plan' : 'the id of a hold', 'none');
    } else if (step === 'proposed') {
      if (known !== undefined) tell('own-event-senseless', 'a proposal that is new', 'one that was made before');
      this.#proposals.set(id, { plan, by, approvedBy: undefined });
      this.#say(heard, at, proposedWords({ kind, plan, by, index }));
      this.#say(heard, `${at}/expires`, saidAt(record, '/expires') ?? '');
      if (kind === 'shred') this.#say(heard, `${at}/units`, unitsSaid(record.event.changes ?? []), true);
      this.#forgetOldest();
    } else if (known === undefined || known.plan !== plan) {
      if (!partial) tell('own-event-senseless', 'a proposal of this plan or hold that was made before', 'none');
    } else if (step === 'approved') {
      if (known.by === by) tell('own-event-senseless', 'an approval by somebody else than who proposed', 'by the same');
      known.approvedBy = by;
      this.#say(heard, `${at}/approved`, `by ${by} at ${index}`);
    } else {
      if (known.approvedBy === undefined)
        tell('own-event-senseless', 'an order of what was approved', 'of what nobody approved');
      this.#ordered.add(plan);
      // It may have failed before anything was touched; then the file has it as approved again.
      this.#say(heard, `${at}/ordered`, `by ${by}`, true);
    }
  }

  /** What the ledger did: ordered before, by people. */
  #ended(heard: HeardRecord, id: string): void {
    const { record, tenant, tell, partial } = heard;
    switch (record.event.operation) {
      case 'hold-added':
        this.#say(heard, `holds/${tenant}/${id}`, 'on');
        break;
      case 'hold-released':
        this.#say(heard, `holds/${tenant}/${id}`, undefined);
        if (!this.#ordered.has(id) && !partial)
          tell('own-event-senseless', 'the release of a hold that was ordered before', 'no order of it');
        break;
      case 'shred-begun':
        if (!this.#ordered.has(saidAt(record, '/plan') ?? '') && !partial)
          tell('own-event-senseless', 'a shred of a plan that was ordered before', 'no order of it');
        break;
      default:
        break;
    }
  }

  /** Past so many, the file has long forgotten it too. */
  #forgetOldest(): void {
    const [oldest] = this.#proposals.keys();
    if (oldest === undefined || this.#proposals.size <= proposalsMax) return;
    this.#proposals.delete(oldest);
    for (const part of ['', '/expires', '/units', '/approved', '/ordered'])
      this.said.delete(`proposals/${oldest}${part}`);
  }
}

/** What the file holds; undefined where there is none. @throws ServerError `state-unknown` */
export async function readRetentionFacts(world: World, path: string): Promise<HeldFacts | undefined> {
  if ((await world.disk.size(path)) === undefined) return undefined;
  const { now } = await RetentionState.open(world, path);
  const facts: HeldFacts = new Map();
  const put = (name: string, value: string, tenant: string): unknown => facts.set(name, { value, tenant });
  for (const [tenant, classes] of Object.entries(now.recorded))
    for (const [name, days] of Object.entries(classes)) put(`recorded/${tenant}/${name}`, wordsOf(days), tenant);
  for (const [tenant, classes] of Object.entries(now.confirmed))
    for (const [name, { days, at }] of Object.entries(classes))
      put(`confirmed/${tenant}/${name}`, `${wordsOf(days)} at ${at}`, tenant);
  for (const [tenant, holds] of Object.entries(now.holds))
    for (const hold of holds) put(`holds/${tenant}/${hold}`, 'on', tenant);
  for (const proposal of now.proposals) {
    const { tenant } = proposal;
    for (const [part, value] of Object.entries(proposalFacts(proposal)))
      put(`proposals/${proposal.id}${part}`, value, tenant);
  }
  return facts;
}

/** Proposals that are over are forgotten by the file, the oldest first: what it lacks then is not missing. */
export function isFull(held: HeldFacts): boolean {
  let proposals = 0;
  for (const name of held.keys()) if (/^proposals\/[^/]+$/.test(name)) proposals++;
  return proposals >= proposalsKeptMax;
}

function proposalFacts(proposal: Proposal): Record<string, string> {
  const { about, plan, by, proposedAt, approvedAt, approvedBy, orderedBy, expiresMs, state } = proposal;
  const isApproved = state !== 'proposed' || approvedAt !== null || approvedBy !== null;
  const isOrdered = state === 'ordered' || orderedBy !== null;
  return {
    '': proposedWords({ kind: about.kind, plan: about.kind === 'shred' ? plan : about.hold, by, index: proposedAt }),
    '/expires': new Date(expiresMs).toISOString(),
    ...(about.kind === 'shred' && about.units.length <= unitsSaidMax
      ? { '/units': unitsDigest(about.units.map((unit) => `${unitName(unit)} ${unit.events} events`)) }
      : {}),
    ...(isApproved ? { '/approved': `by ${approvedBy} at ${approvedAt}` } : {}),
    ...(isOrdered ? { '/ordered': `by ${orderedBy}` } : {}),
  };
}

function proposedWords(of: {
  readonly kind: string;
  readonly plan: string;
  readonly by: string;
  readonly index: number;
}): string {
  return `${of.kind} ${of.plan} by ${of.by} at ${of.index}`;
}

function unitsSaid(changes: readonly { readonly path: string; readonly after?: string }[]): string {
  return unitsDigest(changes.flatMap(({ path, after }) => (path === '/unit' && after !== undefined ? [after] : [])));
}

function unitsDigest(units: readonly string[]): string {
  return `sha256:${hash('sha256', units.join('\n'), 'hex')}`;
}

function wordsOf(days: number | null): string {
  return days === null ? 'life-of-record' : `${days} days`;
}
