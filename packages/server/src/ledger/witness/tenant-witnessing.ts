/**
 * One log and its witnesses: a round asks each of them for a cosignature of the newest checkpoint, and as soon as a quorum has given it, the checkpoint with its
 * cosignatures is stored. Rounds follow each other, at most one every ten seconds; a witness that fails is asked ever less often.
 *
 * A witness that proves the log was longer, or another, ends all writing. One that only says so ends it too at the first contact of a process, when nobody here
 * can know better; later this process does know, and such a witness is reported and no more.
 */
import {
  isQuorum,
  openWitnessed,
  type Policy,
  type PolicyWitness,
  RecordError,
  type TenantId,
} from '@watchglass/record';
import type { Http } from '../../world/http.ts';
import type { World } from '../../world/world.ts';
import type { Ledger, LedgerReport } from '../ledger.ts';
import { askWitness, type Outcome, openOwn } from './ask-witness.ts';
import type { WitnessFault } from './faults.ts';
import { emptyMemory, readMemory, type WitnessMemory, writeMemory } from './witness-memory.ts';

export type WitnessedLedger = Pick<
  Ledger,
  'state' | 'head' | 'vkey' | 'consistency' | 'rootAt' | 'cosigned' | 'keepCosigned' | 'suspend' | 'grown'
>;

export interface WitnessTimes {
  /** Between the beginnings of two rounds; some more by chance, so that logs don't ask together. */
  readonly intervalMs: number;
  /** A conversation with one witness. */
  readonly deadlineMs: number;
  /** A log that doesn't grow is cosigned again after this long: a fresh time proves that nothing was held back. */
  readonly againMs: number;
  /** A failing witness is asked at least this often. */
  readonly backoffMsMax: number;
}

export const usualTimes: WitnessTimes = {
  intervalMs: 10_000,
  deadlineMs: 8_000,
  againMs: 5 * 60_000,
  backoffMsMax: 5 * 60_000,
};

export interface TenantWitnessingParts {
  readonly tenant: TenantId;
  readonly policy: Policy;
  readonly ledger: WitnessedLedger;
  readonly world: World;
  readonly http: Http;
  readonly memoryPath: string;
  readonly times: WitnessTimes;
  readonly report: (line: LedgerReport) => void;
}

/** Of a witness, as this process knows it. */
interface Figures {
  /** Size it cosigned last, as far as known. */
  size: number;
  timeSeconds: number;
  /** The checkpoint it cosigned last in this process. */
  checkpoint: string;
  line: string;
  /** True once it cosigned in this process: then it has no business to be ahead. */
  met: boolean;
  failures: number;
  fault: WitnessFault | undefined;
  askedMs: number;
  nextMs: number;
}

export interface WitnessStatus {
  readonly name: string;
  /** Of the newest checkpoint it cosigned; 0 for none. */
  readonly size: number;
  readonly timeSeconds: number;
  /** In a row. */
  readonly failures: number;
  readonly fault?: WitnessFault;
}

export interface TenantWitnessStatus {
  readonly tenant: TenantId;
  /** The newest checkpoint that a quorum vouches for. */
  readonly cosigned?: { readonly size: number; readonly timeSeconds: number; readonly witnesses: number };
  readonly headSize: number;
  readonly witnesses: readonly WitnessStatus[];
}

export class TenantWitnessing {
  readonly #parts: TenantWitnessingParts;
  readonly #figures: Map<PolicyWitness, Figures> = new Map();
  #memory: WitnessMemory = emptyMemory;
  #cosigned: TenantWitnessStatus['cosigned'];
  #publishing: Promise<void> = Promise.resolve();
  #publishedText = '';

  constructor(parts: TenantWitnessingParts) {
    this.#parts = parts;
  }

  get tenant(): TenantId {
    return this.#parts.tenant;
  }

  /** The policy that was recorded last, as `remember` was told. */
  get recorded(): string | undefined {
    return this.#memory.recorded;
  }

  async remember(recorded: string): Promise<void> {
    this.#memory = { ...this.#memory, recorded };
    await this.#store();
  }

