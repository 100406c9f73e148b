/** Retention over a ledger and its own little state. Steps are taken one at a time: checked, recorded, stored, done. */
import { decode, type RetentionClass, retentionClasses, type TenantId } from '@watchglass/record';
import { parseUnitName, type Unit, unitName } from '@watchglass/record/reader';
import type { PersonPrincipal, Principal } from '../access/access.ts';
import { ServerError } from '../errors.ts';
import { LedgerError } from '../ledger/errors.ts';
import type { Hold, HoldCriteria, PlannedUnit, ShredOutcome } from '../ledger/shred.ts';
import { hashPlan } from '../ledger/shred-survey.ts';
import { strongPerson } from './approval.ts';
import { dayMs, eachClass, epochEndMs, floorDays, isOver, type Policy, policyOf } from './policy.ts';
import type { Plan, Retention, RetentionDeps } from './retention.ts';
import { recordStep } from './retention-events.ts';
import { type Proposal, RetentionState } from './retention-state.ts';

const resumeMs = 60_000;

/** Records policies that differ from what was in force at the last start. @throws ServerError `state-unknown` */
export async function openRetention(deps: RetentionDeps): Promise<Retention> {
  const retention = new OpenedRetention(deps, await RetentionState.open(deps.world, deps.path));
  await retention.start();
  return retention;
}

class OpenedRetention implements Retention {
  readonly #deps: RetentionDeps;
  readonly #state: RetentionState;
  readonly #timer: { cancel(): void };
  #last: Promise<unknown> = Promise.resolve();
  #resuming: Promise<void> | undefined;

  constructor(deps: RetentionDeps, state: RetentionState) {
    this.#deps = deps;
    this.#state = state;
    this.#timer = deps.world.clock.every(resumeMs, () => void this.#resumeUnfinished());
  }

  async start(): Promise<void> {
    const { ledger } = this.#deps;
    if (ledger.state.kind !== 'writable') return;
    for (const tenant of ledger.tenants()) await this.#recordPolicies(tenant);
  }

  policies(tenant: TenantId): readonly Policy[] {
    return eachClass((one) => policyOf(this.#deps.settings, tenant, one, this.#state.confirmed(tenant, one)?.days));
  }

  async #recordPolicies(tenant: TenantId): Promise<void> {
    const recorded = this.#state.now.recorded[tenant] ?? {};
    const policies = this.policies(tenant);
    const changed = policies.filter(({ retentionClass, days }) => recorded[retentionClass] !== days);
    if (changed.length === 0) return;
    await recordStep(this.#deps.record, {
      tenant,
      by: 'server',
      operation: 'retention-policy',
      target: { type: 'RetentionPolicy', id: tenant },
      changes: changed.map(({ retentionClass, days }) => [
        `/retention/${retentionClass}`,
        wordsOf(days),
        recorded[retentionClass] === undefined ? undefined : wordsOf(recorded[retentionClass] as number | null),
      ]),
    });
    const days = Object.fromEntries(policies.map((policy) => [policy.retentionClass, policy.days]));
    await this.#state.change((state) => ({ ...state, recorded: { ...state.recorded, [tenant]: days } }));
  }

