/**
 * The traffic: the crew's ordinary work at a steady rate, and misuse beside it at its own pace, through the gateway,
 * until told to stop. It outlives restarts of the gateway, keeps a bounded number of requests under way, and prints a
 * line of counts every ten seconds.
 */
import { readFile } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import { patientsOf, type Resource } from '../resource.ts';
import { type Roster, type RosterPerson, readRoster } from '../roster.ts';
import { type Stream, streamOf } from '../world/prng.ts';
import { Counts } from './counts.ts';
import { Crew, type Session } from './crew.ts';
import { Labels } from './labels.ts';
import { scenarios } from './misuse.ts';
import { Outage } from './outage.ts';
import type { Scenario } from './scenario.ts';
import { pollMs, Tokens } from './tokens.ts';
import { type Answer, Wire } from './wire.ts';
import { type Ask, entriesOf, type Reply } from './work.ts';

export interface TrafficOptions {
  /** Origin; the FHIR API is at `/fhir` below it. */
  readonly gateway: string;
  readonly caFile: string | undefined;
  readonly tokensFile: string;
  readonly rosterFile: string;
  readonly seed: string;
  /** Ordinary requests a second. */
  readonly rate: number;
  /** Names of scenarios. */
  readonly misuse: readonly string[];
  readonly misuseAfterMs: number;
  readonly misuseEveryMs: number;
  readonly labelsFile: string | undefined;
  readonly durationMs: number | undefined;
  readonly diurnal: boolean;
  readonly signal: AbortSignal;
  /** Called once the roster is read and work begins. */
  readonly onReady?: () => void;
  readonly print: (line: string) => void;
}

export interface TrafficSummary {
  readonly requests: number;
  readonly labels: number;
}

const lineEveryMs = 10_000;
const inFlightMax = 256;
/** A backlog longer than this is dropped: a stalled gateway isn't flooded when it comes back. */
const backlogMaxMs = 1000;
const restWhenRefusedMs = 3000;

/** Works until the signal aborts or the duration is over. */
export async function runTraffic(options: TrafficOptions): Promise<TrafficSummary> {
  const roster = await readRoster(options.rosterFile);
  const ca = options.caFile === undefined ? undefined : await readFile(options.caFile, 'utf8');
  const stop = new AbortController();
  const ends = [options.signal, stop.signal];
  if (options.durationMs !== undefined) ends.push(AbortSignal.timeout(options.durationMs));
  const signal = AbortSignal.any(ends);
  const sessionsPerPerson = Math.min(8, 1 + Math.floor(options.rate / 100));
  const onNoAddress = (): void =>
    options.print('traffic: this machine has no 127.1.x.y addresses; everybody works from 127.0.0.1');
  await using wire = new Wire({
    gateway: options.gateway,
    ca,
    connectionsPerPerson: sessionsPerPerson + 1,
    signal,
    onNoAddress,
  });
  using labels = new Labels(options.labelsFile);
  const traffic = new Traffic({ options, roster, wire, labels, signal, sessionsPerPerson });
  options.onReady?.();
  try {
    await traffic.run();
  } finally {
    // Where one job failed the others are told to end.
    stop.abort();
  }
  return { requests: traffic.counts.total, labels: labels.written };
}

interface TrafficParts {
  readonly options: TrafficOptions;
  readonly roster: Roster;
  readonly wire: Wire;
  readonly labels: Labels;
  readonly signal: AbortSignal;
  readonly sessionsPerPerson: number;
}

const monotonicMs = (): number => performance.now();
const now = (): string => new Date().toISOString();

class Traffic {
  readonly counts: Counts = new Counts();
  readonly #parts: TrafficParts;
  readonly #crew: Crew;
  readonly #tokens: Tokens;
  readonly #outage = new Outage(monotonicMs);
  readonly #underWay = new Set<Promise<void>>();
  /** Part of the names of episodes, so that those of two runs differ: `20260304T091500`. */
  readonly #began = now().replace(/\..*|[-:]/g, '');

