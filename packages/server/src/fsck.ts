/**
 * `watchglass fsck`: what the records of an installation mean, and whether its working state is what they say. Reads only, also beside a running server: what that
 * changes meanwhile is looked at again before it is called a difference. Bytes, hashes and signatures are `verify`'s; a record is believed here once it opens.
 */
import { join } from 'node:path';
import { parseCheckpoint, RecordError } from '@watchglass/record';
import {
  isKeeperFault,
  isMissing,
  type KekFinder,
  type Keyrings,
  MeaningCheck,
  type MeaningFinding,
  MeaningFindings,
  type OfflineLedger,
  openLedger,
  sharedKeyring,
  type TellMeaning,
  unitName,
} from '@watchglass/record/reader';
import { AccessListener } from './access/access-facts.ts';
import type { Listener } from './access/facts.ts';
import { compareState, type HeardLogs, type StateComparison, type StateListeners } from './fsck-state.ts';
import { countIndexes, type IndexCount } from './indexes/index-counts.ts';
import { DecisionListener } from './respond/decision-facts.ts';
import { RetentionListener } from './retention/retention-facts.ts';
import { KeyListener, WitnessListener } from './review/key-facts.ts';
import { realWorld } from './world/real-world.ts';
import type { World } from './world/world.ts';

export interface FsckOptions {
  /** Of the installation. */
  readonly dataDir: string;
  /** Undefined where there are none: then no record is opened. */
  readonly keyrings: Keyrings<KekFinder> | undefined;
  /** Only its log. */
  readonly tenant?: string;
  /** The ledger only: there is no state beside it. */
  readonly ledgerDir?: string;
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
  readonly world?: World;
}

export interface FsckTenant {
  readonly tenant: string;
  readonly origin: string;
  /** Of the newest checkpoint when it was read. */
  readonly size: number;
  /** Records that were opened and looked at. */
  readonly checked: number;
}

export interface FsckReport {
  readonly sound: boolean;
  readonly tenants: readonly FsckTenant[];
  /** At most 1,000. */
  readonly findings: readonly MeaningFinding[];
  readonly findingCount: number;
  /** Facts of the state, and index files, that were held against the log. */
  readonly compared: number;
  /** What could not be looked at, and why. */
  readonly skipped: readonly string[];
}

const readMax = 5_000;
/** The server knows at least so many of the newest ids, those of all logs together. */
const idWindow = 1_000_000;
const reopenMax = 20;
/** A change is recorded first and applied then, so a difference is looked at again. */
const looksMax = 4;
const againMs = 250;

interface Log {
  readonly tenant: string;
  readonly origin: string;
  readonly check: MeaningCheck;
  readonly indexes: readonly (IndexCount & { counted: number })[];
  readonly wholeFrom: number;
  /** Units whose index is gone with them. */
  readonly shredded: ReadonlySet<string>;
  isSuccessor: boolean;
  size: number;
  next: number;
  /** Read to its end. */
  isHeard: boolean;
}

/**
 * @throws {RecordError} `ledger-unreadable` where there is no ledger, `manifest-malformed`; what the keeper of a key says where it doesn't let us look
 * @example
 * const report = await fsck({ dataDir: 'data', keyrings });
 * for (const { code, tenant, index, expected, got } of report.findings) console.log(code, tenant, index, expected, got);
 */
export async function fsck(options: FsckOptions): Promise<FsckReport> {
  return new Fsck(options).run();
}

class Fsck {
  readonly #options: FsckOptions;
  readonly #world: World;
  readonly #findings: MeaningFindings = new MeaningFindings();
  readonly #skipped: string[] = [];
  readonly #logs: Map<string, Log> = new Map();
  readonly #listeners: StateListeners;
  #ledger: OfflineLedger | undefined;

  constructor(options: FsckOptions) {
    this.#options = options;
    this.#world = options.world ?? realWorld();
    this.#listeners = {
      access: new AccessListener(),
      retention: new RetentionListener(),
      keys: new KeyListener(),
      witnesses: new WitnessListener(),
      decisions: new DecisionListener(this.#world.clock.now()),
    };
  }