  confirm(
    tenant: TenantId,
    of: { readonly retentionClass: string; readonly days: number },
    by: Principal,
  ): Promise<Policy> {
    return this.#alone(async () => {
      const person = this.#strong(by);
      const retentionClass = retentionClasses.find((one) => one === of.retentionClass);
      const policy = this.policies(tenant).find((one) => one.retentionClass === retentionClass);
      if (retentionClass === undefined || policy?.configured !== of.days || of.days >= floorDays)
        throw new ServerError(
          'input-invalid',
          `expected a class for which fewer than ${floorDays} days are configured, and those days; GET /v1/retention has them`,
        );
      const at = await recordStep(this.#deps.record, {
        tenant,
        by: person,
        operation: 'retention-floor-confirmed',
        target: { type: 'RetentionPolicy', id: tenant },
        changes: [[`/retention/${retentionClass}`, wordsOf(of.days), wordsOf(policy.days)]],
      });
      await this.#state.change((state) => ({
        ...state,
        confirmed: {
          ...state.confirmed,
          [tenant]: { ...state.confirmed[tenant], [retentionClass]: { days: of.days, at } },
        },
      }));
      await this.#recordPolicies(tenant);
      return this.policies(tenant).find((one) => one.retentionClass === retentionClass) as Policy;
    });
  }

  async plan(tenant: TenantId, atMs: number = this.#nowMs(), signal?: AbortSignal): Promise<Plan> {
    await this.holds(tenant);
    const days = this.#days(tenant);
    const isDue = (unit: Unit): boolean => isOver(unit.epoch, days.get(unit.retentionClass) ?? null, atMs);
    const surveys = await this.#deps.ledger.ending.survey(tenant, isDue, signal);
    const units = surveys.map((survey) => ({ ...survey, days: days.get(survey.retentionClass) as number }));
    const going = units.filter((unit) => !isHeldWhole(unit));
    return {
      at: new Date(atMs).toISOString(),
      hash: hashPlan(tenant, going),
      units: going,
      heldWhole: units.filter(isHeldWhole),
    };
  }

  propose(
    tenant: TenantId,
    asked: { readonly units?: readonly string[]; readonly plan?: string },
    by: Principal,
  ): Promise<Proposal> {
    return this.#alone(async () => {
      const person = this.#strong(by);
      const wanted = asked.units?.map(unitOf);
      for (const unit of wanted ?? []) await this.#assertOver(tenant, unit);
      const plan = await this.plan(tenant);
      const isWanted = (unit: Unit): boolean =>
        wanted === undefined || wanted.some((one) => unitName(one) === unitName(unit));
      const units = plan.units.filter(isWanted);
      for (const unit of units) await this.#assertOver(tenant, unit);
      if (wanted !== undefined && plan.heldWhole.some(isWanted)) throw new ServerError('held-whole');
      if (units.length === 0 || (wanted !== undefined && units.length < wanted.length))
        throw new ServerError('nothing-to-shred');
      const hash = hashPlan(tenant, units);
      if (asked.plan !== undefined && asked.plan !== hash) throw new ServerError('plan-changed');
      return this.#add(tenant, person, {
        plan: hash,
        about: {
          kind: 'shred',
          units: units.map(({ retentionClass, epoch, days, events }) => ({ retentionClass, epoch, days, events })),
        },
      });
    });
  }

  proposeRelease(tenant: TenantId, hold: string, by: Principal): Promise<Proposal> {
    return this.#alone(async () => {
      const person = this.#strong(by);
      if (!(await this.holds(tenant)).some(({ id }) => id === hold))
        throw new ServerError('not-found', 'expected the id of a hold that is on; `watchglass hold list` has them');
      return this.#add(tenant, person, { plan: hold, about: { kind: 'hold-release', hold } });
    });
  }

  async #add(tenant: TenantId, person: PersonPrincipal, what: Pick<Proposal, 'plan' | 'about'>): Promise<Proposal> {
    const { world, settings, record } = this.#deps;
    const atMs = this.#nowMs();
    const proposal: Omit<Proposal, 'proposedAt'> = {
      id: `rp-${Buffer.from(world.random.bytes(8)).toString('hex')}`,
      tenant,
      ...what,
      by: person.id,
      atMs,
      expiresMs: atMs + settings.approval.proposalMs,
      approvedBy: null,
      approvedAt: null,
      state: 'proposed',
      orderedBy: null,
    };
    const proposedAt = await recordStep(record, {
      tenant,
      by: person,
      operation: proposal.about.kind === 'shred' ? 'shred-proposed' : 'hold-release-proposed',
      target: { type: 'RetentionProposal', id: proposal.id },
      changes: [...aboutOf(proposal), ['/expires', new Date(proposal.expiresMs).toISOString()]],
    });
    const placed = { ...proposal, proposedAt };
    await this.#state.change((state) => ({ ...state, proposals: [...state.proposals, placed] }));
    return placed;
  }

  approve(tenant: TenantId, id: string, plan: string, by: Principal): Promise<Proposal> {
    return this.#alone(async () => {
      const person = this.#strong(by);
      const proposal = this.#find(tenant, id, 'proposed');
      if (proposal.by === person.id) throw new ServerError('same-person');
      if (proposal.plan !== plan)
        throw new ServerError('plan-changed', 'what you approve is not what was proposed; look at the proposal again');
      const approvedAt = await recordStep(this.#deps.record, {
        tenant,
        by: person,
        operation: proposal.about.kind === 'shred' ? 'shred-approved' : 'hold-release-approved',
        target: { type: 'RetentionProposal', id },
        changes: aboutOf(proposal),
      });
      return this.#put({ ...proposal, approvedBy: person.id, approvedAt, state: 'approved' });
    });
  }

  execute(
    tenant: TenantId,
    id: string,
    by: Principal,
  ): Promise<{ readonly proposal: Proposal; readonly outcomes: readonly ShredOutcome[] }> {
    return this.#alone(async () => {
      const person = this.#strong(by);
      const proposal = this.#find(tenant, id, 'approved');
      await this.#assertSaid(tenant, proposal);
      await this.holds(tenant);
      if (proposal.about.kind === 'shred')
        for (const unit of proposal.about.units) await this.#assertOver(tenant, unit);
      await recordStep(this.#deps.record, {
        tenant,
        by: person,
        operation: proposal.about.kind === 'shred' ? 'shred-ordered' : 'hold-release-ordered',
        target: { type: 'RetentionProposal', id },
        changes: aboutOf(proposal),
      });
      const ordered = await this.#put({ ...proposal, orderedBy: person.id, state: 'ordered' });
      try {
        const outcomes = await this.#carryOut(tenant, ordered);
        return { proposal: await this.#put({ ...ordered, state: 'done' }), outcomes };
      } catch (error) {
        // Nothing was touched: it can be ordered again, or proposed anew. What has begun stays ordered.
        if (!(error instanceof LedgerError && error.code === 'shred-unfinished'))
          await this.#put({ ...proposal, state: isPlanChanged(error) ? 'done' : 'approved' });
        throw error;
      }
    });
  }

  /** Two people, as the log says and not as a file beside it does. */
  async #assertSaid(tenant: TenantId, proposal: Proposal): Promise<void> {
    const { about, by, proposedAt, approvedBy, approvedAt } = proposal;
    const what = about.kind === 'shred' ? 'shred' : 'hold-release';
    const isSaid =
      by !== approvedBy &&
      (await this.#isSaid(tenant, proposal, { at: proposedAt, by, operation: `${what}-proposed` })) &&
      (await this.#isSaid(tenant, proposal, { at: approvedAt, by: approvedBy, operation: `${what}-approved` }));
    if (!isSaid) throw new ServerError('approval-unproven');
  }

  async #isSaid(
    tenant: TenantId,
    { id, plan, about }: Proposal,
    step: { readonly at: number | null; readonly by: string | null; readonly operation: string },
  ): Promise<boolean> {
    if (step.at === null) return false;
    const { m } = await this.#opened(tenant, step.at);
    const { submitter, event } = decode(m);
    const said = event.changes?.find(({ path }) => path === (about.kind === 'shred' ? '/plan' : '/hold'))?.after;
    return (
      submitter === 'self' &&
      event.kind === 'access-change' &&
      event.operation === step.operation &&
      event.actor.id === step.by &&
      event.targets?.[0]?.id === id &&
      said === plan
    );
  }

  /** @throws ServerError `approval-unproven` where there is no such event, or none any more */
  async #opened(tenant: TenantId, index: number): Promise<{ readonly m: Uint8Array }> {
    try {
      return await this.#deps.ledger.open(tenant, index);
    } catch (cause) {
      if (!(cause instanceof LedgerError) || (cause.code !== 'not-found' && cause.code !== 'shredded')) throw cause;
      throw new ServerError('approval-unproven', undefined, { cause });
    }
  }

  async #carryOut(
    tenant: TenantId,
    { about, plan, by, approvedBy, orderedBy }: Proposal,
  ): Promise<readonly ShredOutcome[]> {
    const { ending } = this.#deps.ledger;
    const people = [...new Set([by, approvedBy, orderedBy].filter((one) => one !== null))];
    if (about.kind === 'shred') return ending.shred(tenant, { units: about.units, plan, people });
    await ending.releaseHold(tenant, about.hold, people);
    await this.#state.change((state) => ({
      ...state,
      holds: { ...state.holds, [tenant]: (state.holds[tenant] ?? []).filter((one) => one !== about.hold) },
    }));
    return [];
  }

  proposals(tenant: TenantId): readonly Proposal[] {
    return this.#state.now.proposals.filter((one) => one.tenant === tenant);
  }

  shredded(tenant: TenantId): ReturnType<Retention['shredded']> {
    return this.#deps.ledger.ending.shredded(tenant);
  }

  async holds(tenant: TenantId): Promise<readonly Hold[]> {
    const holds = await this.#deps.ledger.ending.holds(tenant);
    const missing = (this.#state.now.holds[tenant] ?? []).filter((id) => !holds.some((hold) => hold.id === id));
    if (missing.length > 0)
      throw new ServerError(
        'hold-missing',
        `the hold ${missing[0]} was added and is not in the ledger any more; restore ledger/${tenant}/holds from its backup before anything goes (after a succession it is in the ledger that was left: docs/retention.md)`,
      );
    return holds;
  }

  addHold(
    tenant: TenantId,
    { criteria, matter, reason }: { readonly criteria: HoldCriteria; readonly matter: string; readonly reason: string },
    by: Principal,
  ): Promise<Hold> {
    return this.#alone(async () => {
      const added = new Date(this.#nowMs()).toISOString();
      const hold = await this.#deps.ledger.ending.addHold(tenant, { v: 1, criteria, matter, reason, by: by.id, added });
      await this.#state.change((state) => ({
        ...state,
        holds: { ...state.holds, [tenant]: [...(state.holds[tenant] ?? []), hold.id] },
      }));
      return hold;
    });
  }

  async resume(): Promise<void> {
    const { ledger, report } = this.#deps;
    if (ledger.state.kind !== 'writable') return;
    try {
      const ended = await ledger.ending.resume();
      if (ended.length > 0) report?.({ level: 'info', message: `${ended.length} shreds that had begun are over` });
    } catch (error) {
      report?.({ level: 'error', message: `a shred that has begun is not over: ${messageOf(error)}` });
    }
    await this.#settle();
  }

  /** What was ordered when the process ended: over, or never begun. */
  async #settle(): Promise<void> {
    const { ending } = this.#deps.ledger;
    for (const proposal of this.#state.now.proposals) {
      const { tenant, about, state } = proposal;
      if (state !== 'ordered' || ending.unfinished(tenant as TenantId).length > 0) continue;
      const isOverNow =
        about.kind === 'shred'
          ? ending
              .shredded(tenant as TenantId)
              .some((unit) => about.units.some((one) => unitName(one) === unitName(unit)))
          : !(await ending.holds(tenant as TenantId)).some(({ id }) => id === about.hold);
      await this.#put({ ...proposal, state: isOverNow ? 'done' : 'approved' });
      if (isOverNow && about.kind === 'hold-release')
        await this.#state.change((now) => ({
          ...now,
          holds: { ...now.holds, [tenant]: (now.holds[tenant] ?? []).filter((one) => one !== about.hold) },
        }));
    }
  }

  #resumeUnfinished(): Promise<void> {
    const { ledger } = this.#deps;
    if (!ledger.tenants().some((tenant) => ledger.ending.unfinished(tenant).length > 0)) return Promise.resolve();
    this.#resuming ??= this.#alone(() => this.resume()).finally(() => {
      this.#resuming = undefined;
    });
    return this.#resuming;
  }

  #find(tenant: TenantId, id: string, state: Proposal['state']): Proposal {
    const proposal = this.proposals(tenant).find((one) => one.id === id);
    if (proposal === undefined)
      throw new ServerError('not-found', 'expected the id of a proposal; `watchglass retention list` has them');
    if (proposal.state !== state)
      throw new ServerError(
        'proposal-state',
        `expected a proposal that is ${state}, got one that is ${proposal.state}`,
      );
    if (this.#nowMs() >= proposal.expiresMs) throw new ServerError('proposal-expired');
    return proposal;
  }

  async #put(proposal: Proposal): Promise<Proposal> {
    await this.#state.change((state) => ({
      ...state,
      proposals: state.proposals.map((one) => (one.id === proposal.id ? proposal : one)),
    }));
    return proposal;
  }

  async #assertOver(tenant: TenantId, unit: Unit): Promise<void> {
    const days = this.#days(tenant).get(unit.retentionClass) ?? null;
    const nowMs = this.#nowMs();
    if (isOver(unit.epoch, days, nowMs)) {
      if ((days ?? floorDays) < floorDays) await this.#assertConfirmed(tenant, unit.retentionClass);
      return;
    }
    const keptDays = Math.floor((nowMs - epochEndMs(unit.epoch)) / dayMs);
    if (days === floorDays)
      throw new ServerError(
        'retention-floor',
        `${unitName(unit)} has been kept for ${Math.max(0, keptDays)} days since its end, and six years are ${floorDays}`,
      );
    throw new ServerError(
      'retention-not-over',
      `${unitName(unit)} is kept ${days === null ? 'for the life of the record' : `for ${days} days from its end`}`,
    );
  }

  /** Fewer than six years stand on an event, too. */
  async #assertConfirmed(tenant: TenantId, retentionClass: RetentionClass): Promise<void> {
    const { days, at } = this.#state.confirmed(tenant, retentionClass) ?? { days: -1, at: -1 };
    const { submitter, event } = decode((await this.#opened(tenant, at)).m);
    const said = event.changes?.find(({ path }) => path === `/retention/${retentionClass}`)?.after;
    if (submitter !== 'self' || event.operation !== 'retention-floor-confirmed' || said !== wordsOf(days))
      throw new ServerError(
        'approval-unproven',
        'the log does not say that fewer than six years were confirmed; confirm them anew',
      );
  }

  #days(tenant: TenantId): ReadonlyMap<RetentionClass, number | null> {
    return new Map(this.policies(tenant).map(({ retentionClass, days }) => [retentionClass, days]));
  }

  #strong(by: Principal): PersonPrincipal {
    return strongPerson(by, this.#deps.settings.approval, this.#nowMs());
  }

  #nowMs(): number {
    return this.#deps.world.clock.now();
  }

  #alone<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work, work);
    this.#last = done.catch(() => undefined);
    return done;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#timer.cancel();
    await this.#last.catch(() => undefined);
  }
}

function isHeldWhole({ held, events }: PlannedUnit): boolean {
  return held.some(([, count]) => count === events);
}

function isPlanChanged(error: unknown): boolean {
  return error instanceof LedgerError && error.code === 'plan-changed';
}

function unitOf(name: string): Unit {
  const unit = parseUnitName(name);
  if (unit === undefined)
    throw new ServerError('input-invalid', 'expected units such as `access-674`: a class and the number of an epoch');
  return unit;
}

function aboutOf({ about, plan }: Pick<Proposal, 'about' | 'plan'>): [string, string][] {
  if (about.kind === 'hold-release') return [['/hold', about.hold]];
  return [
    ['/plan', plan],
    ...about.units.map((unit): [string, string] => ['/unit', `${unitName(unit)} ${unit.events} events`]),
  ];
}

function wordsOf(days: number | null): string {
  return days === null ? 'life-of-record' : `${days} days`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
