/**
 * The step between the sign-in and the application: whose record it is for. A patient's own, without asking; the one the EHR launched it with; or one that the person looks up
 * and may read. The context is an event before the application gets it, and so is every launch that is refused.
 */
import type { Access, OwnEvent, Person, RecordOwn } from '../access/access.ts';
import { sourceOf } from '../access/change.ts';
import type { World } from '../world/world.ts';
import { type Assurance, isOver, ownPatientOf } from './claims.ts';
import { renderLaunchPage } from './launch-page.ts';
import type { Launches, LaunchFault } from './launches.ts';
import { type Found, type PatientSearch, termCharsMax } from './patient-search.ts';
import type { Visit } from './sign-in-steps.ts';
import type { LaunchContext } from './sign-ins.ts';
import { isPatientScope } from './smart-scopes.ts';

const choosingMs = 15 * 60_000;
const choosingMax = 10_000;

/** What the application asked for. */
export interface Asked {
  readonly scopes: readonly string[];
  readonly launch?: string;
}

export interface LaunchVisit extends Visit {
  readonly asked: Asked;
  /** Goes on to the application. */
  readonly goOn: (person: Person, assurance: Assurance, context: LaunchContext | undefined) => Promise<void>;
  /** Goes back to the application without. */
  readonly refuse: (error: 'access_denied' | 'invalid_request', description: string) => Promise<void>;
}

export interface LaunchStep {
  /** Somebody has signed in. */
  begin(visit: LaunchVisit, person: Person, assurance: Assurance): Promise<void>;
  /** Whether the visit waits for a choice. */
  waits(visit: Visit): boolean;
  show(visit: LaunchVisit): void;
  submit(visit: LaunchVisit, form: URLSearchParams | undefined): Promise<void>;
}

interface Choosing {
  readonly person: string;
  readonly assurance: Assurance;
  readonly since: number;
  /** Whether a banner with the patient's name is the application's to show. */
  readonly launched: Omit<LaunchContext, 'patient'>;
  readonly untilMs: number;
}

