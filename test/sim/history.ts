/**
 * Runs one history: processes one after another on one simulated disk, with what goes wrong in each, then a last one on a disk that works,
 * which must agree with everything that was ever answered or signed (`checks.ts`). The same plan gives the same run.
 */
import type { Ledger } from '../../packages/server/src/ledger/ledger.ts';
import { openLedger } from '../../packages/server/src/ledger/open-ledger.ts';
import { TurningKeys } from '../../packages/server/src/ledger/turning-keys.fixture.ts';
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

interface Opened {
  readonly ledger: Ledger;
  readonly keys: TurningKeys;
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
      this.#told(
        `life ${number + 1}, faults ${JSON.stringify([...life.faults, ...(life.misreads ?? [])])}, to be ${life.end}`,
      );
      await this.#live(life);
    }
    this.#told('the last life, on a disk that works');
    await checkFiles(this.#disk, this.outside, { powerLost: this.#powerLost, isStarted: false });
    let named: readonly string[] = [];
    await this.#live({ steps: [], faults: [], end: 'closed' }, async (session) => {
      named = session.ledger.tenants();
      await checkEnd(session, this.#disk);
    });
    await checkFiles(this.#disk, this.outside, { powerLost: false, isStarted: true });
    await checkRot(this.#disk, this.#random, named, async (disk) => (await this.#open(disk)).ledger);
  }

  async #live(life: Life, atEnd?: (session: Session) => Promise<void>): Promise<void> {
    const process = this.#disk.process(life.faults, life.misreads);
    const begun = await this.#begin(process);
    if (begun !== undefined) {
      const { ledger, keys } = begun;
      const session = new Session({
        ledger,
        keys,
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
  async #begin(process: SimProcess): Promise<Opened | undefined> {
    let opened: Opened | undefined;
    let refused: unknown;
    const opening = this.#open(process).then(
      (whole) => {
        opened = whole;
      },
      (error: unknown) => {
        refused = error;
      },
    );
    await Promise.race([opening, process.died]);
    if (process.dead) return undefined;
    if (refused !== undefined) {
      if (!process.met || !isTolerable(refused, process.misled)) throw refused;
      this.#told(`refused: ${String(refused)}`);
      return undefined;
    }
    const state = opened?.ledger.state;
    if (state?.kind === 'read-only') {
      if (!process.met) throw new Violation(`read-only after a start on a disk that works: ${state.reason}`);
      this.#told(`read-only: ${state.reason}`);
    } else this.#powerLost = false;
    return opened;
  }

  async #open(disk: SimProcess): Promise<Opened> {
    const world = {
      clock: this.#clock,
      random: this.#random.fork(),
      disk: watchedDisk(this.#meddling(disk), disk, this.outside),
    };
    const keys = new TurningKeys(world, place.keysDir);
    const ledger = await openLedger({
      ...place,
      world,
      ...keys.options,
      heartbeatMs: this.#plan.heartbeatMs,
      segmentBytesMax: this.#plan.segmentBytesMax,
      idEntriesMax: 1024,
      report: ({ level, message }) => {
        this.#told(`  ${level}: ${message}`);
        // Said, and so no lie: what the process could not read of the ids it does not know.
        if (disk.misled && /^dedupe\/\S+ is damaged/.test(message)) this.outside.forget();
      },
    });
    keys.of(ledger);
    return { ledger, keys };
  }
}