  async run(): Promise<FsckReport> {
    const { dataDir, keyrings, ledgerDir, tenant } = this.#options;
    if (keyrings === undefined) this.#skipped.push('no key-encryption key is here: no record was opened');
    // The indexes first: the ledger is then at least as far as they are.
    const indexDir = join(dataDir, 'index');
    const ledger = await this.#open();
    const wanted = ledger.tenants().filter((one) => tenant === undefined || one.tenant === tenant);
    if (tenant !== undefined && wanted.length === 0) this.#skipped.push(`there is no log of ${tenant}`);
    for (const one of wanted) await this.#begin(one, ledgerDir === undefined ? indexDir : undefined);
    await this.#readOn();
    for (const log of this.#logs.values()) if (log.isHeard) log.check.end();
    let compared = this.#compareIndexes();
    if (ledgerDir !== undefined) this.#skipped.push('the ledger alone was named: no state was compared');
    else compared += await this.#compareState();
    return {
      sound: this.#findings.count === 0,
      tenants: [...this.#logs.values()].map(({ tenant: name, origin, size, check }) => ({
        tenant: name,
        origin,
        size,
        checked: check.checked,
      })),
      findings: this.#findings.list,
      findingCount: this.#findings.count,
      compared,
      skipped: this.#skipped,
    };
  }

  async #open(): Promise<OfflineLedger> {
    const { dataDir, ledgerDir = join(dataDir, 'ledger'), keyrings } = this.#options;
    this.#ledger = await openLedger({
      ledgerDir,
      keysDir: join(dataDir, 'keys'),
      keyrings: keyrings ?? sharedKeyring({ find: () => undefined }),
    });
    return this.#ledger;
  }

  async #begin(one: ReturnType<OfflineLedger['tenants']>[number], indexDir: string | undefined): Promise<void> {
    const { tenant, origin, shredded } = one;
    const size = endOf(one);
    const isOnly = (this.#ledger?.tenants().length ?? 0) === 1;
    const total = (this.#ledger?.tenants() ?? []).reduce((sum, log) => sum + log.size, 0);
    const wholeFrom = Math.max(
      0,
      ...shredded.flatMap(({ retentionClass, last }) => (retentionClass === 'access' ? [] : [last + 1])),
    );
    if (wholeFrom > 0)
      this.#skipped.push(
        `${tenant}: the server's own events up to index ${wholeFrom - 1} were shredded, in part or whole`,
      );
    if (!isOnly && total > idWindow)
      this.#skipped.push(`${tenant}: ids that come twice, for the logs share what the server remembers of them`);
    const found = indexDir === undefined ? undefined : await countIndexes(this.#world, indexDir, tenant);
    for (const place of found?.unreadable ?? [])
      this.#skipped.push(`index/${place} is no index of this version; the next start builds it anew`);
    this.#logs.set(tenant, {
      tenant,
      origin,
      check: new MeaningCheck({
        tenant,
        size,
        idWindow: isOnly || total <= idWindow ? idWindow : 0,
        wholeFrom,
        findings: this.#findings,
        nowMs: this.#world.clock.now(),
      }),
      indexes: (found?.counts ?? []).map((count) => ({ ...count, counted: 0 })),
      wholeFrom,
      shredded: new Set(shredded.map(unitName)),
      isSuccessor: false,
      size,
      next: 0,
      isHeard: false,
    });
  }

  /** Looks at what is new in each log since it was read last. */
  async #readOn(): Promise<void> {
    if (this.#options.keyrings === undefined) return;
    for (const one of (await this.#open()).tenants()) {
      const log = this.#logs.get(one.tenant);
      if (log === undefined || (log.next > 0 && !log.isHeard)) continue;
      log.size = endOf(one);
      log.isHeard = await this.#readLog(log);
    }
  }

  /** Whether it could be read to its end. */
  async #readLog(log: Log): Promise<boolean> {
    let reopened = 0;
    while (log.next < log.size) {
      this.#options.signal?.throwIfAborted();
      try {
        const records = await (this.#ledger as OfflineLedger).read(log.tenant, log.next, readMax);
        for (const opened of records) {
          if (opened.index >= log.size) break;
          this.#hear(log, opened);
          log.next = opened.index + 1;
        }
        if (records.length === 0) log.next = log.size;
        reopened = 0;
        this.#tellProgress();
      } catch (error) {
        // The server archived, or shredded, what was about to be read.
        if (isMissing(error) && reopened++ < reopenMax) await this.#open();
        else if (error instanceof RecordError && !isKeeperFault(error)) return this.#stop(log, error);
        else throw error;
      }
    }
    return true;
  }

  #stop(log: Log, error: RecordError): false {
    if (error.code === 'kek-unknown' || error.code === 'kek-lost')
      this.#skipped.push(`${log.tenant}: records from index ${log.next} on, whose key is not here (${error.code})`);
    else
      this.#findings.add({
        code: 'record-unreadable',
        tenant: log.tenant,
        index: log.next,
        expected: 'a record that opens',
        got: error.code,
      });
    return false;
  }

  #hear(log: Log, opened: Awaited<ReturnType<OfflineLedger['read']>>[number]): void {
    const { index } = opened;
    const record = log.check.look(opened);
    for (const file of log.indexes)
      if (index >= file.start && index < file.next && unitName(file.unit) === unitName(opened)) file.counted++;
    if (record === undefined || index < log.wholeFrom) return;
    if (index === 0 && record.submitter === 'self' && record.event.operation === 'log-succeeds') log.isSuccessor = true;
    const { tenant } = log;
    const tell: TellMeaning = (code, expected, got) => this.#findings.add({ code, tenant, index, expected, got });
    const heard = { tenant, index, record, partial: !isWhole(log), tell };
    for (const listener of Object.values(this.#listeners) as Listener[]) listener.hear(heard);
  }

  #compareIndexes(): number {
    let compared = 0;
    for (const { tenant, isHeard, indexes, shredded } of this.#logs.values()) {
      if (!isHeard) continue;
      for (const { unit, place, rows, counted, start, next } of indexes) {
        if (shredded.has(unitName(unit))) continue;
        compared++;
        if (rows === counted) continue;
        const expected = `${counted} events of ${unitName(unit)} at the indexes ${start} to ${next - 1}`;
        this.#findings.add({ code: 'index-differs', tenant, place: `index/${place}`, expected, got: `${rows}` });
      }
    }
    return compared;
  }

  async #compareState(): Promise<number> {
    const { dataDir, tenant, signal } = this.#options;
    const logs: HeardLogs = {
      tenant,
      first: tenant ?? this.#logs.keys().next().value ?? '',
      // Of a log that isn't there, nothing was ever said.
      isWhole: (name) => isWhole(this.#logs.get(name)),
      isHeard: (name) => this.#logs.get(name)?.isHeard ?? tenant === undefined,
    };
    let last: StateComparison | undefined;
    for (let look = 0; look < looksMax; look++) {
      const now = await compareState(this.#world, dataDir, logs, this.#listeners, () => this.#readOn());
      last = last === undefined ? now : { ...now, findings: now.findings.filter((one) => isAmong(one, last)) };
      if (last.findings.length === 0) break;
      if (look < looksMax - 1) await this.#world.clock.sleep(againMs, signal);
    }
    for (const finding of last?.findings ?? []) this.#findings.add(finding);
    if ((last?.unknown ?? 0) > 0)
      this.#skipped.push(
        `${last?.unknown} values of the state: events of an older version, shredded, of a log before this one or not opened would say whether they are right`,
      );
    return last?.compared ?? 0;
  }

  #tellProgress(): void {
    let done = 0;
    let total = 0;
    for (const { next, size } of this.#logs.values()) {
      done += next;
      total += size;
    }
    this.#options.onProgress?.(done, total);
  }
}

function isAmong({ code, place, got }: MeaningFinding, before: StateComparison | undefined): boolean {
  return before?.findings.some((one) => one.code === code && one.place === place && one.got === got) === true;
}

/** Whether everything that was ever said of access and retention was heard. */
function isWhole(log: Log | undefined): boolean {
  return log === undefined || (log.wholeFrom === 0 && !log.isSuccessor);
}

/** What is covered by the newest checkpoint; what is behind it is being written, or was never answered. */
function endOf({ size, checkpoint }: { readonly size: number; readonly checkpoint: string | undefined }): number {
  try {
    return checkpoint === undefined ? size : Math.min(size, Number(parseCheckpoint(checkpoint).size));
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    return size;
  }
}
