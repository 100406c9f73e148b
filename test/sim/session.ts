/**
 * One process's life with the ledger in it: the calls of a history go through here, so that every answer, refusal and signature is held
 * against the model at the moment it is given. A call that never ends is told, in turns of the event loop, not in seconds.
 */
import type { Event, TenantId } from '../../packages/record/src/index.ts';
import { hashLeaf, parseCheckpoint, verifyInclusion } from '../../packages/record/src/index.ts';
import { LedgerError, type LedgerErrorCode } from '../../packages/server/src/ledger/errors.ts';
import type { AppendItem, KeyChange, Ledger } from '../../packages/server/src/ledger/ledger.ts';
import type { TurningKeys } from '../../packages/server/src/ledger/turning-keys.fixture.ts';
import type { SimClock, SimProcess, SimRandom } from '../../packages/server/src/world/simulated.ts';
import { type Call, EventMaker, type LogModel, type Outside, textOf, Violation } from './model.ts';

const turnsMax = 50_000;
/** The ledger remembers ids for seven days of its clock. */
const rememberedMs = 6 * 24 * 3_600_000;

export class Session {
  readonly ledger: Ledger;
  readonly keys: TurningKeys;
  readonly process: SimProcess;
  readonly clock: SimClock;
  readonly outside: Outside;
  readonly trace: (line: string) => void;
  readonly #startMs: number;
  readonly #flying: Set<Promise<void>> = new Set();
  /** What an answer showed to be wrong: told at the next step. */
  #violation: unknown;

  constructor(parts: {
    ledger: Ledger;
    keys: TurningKeys;
    process: SimProcess;
    clock: SimClock;
    outside: Outside;
    startMs: number;
    trace: (line: string) => void;
  }) {
    this.ledger = parts.ledger;
    this.keys = parts.keys;
    this.process = parts.process;
    this.clock = parts.clock;
    this.outside = parts.outside;
    this.#startMs = parts.startMs;
    this.trace = parts.trace;
  }

  /** A log that the ledger has. */
  anyLog(random: SimRandom): LogModel | undefined {
    const known = this.ledger.tenants();
    return known.length === 0 ? undefined : this.outside.log(random.pick(known));
  }

  newCall(log: LogModel, count: number, random: SimRandom, facts: () => Partial<Event> = () => ({})): Call {
    const call: Call = { items: this.newItems(log, count, random, facts), mayBeStored: 0 };
    log.calls.push(call);
    return call;
  }

  newItems(log: LogModel, count: number, random: SimRandom, facts: () => Partial<Event> = () => ({})): AppendItem[] {
    const maker = new EventMaker(random);
    return Array.from({ length: count }, () => maker.make(log, this.clock.now(), facts()));
  }

