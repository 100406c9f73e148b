/**
 * Runs one history: processes one after another on one simulated disk, with what goes wrong in each, then a last one on a disk that works,
 * which must agree with everything that was ever answered or signed (`checks.ts`). The same plan gives the same run.
 */
import type { Ledger } from '../../packages/server/src/ledger/ledger.ts';
import { openLedger } from '../../packages/server/src/ledger/open-ledger.ts';
import type { Disk } from '../../packages/server/src/world/disk.ts';
import { SimClock, SimDisk, type SimProcess, SimRandom } from '../../packages/server/src/world/simulated.ts';
import { checkEnd, checkFiles, checkRot, place } from './checks.ts';
import { Outside, Violation } from './model.ts';
import { operationNamed } from './operations.ts';
import type { Life, Plan } from './plan.ts';
import { isTolerable, Session } from './session.ts';
import { watchedDisk } from './watched-disk.ts';

/** A disk between the ledger and the simulated one: for canaries. */
export type Meddling = (disk: Disk) => Disk;

export interface Run {
  readonly plan: Plan;
  /** What went wrong, if anything. */
  readonly violation: string | undefined;
  /** A promise was broken, and not only an error thrown that nobody expected. */
  readonly isBroken: boolean;
  readonly events: number;
  readonly operations: number;
}

/** @param told a line for each thing that happens */
export async function runHistory(
  plan: Plan,
  { meddling = (disk) => disk, told }: { readonly meddling?: Meddling; readonly told?: (line: string) => void } = {},
): Promise<Run> {
  const history = new History(plan, meddling, told ?? (() => undefined));
  let violation: string | undefined;
  let isBroken = false;
  try {
    await history.run();
  } catch (error) {
    isBroken = error instanceof Violation;
    violation =
      error instanceof Violation
        ? error.message
        : `${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
    told?.(`violation: ${violation}`);
  }
  const events = [...history.outside.logs.values()].reduce((sum, { acknowledged }) => sum + acknowledged.size, 0);
  return { plan, violation, isBroken, events, operations: history.operations };
}

class History {
  readonly #plan: Plan;
  readonly #meddling: Meddling;
  readonly #told: (line: string) => void;
  readonly #random: SimRandom;
  readonly #disk: SimDisk;
  readonly #clock: SimClock;
  readonly outside: Outside = new Outside();
  /** The power failed, and no process has gone through the files since. */
  #powerLost = false;
  operations = 0;

  constructor(plan: Plan, meddling: Meddling, told: (line: string) => void) {
    this.#plan = plan;
    this.#meddling = meddling;
    this.#told = told;
    this.#random = new SimRandom(plan.seed).fork();
    this.#disk = new SimDisk(this.#random.fork());
    this.#disk.onOperation = (what) => told(`    ${what}`);
    this.#clock = new SimClock(plan.startMs);
  }

  async run(): Promise<void> {
    for (const [number, life] of this.#plan.lives.entries()) {
      this.#told(`life ${number + 1}, faults ${JSON.stringify(life.faults)}, to be ${life.end}`);
      await this.#live(life);
    }
    this.#told('the last life, on a disk that works');
    await checkFiles(this.#disk, this.#powerLost);
    let named: readonly string[] = [];
    await this.#live({ steps: [], faults: [], end: 'closed' }, async (session) => {
      named = session.ledger.tenants();
      await checkEnd(session);
    });
    await checkFiles(this.#disk, false, this.outside);
    await checkRot(this.#disk, this.#random, named, (disk) => this.#open(disk));
  }

  async #live(life: Life, atEnd?: (session: Session) => Promise<void>): Promise<void> {
    const process = this.#disk.process(life.faults);
    const ledger = await this.#begin(process);
    if (ledger !== undefined) {
      const session = new Session({
        ledger,
        process,
        clock: this.#clock,
        outside: this.outside,
        startMs: this.#plan.startMs,
        trace: this.#told,
      });
      for (const { operation, seed } of life.steps) {
        if (process.dead) break;
        this.#told(`· ${operation}`);
        await operationNamed(operation).run(session, new SimRandom(seed));
        session.check();
      }
      await atEnd?.(session);
      if (life.end === 'closed' && !process.dead)
        await session.within('closing', async () => ledger[Symbol.asyncDispose]());
      session.check();
    }
    process.kill();
    this.#clock.dropTimers();
    this.operations += process.operations;
    if (life.end === 'power lost') {
      this.#disk.losePower();
      this.#powerLost = true;
    }
    this.#told(life.end);
  }

  /** The ledger, unless the process died or was refused the disk. */
  async #begin(process: SimProcess): Promise<Ledger | undefined> {
    let ledger: Ledger | undefined;
    let refused: unknown;
    const opening = this.#open(process).then(
      (opened) => {
        ledger = opened;
      },
      (error: unknown) => {
        refused = error;
      },
    );
    await Promise.race([opening, process.died]);
    if (process.dead) return undefined;
    if (refused !== undefined) {
      if (!process.met || !isTolerable(refused)) throw refused;
      this.#told(`refused: ${String(refused)}`);
      return undefined;
    }
    if (ledger?.state.kind === 'read-only') {
      if (!process.met) throw new Violation(`read-only after a start on a disk that works: ${ledger.state.reason}`);
      this.#told(`read-only: ${ledger.state.reason}`);
    } else this.#powerLost = false;
    return ledger;
  }

  #open(disk: SimProcess): Promise<Ledger> {
    return openLedger({
      ...place,
      world: {
        clock: this.#clock,
        random: this.#random.fork(),
        disk: watchedDisk(this.#meddling(disk), disk, this.outside),
      },
      heartbeatMs: this.#plan.heartbeatMs,
      segmentBytesMax: this.#plan.segmentBytesMax,
      idEntriesMax: 1024,
      report: ({ level, message }) => this.#told(`  ${level}: ${message}`),
    });
  }
}
