/**
 * Who does what next. The crew picks a person (roles in proportion to how much they click), gives them something that
 * is theirs to do, and keeps their unfinished sessions in turn. The choices come from the seed; only how fast answers
 * come decides how they interleave.
 */
import type { Roster, RosterPerson, Worklist } from '../roster.ts';
import { type Stream, streamOf } from '../world/prng.ts';
import type { StaffRole } from '../world/staff.ts';
import { activities } from './ordinary.ts';
import type { Ask, Reply, Scene, Work } from './work.ts';

const roleShares: Readonly<Record<StaffRole, number>> = { physician: 36, nurse: 34, registration: 18, billing: 12 };

export interface Session {
  readonly person: RosterPerson;
  readonly work: Work;
  /** What it wants to ask next. */
  readonly ask: Ask;
}

const nobody: Worklist = { appointments: [], panel: [], stays: [], claims: [] };

export interface CrewOptions {
  readonly roster: Roster;
  readonly seed: string;
  /** Sessions one person may have open at once. */
  readonly sessionsPerPerson: number;
  /** Now, as FHIR writes an instant. */
  readonly now: () => string;
  /** Whether somebody is here and may send requests. */
  readonly available: (person: RosterPerson) => boolean;
}

export class Crew {
  readonly #options: CrewOptions;
  readonly #stream: Stream;
  readonly #byRole: ReadonlyMap<StaffRole, readonly RosterPerson[]>;
  readonly #open = new Map<string, number>();
  readonly #waiting: Session[] = [];
  #begun = 0;

  constructor(options: CrewOptions) {
    this.#options = options;
    this.#stream = streamOf(options.seed, 'crew');
    this.#byRole = Map.groupBy(options.roster.staff, (person) => person.role);
  }

  get openSessions(): number {
    return [...this.#open.values()].reduce((sum, count) => sum + count, 0);
  }

  sceneOf(person: RosterPerson, ...path: readonly (string | number)[]): Scene {
    const { roster, seed, now } = this.#options;
    return {
      person,
      roster,
      now,
      worklist: roster.worklists[person.id] ?? nobody,
      stream: streamOf(seed, person.id, ...path),
    };
  }

  /** A session whose turn it is: an unfinished one, or a new one while fewer than `target` are open. */
  next(target: number): Session | undefined {
    if (this.openSessions < target) {
      const fresh = this.#begin();
      if (fresh !== undefined) return fresh;
    }
    return this.#waiting.shift();
  }

  /** Takes the answer to a session's request; the session waits for its next turn, or is over. */
  answered(session: Session, reply: Reply): void {
    const step = session.work.next(reply);
    if (step.done === true) this.#end(session);
    else this.#waiting.push({ ...session, ask: step.value });
  }

  /** Ends a session that can't go on. */
  abandon(session: Session): void {
    session.work.return();
    this.#end(session);
  }

  #end(session: Session): void {
    this.#open.set(session.person.id, Math.max(0, (this.#open.get(session.person.id) ?? 0) - 1));
  }

  #begin(): Session | undefined {
    const person = this.#pickPerson();
    if (person === undefined) return undefined;
    const scene = this.sceneOf(person, 'session', this.#begun++);
    const possible = activities.filter((activity) => activity.role === person.role && activity.possible(scene));
    if (possible.length === 0) return undefined;
    const work = scene.stream.weighted(possible.map((activity) => [activity, activity.weight] as const)).work(scene);
    const step = work.next();
    if (step.done === true) return undefined;
    this.#open.set(person.id, (this.#open.get(person.id) ?? 0) + 1);
    return { person, work, ask: step.value };
  }

  #pickPerson(): RosterPerson | undefined {
    const { sessionsPerPerson, available } = this.#options;
    const role = this.#stream.weighted(Object.entries(roleShares) as [StaffRole, number][]);
    const free = (this.#byRole.get(role) ?? []).filter(
      (person) => available(person) && (this.#open.get(person.id) ?? 0) < sessionsPerPerson,
    );
    return free.length === 0 ? undefined : this.#stream.pick(free);
  }
}