  addTenant(tenant: TenantId): void {
    this.#start(`add ${tenant}`, async () => {
      await this.ledger.addTenant(tenant);
      if (!this.process.dead) this.outside.log(tenant).pinned ??= this.ledger.vkey(tenant);
    });
  }

  /** Sends calls, new ones and old ones, as one. */
  append(log: LogModel, calls: readonly Call[]): void {
    const items = calls.flatMap((call) => call.items);
    for (const call of calls) call.mayBeStored++;
    this.#start(`append ${items.length} to ${log.tenant}`, async () => {
      try {
        const answer = await this.ledger.append(log.tenant, items);
        if (!this.process.dead) log.answer(items, answer);
      } catch (error) {
        if (leavesNothing(error) && !this.process.dead) for (const call of calls) call.mayBeStored--;
        throw error;
      }
    });
  }

  /** A call that must be refused with `code`; nothing of it may be stored. */
  refused(log: LogModel, items: readonly AppendItem[], code: LedgerErrorCode): void {
    this.#start(`append to ${log.tenant} what must be refused with ${code}`, async () => {
      let stored = false;
      try {
        await this.ledger.append(log.tenant, items);
        stored = true;
      } catch (error) {
        if (!(error instanceof LedgerError) || error.code !== code) throw error;
      }
      if (stored && !this.process.dead && !this.outside.forgetful)
        throw new Violation(`a call that had to be refused with ${code} was answered`);
    });
  }

  /** Something that goes on beside what follows, and may be refused with `codes`. */
  also(what: string, codes: readonly LedgerErrorCode[], work: () => Promise<void>): void {
    this.#start(what, async () => {
      try {
        await work();
      } catch (error) {
        if (!(error instanceof LedgerError) || !codes.includes(error.code)) throw error;
        this.trace(`${what}: ${error.message}`);
      }
    });
  }

  changeKey(log: LogModel, change: KeyChange): void {
    if (change.kind === 'compromised') log.compromised = true;
    this.also(`${change.kind} of the checkpoint key of ${log.tenant}`, ['key-change-refused'], async () => {
      await this.ledger.changeCheckpointKey(log.tenant, change);
    });
  }

  async prove(log: LogModel, index: number): Promise<void> {
    const { tenant } = log;
    // Where a start found its disk broken only what is archived can be read.
    if (this.ledger.state.kind === 'read-only' && index >= this.ledger.head(tenant).size) return;
    await this.within(`prove ${index} of ${tenant}`, async () => {
      const { hashes, checkpoint } = await this.ledger.prove(tenant, index);
      const leaf = await this.#leafOf(log, index);
      if (this.process.dead || checkpoint === '' || leaf === undefined) return;
      log.sawSignature(checkpoint);
      const { size, root } = parseCheckpoint(checkpoint);
      await verifyInclusion({ leafHash: hashLeaf(leaf), index: BigInt(index), size, proof: hashes, root });
    });
  }

  /** Undefined for what was approved to go, and is gone. */
  async #leafOf({ tenant, shreds, acknowledged }: LogModel, index: number): Promise<Uint8Array | undefined> {
    try {
      const { leaf, m } = await this.ledger.open(tenant, index);
      const wanted = [...acknowledged.values()].find((one) => one.index === index);
      if (wanted !== undefined && Buffer.from(m).toString('utf8') !== textOf(wanted.item))
        throw new Violation(`index ${index} of ${tenant} was opened, and is something else than what was acknowledged`);
      return leaf;
    } catch (error) {
      const isApproved = [...shreds.values()].some(({ events }) => events.has(index));
      if (isApproved && error instanceof LedgerError && error.code === 'shredded') return undefined;
      throw error;
    }
  }

  /** Time passes. */
  advance(ms: number): void {
    this.clock.advance(ms);
    this.#noteTime();
  }

  /** Somebody sets the clock. */
  step(ms: number): void {
    this.clock.step(ms);
    this.#noteTime();
  }

  #noteTime(): void {
    if (this.clock.now() - this.#startMs > rememberedMs) this.outside.forget();
  }

  async turns(count: number): Promise<void> {
    for (let turn = 0; turn < count && !this.process.dead; turn++)
      await new Promise((resolve) => setImmediate(resolve));
  }

  /** Until every call was answered, or the process is dead. */
  async idle(): Promise<void> {
    await this.within('waiting for answers', async () => {
      while (this.#flying.size > 0) await Promise.all(this.#flying);
    });
    this.check();
  }

  check(): void {
    if (this.#violation !== undefined) throw this.#violation;
    if (this.outside.violation !== undefined) throw new Violation(this.outside.violation);
  }

  /** Runs something that may fail as a ledger on a broken disk may, and that must end. */
  async within(what: string, work: () => Promise<void>): Promise<void> {
    let settled = false;
    let failed: unknown;
    work()
      .catch((error: unknown) => {
        failed = error;
      })
      .finally(() => {
        settled = true;
      });
    for (let turn = 0; !settled && !this.process.dead; turn++) {
      if (turn === turnsMax) throw new Violation(`${what}: no end after ${turnsMax} turns of the event loop`);
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (failed !== undefined && !this.#tolerates(failed)) throw failed;
    if (failed !== undefined) this.trace(`${what}: ${String(failed)}`);
  }

  /** Where ids were forgotten, what had to be refused may have been stored, and the event it imitates be refused. */
  #tolerates(error: unknown): boolean {
    const isConflict = error instanceof LedgerError && error.code === 'id-conflict';
    return isTolerable(error, this.process.misled) || (isConflict && this.outside.forgetful);
  }

  #start(what: string, work: () => Promise<void>): void {
    this.trace(what);
    const running = work()
      .then(
        () => this.trace(`${what}: done`),
        (error: unknown) => {
          if (this.process.dead) return;
          this.trace(`${what}: ${String(error)}`);
          if (!this.#tolerates(error)) this.#violation ??= error;
        },
      )
      .finally(() => this.#flying.delete(running));
    this.#flying.add(running);
  }
}

/** The errors that say: nothing of the call was stored. */
function leavesNothing(error: unknown): boolean {
  return (
    error instanceof LedgerError &&
    ['storage-full', 'overloaded', 'id-conflict', 'record-too-large', 'unknown-tenant'].includes(error.code)
  );
}

/** What a ledger may answer when its disk fails; anything else is a fault of ours. */
export function isTolerable(error: unknown, misled = false): boolean {
  if (error instanceof Violation) return false;
  // What was misread is refused in as many ways as there are things to read, each with a code.
  if (misled && error instanceof Error && 'code' in error && /^[a-z]+(-[a-z]+)*$/.test(String(error.code))) return true;
  if (error instanceof LedgerError) return ['read-only', 'storage-full', 'closed'].includes(error.code);
  return error instanceof Error && 'code' in error && /^E[A-Z]+$/.test(String(error.code));
}