  /** Reads what is remembered, and holds the files to it. */
  async load(): Promise<void> {
    const { world, memoryPath, policy, report, tenant, ledger } = this.#parts;
    const memory = await readMemory(world, memoryPath);
    if (memory === undefined)
      report({
        level: 'warn',
        message: `what was remembered of the witnesses of ${tenant} is damaged; they are asked`,
      });
    this.#memory = memory ?? emptyMemory;
    for (const witness of policy.witnesses) {
      const known = this.#memory.sizes.get(keyOf(witness));
      this.#figures.set(witness, {
        size: known?.size ?? 0,
        timeSeconds: known?.timeSeconds ?? 0,
        checkpoint: '',
        line: '',
        met: false,
        failures: 0,
        fault: undefined,
        askedMs: Number.NEGATIVE_INFINITY,
        nextMs: Number.NEGATIVE_INFINITY,
      });
    }
    this.#recallCosigned(ledger.cosigned(tenant)?.text);
    await this.#holdToMemory();
  }

  /** Asks everybody once. */
  async round(signal: AbortSignal): Promise<void> {
    const { ledger, tenant, world } = this.#parts;
    if (ledger.state.kind !== 'writable') return;
    const head = ledger.head(tenant);
    const nowMs = world.clock.monotonicMs();
    const asked = this.#askable().filter(([, figures]) => this.#dueMs(figures, head.checkpoint) <= nowMs);
    await Promise.all(asked.map(([witness, figures]) => this.#ask(witness, figures, head, signal)));
    if (asked.length > 0) await this.#store();
  }

  /** Rounds until the signal aborts or the ledger takes no more records. */
  async run(signal: AbortSignal): Promise<void> {
    const { world, times, ledger } = this.#parts;
    while (!signal.aborted && ledger.state.kind === 'writable') {
      await world.clock.sleep(times.intervalMs * (1 + this.#chance() / 10), signal);
      await this.#untilDue(signal);
      await this.round(signal);
    }
  }

  status(): TenantWitnessStatus {
    const { tenant, ledger } = this.#parts;
    return {
      tenant,
      ...(this.#cosigned === undefined ? {} : { cosigned: this.#cosigned }),
      headSize: ledger.head(tenant).size,
      witnesses: [...this.#figures].map(([{ name }, { size, timeSeconds, failures, fault }]) => ({
        name,
        size,
        timeSeconds,
        failures,
        ...(fault === undefined ? {} : { fault }),
      })),
    };
  }

  /** Waits until somebody is to be asked. */
  async #untilDue(signal: AbortSignal): Promise<void> {
    const { ledger, tenant, world } = this.#parts;
    for (;;) {
      const head = ledger.head(tenant);
      const figures = this.#askable().map(([, one]) => one);
      const dueMs = Math.min(...figures.map((one) => this.#dueMs(one, head.checkpoint)));
      const waitMs = dueMs - world.clock.monotonicMs();
      if (waitMs <= 0) return;
      const over = new AbortController();
      const either = AbortSignal.any([signal, over.signal]);
      const waits = [world.clock.sleep(Math.min(waitMs, sleepMsMax), either)];
      // Growth makes those due who are up to date; where nobody is, all of them wait for their turn anyhow.
      if (figures.some(({ checkpoint }) => checkpoint === head.checkpoint))
        waits.push(ledger.grown(tenant, head.size, either));
      try {
        await Promise.race(waits);
      } finally {
        over.abort();
        await Promise.allSettled(waits);
      }
    }
  }

  /** Witnesses of the policy that have an address. */
  #askable(): [PolicyWitness, Figures][] {
    return [...this.#figures].filter(([{ url }]) => url !== undefined);
  }

  #dueMs({ checkpoint, askedMs, nextMs }: Figures, newest: string): number {
    return checkpoint === newest ? Math.max(nextMs, askedMs + this.#parts.times.againMs) : nextMs;
  }

  async #ask(
    witness: PolicyWitness,
    figures: Figures,
    head: { readonly size: number; readonly checkpoint: string },
    signal: AbortSignal,
  ): Promise<void> {
    const { ledger, tenant, http, world, times } = this.#parts;
    const { clock } = world;
    figures.askedMs = clock.monotonicMs();
    const vkey = ledger.vkey(tenant);
    const outcome = await askWitness({
      http,
      witness,
      url: (witness.url ?? '').replace(/\/+$/, ''),
      origin: originOf(vkey),
      vkey,
      head,
      oldSize: figures.size <= head.size ? figures.size : 0,
      consistency: (size1, size2) => ledger.consistency(tenant, size1, size2),
      rootAt: (size) => ledger.rootAt(tenant, size),
      nowMs: () => clock.now(),
      monotonicMs: () => clock.monotonicMs(),
      deadlineMs: times.deadlineMs,
      signal,
    });
    if (signal.aborted) return;
    await this.#take(witness, figures, head, outcome);
  }

  async #take(
    witness: PolicyWitness,
    figures: Figures,
    head: { readonly size: number; readonly checkpoint: string },
    outcome: Outcome,
  ): Promise<void> {
    switch (outcome.kind) {
      case 'cosigned': {
        if (figures.fault !== undefined) this.#tell('info', `the witness ${witness.name} cosigns again`);
        const { size, checkpoint } = head;
        const { line } = outcome;
        const timeSeconds = Number(outcome.timeSeconds);
        Object.assign(figures, { size, checkpoint, line, timeSeconds, met: true, failures: 0, fault: undefined });
        figures.nextMs = Number.NEGATIVE_INFINITY;
        return await this.#publish(head);
      }
      case 'ahead':
      case 'forked':
        return await this.#contradicted(witness, figures, head, outcome);
      case 'failed':
        return this.#failed(witness, figures, { code: outcome.code, message: outcome.message });
      default:
        return outcome satisfies never;
    }
  }

  #failed(witness: PolicyWitness, figures: Figures, fault: WitnessFault): void {
    const { times, world } = this.#parts;
    // Told once, not with every try.
    if (figures.fault?.code !== fault.code)
      this.#tell('warn', `the witness ${witness.name} does not cosign: ${fault.message} (${fault.code})`);
    figures.fault = fault;
    figures.failures++;
    const backoffMs = Math.min(times.backoffMsMax, times.intervalMs * 2 ** Math.min(figures.failures - 1, 20));
    figures.nextMs = world.clock.monotonicMs() + backoffMs * (0.75 + this.#chance() / 2);
  }

  async #contradicted(
    witness: PolicyWitness,
    figures: Figures,
    head: { readonly size: number },
    { kind, size, note }: Extract<Outcome, { kind: 'ahead' | 'forked' }>,
  ): Promise<void> {
    const { ledger, tenant } = this.#parts;
    const files = ledger.head(tenant).size;
    if (note === undefined && figures.met) {
      return this.#failed(witness, figures, {
        code: 'witness-answer-invalid',
        message: `it says it cosigned ${size} leaves, shows no checkpoint of them, and cosigned ${figures.size} before`,
      });
    }
    const reason =
      kind === 'forked'
        ? `the witness ${witness.name} has cosigned another tree of ${size} leaves of ${tenant} than the files have (size ${head.size}): the log was rewritten, or an older copy was restored and written on`
        : `the witness ${witness.name} has cosigned ${size} leaves of ${tenant}, the files hold ${files}: an older copy was restored, or files were cut off${
            note === undefined ? ' (it says so and shows no checkpoint; if it errs, take it out of the policy)' : ''
          }`;
    figures.fault = { code: kind === 'ahead' ? 'witness-ahead' : 'witness-forked', message: reason };
    figures.failures++;
    ledger.suspend(`${reason}; restore the newest copy of the data directory (docs/witnesses.md, "Behind a witness")`);
    if (note !== undefined) this.#memory = { ...this.#memory, contradiction: note };
    await this.#store();
  }

  /** What is remembered is held against the files before anybody is asked: a witness may be out of reach just now. */
  async #holdToMemory(): Promise<void> {
    const { ledger, tenant, policy } = this.#parts;
    if (ledger.state.kind !== 'writable') return;
    const head = ledger.head(tenant);
    const advice = 'restore the newest copy of the data directory (docs/witnesses.md, "Behind a witness")';
    for (const witness of policy.witnesses) {
      const { size } = this.#memory.sizes.get(keyOf(witness)) ?? { size: 0 };
      if (size > head.size)
        return ledger.suspend(
          `the witness ${witness.name} has cosigned ${size} leaves of ${tenant}, as witnesses/${tenant}.json remembers, and the files hold ${head.size}: an older copy was restored; ${advice}`,
        );
    }
    const { contradiction } = this.#memory;
    const vkey = ledger.vkey(tenant);
    const shown = contradiction === undefined ? undefined : openOwn(contradiction, originOf(vkey), vkey);
    if (shown === undefined) return;
    const same =
      shown.size <= BigInt(head.size) &&
      Buffer.compare(await ledger.rootAt(tenant, Number(shown.size)), shown.root) === 0;
    if (same) this.#memory = { ...this.#memory, contradiction: undefined };
    else
      ledger.suspend(
        `a witness has shown a checkpoint of ${shown.size} leaves of ${tenant} that this log's key signed, and the files hold ${head.size} and not that tree: an older copy was restored, or the log was rewritten; ${advice}`,
      );
  }

  /** Stores the checkpoint with the cosignatures there are, once they are enough and whenever there is another. */
  #publish(head: { readonly size: number; readonly checkpoint: string }): Promise<void> {
    this.#publishing = this.#publishing.then(async () => {
      const { ledger, tenant, policy } = this.#parts;
      const given = [...this.#figures].filter(([, { checkpoint }]) => checkpoint === head.checkpoint);
      if (!isQuorum(policy.quorum, new Set(given.map(([witness]) => witness)))) return;
      const text = head.checkpoint + given.map(([, { line }]) => line).join('');
      if (text === this.#publishedText || head.size < (ledger.cosigned(tenant)?.size ?? 0)) return;
      try {
        await ledger.keepCosigned(tenant, text);
        this.#publishedText = text;
        this.#recallCosigned(text);
      } catch (error) {
        this.#tell('warn', `a cosigned checkpoint could not be stored: ${messageOf(error)}`);
      }
    });
    return this.#publishing;
  }

  #recallCosigned(text: string | undefined): void {
    const { policy, ledger, tenant } = this.#parts;
    if (text === undefined) return;
    try {
      const { checkpoint, quorum, quorumTimeSeconds, cosigned } = openWitnessed(text, policy, [ledger.vkey(tenant)]);
      // With another policy than now, it may not be enough.
      if (!quorum) return;
      this.#cosigned = {
        size: Number(checkpoint.size),
        timeSeconds: Number(quorumTimeSeconds ?? 0n),
        witnesses: cosigned.length,
      };
    } catch (error) {
      if (!(error instanceof RecordError)) throw error;
      this.#tell('warn', `the stored cosigned checkpoint does not fit the policy: ${error.message}`);
    }
  }

  async #store(): Promise<void> {
    const { world, memoryPath } = this.#parts;
    const sizes = new Map(this.#memory.sizes);
    for (const [witness, { size, timeSeconds }] of this.#figures)
      if (size > 0 || timeSeconds > 0) sizes.set(keyOf(witness), { size, timeSeconds });
    this.#memory = { ...this.#memory, sizes };
    try {
      await writeMemory(world, memoryPath, this.#memory);
    } catch (error) {
      this.#tell('warn', `what the witnesses cosigned could not be remembered: ${messageOf(error)}`);
    }
  }

  #tell(level: LedgerReport['level'], message: string): void {
    this.#parts.report({ level, message, details: { tenant: this.#parts.tenant } });
  }

  /** From 0 to 1. */
  #chance(): number {
    return Buffer.from(this.#parts.world.random.bytes(4)).readUInt32BE() / 0xffff_ffff;
  }
}

/** A clock may be set; nobody sleeps longer than this at a time. */
const sleepMsMax = 60_000;

function keyOf({ verifier }: PolicyWitness): string {
  return Buffer.from(verifier.publicKey).toString('hex').slice(0, 32);
}

function originOf(vkey: string): string {
  return vkey.slice(0, vkey.indexOf('+'));
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