  constructor(parts: TrafficParts) {
    const { options, roster, sessionsPerPerson } = parts;
    this.#parts = parts;
    this.#tokens = new Tokens(options.tokensFile, monotonicMs);
    this.#crew = new Crew({
      roster,
      seed: options.seed,
      sessionsPerPerson,
      now,
      available: (person) => this.#isAvailable(person),
    });
  }

  async run(): Promise<void> {
    const { options } = this.#parts;
    const wanted = scenarios.filter((scenario) => options.misuse.includes(scenario.name));
    await this.#tokens.refresh();
    const jobs = [
      this.#ordinary(),
      this.#watchTokens(),
      this.#report(),
      ...wanted.map((scenario, index) => this.#misuse(scenario, index)),
    ];
    await Promise.all(jobs.map((job) => job.catch((error: unknown) => this.#ignoreStop(error))));
    await Promise.all(this.#underWay);
  }

  /** The waits end by throwing once the signal aborts; that is how every job here comes to its end. */
  #ignoreStop(error: unknown): void {
    if (!this.#parts.signal.aborted) throw error;
  }

  #isAvailable(person: RosterPerson): boolean {
    return this.#tokens.of(person) !== undefined && !this.#outage.isResting(person.id) && this.#isOnShift(person);
  }

  #isOnShift(person: RosterPerson): boolean {
    const shift = this.#parts.roster.shifts[person.id];
    if (!this.#parts.options.diurnal || shift === undefined) return true;
    const hour = new Date().getUTCHours();
    const { startHour, endHour } = shift;
    return startHour < endHour ? hour >= startHour && hour < endHour : hour >= startHour || hour < endHour;
  }

  /** Requests a second now: by day shift everybody works at the full rate, by night only the night shift does. */
  #rateNow(): number {
    const { options, roster } = this.#parts;
    if (!options.diurnal) return options.rate;
    const present = roster.staff.filter((person) => this.#isOnShift(person)).length;
    return Math.max(options.rate * 0.02, (options.rate * present) / Math.max(1, roster.staff.length));
  }

  async #ordinary(): Promise<void> {
    const { options, signal, roster, sessionsPerPerson } = this.#parts;
    const gaps = streamOf(options.seed, 'gaps');
    const target = Math.max(4, Math.min(Math.ceil(options.rate * 3), roster.staff.length * sessionsPerPerson));
    let dueMs = monotonicMs();
    while (!signal.aborted) {
      dueMs = Math.max(dueMs, monotonicMs() - backlogMaxMs) - (Math.log(1 - gaps.unit()) * 1000) / this.#rateNow();
      const waitMs = Math.max(dueMs - monotonicMs(), this.#outage.remainingMs);
      if (waitMs > 0.5) await wait(waitMs, undefined, { signal });
      if (this.#underWay.size >= inFlightMax) {
        this.counts.skipped();
        // Lets answers come in; without a wait a backlog would spin here.
        await wait(1, undefined, { signal });
        continue;
      }
      const session = this.#crew.next(target);
      if (session !== undefined) this.#track(this.#step(session));
    }
  }

  #track(job: Promise<void>): void {
    const tracked: Promise<void> = job.finally(() => this.#underWay.delete(tracked));
    this.#underWay.add(tracked);
  }

  async #step(session: Session): Promise<void> {
    const reply = await this.#send(session.person, session.ask);
    if (reply === undefined) this.#crew.abandon(session);
    else this.#crew.answered(session, reply);
  }

  /** Sends and counts; undefined when the work can't go on: nobody answered, or the person was told to wait. */
  async #send(person: RosterPerson, ask: Ask): Promise<Reply | undefined> {
    const token = this.#tokens.of(person);
    if (token === undefined) return undefined;
    const sentMs = monotonicMs();
    const answer: Answer = await this.#parts.wire.send(person, token, ask);
    if (answer.kind === 'unreachable') {
      if (!this.#parts.signal.aborted) {
        this.counts.unreachable();
        this.#outage.failed();
      }
      return undefined;
    }
    this.#outage.answered();
    const { reply, retryAfterMs } = answer;
    this.counts.answered(reply.status, monotonicMs() - sentMs);
    if (reply.status === 401) {
      await this.#tokens.refused();
      if (this.#tokens.of(person) === token) this.#outage.rest(person.id, restWhenRefusedMs);
      return undefined;
    }
    if (reply.status === 429 || reply.status === 502 || reply.status === 503) {
      this.#outage.rest(person.id, Math.max(1000, retryAfterMs));
      return undefined;
    }
    return reply;
  }

  async #misuse(scenario: Scenario, place: number): Promise<void> {
    const { options, signal } = this.#parts;
    const stream = streamOf(options.seed, 'misuse', scenario.name);
    await wait(options.misuseAfterMs * (1 + place / 2), undefined, { signal });
    for (let outing = 1; !signal.aborted; outing++) {
      const finished = await this.#episode(scenario, outing, stream);
      await wait(finished ? options.misuseEveryMs : Math.min(5000, options.misuseEveryMs), undefined, { signal });
    }
  }

  /** One outing of one person; false when nobody could go or it was cut off before its first request. */
  async #episode(scenario: Scenario, outing: number, stream: Stream): Promise<boolean> {
    const { roster, signal } = this.#parts;
    const able = roster.staff.filter(
      (person) =>
        scenario.roles.includes(person.role) &&
        this.#isAvailable(person) &&
        scenario.possible(this.#crew.sceneOf(person)),
    );
    if (able.length === 0) return false;
    const person = stream.pick(able);
    const episode = `${scenario.name}-${this.#began}-${outing}`;
    const work = scenario.work(this.#crew.sceneOf(person, scenario.name, outing));
    let sent = 0;
    for (let step = work.next(); step.done !== true; ) {
      const at = now();
      const reply = await this.#send(person, step.value);
      if (reply === undefined) {
        // Nobody gives up for a restart of the gateway: the same request again, after a while.
        await wait(Math.max(1000, this.#outage.remainingMs), undefined, { signal });
        if (this.#tokens.of(person) === undefined) return sent > 0;
        continue;
      }
      sent++;
      this.counts.misuse();
      this.#label({ scenario, person, episode, at, ask: step.value, reply });
      step = work.next(reply);
      await wait(scenario.paceMs(stream), undefined, { signal });
    }
    return true;
  }

  #label(done: {
    scenario: Scenario;
    person: RosterPerson;
    episode: string;
    at: string;
    ask: Ask;
    reply: Reply;
  }): void {
    const { scenario, person, episode, at, ask, reply } = done;
    const seen =
      ask.patient === undefined ? [...new Set(entriesOf(reply).flatMap((one) => patientsOf(one as Resource)))] : [];
    this.#parts.labels.add({
      at,
      person: person.id,
      scenario: scenario.name,
      episode,
      method: ask.method,
      status: reply.status,
      ...(reply.requestId === undefined ? {} : { requestId: reply.requestId }),
      ...(ask.patient === undefined ? {} : { patient: ask.patient }),
      ...(seen.length === 0 ? {} : { patients: seen }),
    });
  }

  async #watchTokens(): Promise<void> {
    const { signal, options } = this.#parts;
    if (this.#tokens.size === 0) options.print('traffic: waiting for tokens');
    while (!signal.aborted) {
      await wait(pollMs, undefined, { signal });
      if (await this.#tokens.refresh()) options.print(`traffic: tokens of ${this.#tokens.size} people`);
    }
  }

  async #report(): Promise<void> {
    const { signal, options } = this.#parts;
    let sinceMs = monotonicMs();
    try {
      while (!signal.aborted) {
        await wait(lineEveryMs, undefined, { signal });
        options.print(this.counts.line(monotonicMs() - sinceMs));
        sinceMs = monotonicMs();
      }
    } finally {
      options.print(this.counts.line(Math.max(1, monotonicMs() - sinceMs)));
    }
  }
}