export function createLaunchStep(parts: {
  readonly people: Pick<Access['people'], 'get' | 'endedMs'>;
  readonly launches: Launches;
  readonly world: World;
  readonly record: RecordOwn;
  /** Undefined where no FHIR base is configured: then nobody can be looked up. */
  readonly patients: PatientSearch | undefined;
  /** A token of the person for the search. */
  readonly mint: (person: Person, assurance: Assurance, authTimeSeconds: number) => Promise<string>;
}): LaunchStep {
  const { people, launches, world, record, patients } = parts;
  const choosing = new Map<string, Choosing>();

  const find = (visit: Visit): (Choosing & { readonly who: Person }) | undefined => {
    const one = choosing.get(visit.key);
    const who = one === undefined ? undefined : people.get(one.person);
    if (
      one !== undefined &&
      who !== undefined &&
      !who.disabled &&
      !isOver(one.assurance, one.person, people) &&
      world.clock.monotonicMs() < one.untilMs
    )
      return { ...one, who };
    choosing.delete(visit.key);
    return undefined;
  };
  const tell = (visit: LaunchVisit, person: Person, said: Pick<OwnEvent, 'operation' | 'outcome' | 'targets'>) =>
    record({
      tenant: person.tenant,
      kind: 'auth',
      action: 'execute',
      ...said,
      actor: {
        id: person.id,
        type: person.roles.includes('patient') ? 'patient' : 'human',
        roles: person.roles,
        ...(visit.client === undefined ? {} : { client: visit.client }),
      },
      ...sourceOf(visit.origin),
    });

  const goOn = async (visit: LaunchVisit, person: Person, assurance: Assurance, context: LaunchContext | undefined) => {
    choosing.delete(visit.key);
    if (context?.patient !== undefined) {
      const { patient, encounter } = context;
      await tell(visit, person, {
        operation: 'launch-context',
        outcome: { status: 'success' },
        targets: [
          { type: 'Patient', id: patient, patient, role: 'object' },
          ...(encounter === undefined ? [] : [{ type: 'Encounter', id: encounter, patient, role: 'object' }]),
        ],
      });
    }
    await visit.goOn(person, assurance, context);
  };
  const refuseLaunch = async (visit: LaunchVisit, person: Person, reason: LaunchFault | 'launch-other-patient') => {
    await tell(visit, person, { operation: 'launch', outcome: { status: 'denied', reason } });
    await visit.refuse(
      reason === 'launch-of-another-person' ? 'access_denied' : 'invalid_request',
      'the launch is not good (any more); launch again',
    );
  };

  async function pick(visit: LaunchVisit, one: Choosing & { readonly who: Person }, id: string): Promise<void> {
    const token = await parts.mint(one.who, one.assurance, one.since);
    const found = (await patients?.read(id, token)) ?? ({ kind: 'unavailable' } as const);
    if (found.kind === 'found' && found.patients.some((patient) => patient.id === id))
      return goOn(visit, one.who, one.assurance, { ...one.launched, patient: id });
    show(visit, { term: '', problem: problemOf(found) ?? 'There is no such patient.' });
  }

  async function look(visit: LaunchVisit, one: Choosing & { readonly who: Person }, typed: string): Promise<void> {
    const term = typed.trim().slice(0, termCharsMax);
    if (term === '') return show(visit, { term, problem: 'Type a name, a part of it, or the id.' });
    const token = await parts.mint(one.who, one.assurance, one.since);
    const found = (await patients?.find(term, token)) ?? ({ kind: 'unavailable' } as const);
    const problem = problemOf(found);
    if (found.kind === 'found') show(visit, { term, found: found.patients });
    else show(visit, { term, ...(problem === undefined ? {} : { problem }) });
  }

  function show(
    { action, clientName, send }: Visit,
    page: Omit<Parameters<typeof renderLaunchPage>[0], 'action' | 'clientName'>,
  ): void {
    send(page.problem === undefined ? 200 : 422, renderLaunchPage({ action, clientName, ...page }));
  }

  return {
    async begin(visit, person, assurance) {
      const { scopes, launch: id } = visit.asked;
      const launched =
        id === undefined ? undefined : await launches.take(id, { client: visit.client ?? '', person: person.id });
      if (typeof launched === 'string') return refuseLaunch(visit, person, launched);
      const own = ownPatientOf(person);
      const isPatient = person.roles.includes('patient');
      // Whoever launched it: a patient sees nobody else's record.
      if (isPatient && launched?.patient !== undefined && launched.patient !== own)
        return refuseLaunch(visit, person, 'launch-other-patient');
      const { patient, encounter, intent, needPatientBanner = true } = launched ?? {};
      const context: Omit<LaunchContext, 'patient'> = {
        needPatientBanner,
        ...(encounter === undefined ? {} : { encounter }),
        ...(intent === undefined ? {} : { intent }),
      };
      if (patient !== undefined) return goOn(visit, person, assurance, { ...context, patient });
      if (!scopes.includes('launch/patient') && !scopes.some(isPatientScope))
        return goOn(visit, person, assurance, launched === undefined ? undefined : context);
      if (isPatient)
        return goOn(visit, person, assurance, own === undefined ? undefined : { ...context, patient: own });
      choosing.set(visit.key, {
        person: person.id,
        assurance,
        since: Math.floor(world.clock.now() / 1_000),
        launched: context,
        untilMs: world.clock.monotonicMs() + choosingMs,
      });
      const [oldest] = choosing.keys();
      if (choosing.size > choosingMax && oldest !== undefined) choosing.delete(oldest);
      show(visit, { term: '' });
    },
    waits: (visit) => find(visit) !== undefined,
    show: (visit) => show(visit, { term: '' }),
    async submit(visit, form) {
      const one = find(visit);
      if (one === undefined) return visit.refuse('access_denied', 'it took too long to choose a patient');
      switch (form?.get('step')) {
        case 'patient-find':
          return look(visit, one, form.get('term') ?? '');
        case 'patient-pick':
          return pick(visit, one, form.get('patient') ?? '');
        case 'patient-none':
          choosing.delete(visit.key);
          return visit.refuse('access_denied', 'no patient was chosen');
        default:
          return show(visit, { term: '' });
      }
    },
  };
}

function problemOf({ kind }: Found): string | undefined {
  if (kind === 'refused') return 'You may not look patients up: your role, or how you signed in, does not allow it.';
  return kind === 'unavailable' ? 'Patients can’t be looked up at the moment. Try again.' : undefined;
}
