/**
 * Is what the server receipted still in its log? Opens the newest checkpoint under the remembered key, following statements where another signs, proves from tiles that the
 * log only grew since the remembered head, and that a receipt's leaf lies where it was said to. Everything is computed here; a fault is an `SdkError` whose code is in `receiptFaults`.
 */
import {
  type Checkpoint,
  consistencyPlan,
  inclusionPlan,
  openCheckpoint,
  parseCheckpoint,
  proofFromTiles,
  RecordError,
  verifyConsistency,
  verifyInclusion,
} from '@watchglass/record';
import { verifyStatements } from '@watchglass/record/reader';

import { SdkError, type SdkErrorCode } from './errors.ts';
import type { ReadPublic } from './public-log.ts';

/** Codes of what must never happen; anything else means that nobody knows. */
export const receiptFaults: ReadonlySet<SdkErrorCode> = new Set<SdkErrorCode>([
  'receipt-invalid',
  'receipt-key-changed',
  'receipt-rolled-back',
  'receipt-history-changed',
  'receipt-missing',
]);

/** Of one log, between two looks. */
export interface LogMemory {
  /** Verifier keys believed, the newest first. */
  readonly keys: readonly string[];
  /** The newest checkpoint that was verified, a signed note. */
  readonly head: string | undefined;
}

export interface KeptReceipt {
  readonly id: string;
  readonly index: number;
  /** Base64 of the leaf hash. */
  readonly leaf: string;
  /** The signed note that came with it. */
  readonly checkpoint: string;
}

const keysMax = 8;

export class LogLook {
  readonly #read: ReadPublic;
  readonly #tenant: string;
  readonly #origin: string;
  readonly #signal: AbortSignal;

  constructor(parts: {
    readonly read: ReadPublic;
    readonly tenant: string;
    readonly origin: string;
    readonly signal: AbortSignal;
  }) {
    this.#read = parts.read;
    this.#tenant = parts.tenant;
    this.#origin = parts.origin;
    this.#signal = parts.signal;
  }

  /**
   * The newest head, which goes on from the remembered one. Without a remembered key the one shown now is believed from now on.
   *
   * @throws SdkError of `receiptFaults`, or `log-unreachable`
   */
  async head(memory: LogMemory): Promise<{ readonly memory: LogMemory; readonly head: Checkpoint }> {
    const note = await this.#text('checkpoint');
    const keys = memory.keys.length > 0 ? memory.keys : [await this.#shownKey()];
    const current =
      signedBy(note, keys.slice(0, 1)) === undefined ? await this.#follow(note, keys[0] as string) : keys[0];
    const head = signedBy(note, [current as string]);
    if (head === undefined)
      throw this.#fault('receipt-key-changed', 'the newest checkpoint is not signed by its key', note);
    const before = memory.head === undefined ? undefined : parseCheckpoint(memory.head);
    if (before !== undefined) await this.extends(before, head, note);
    return { head, memory: { keys: [...new Set([current as string, ...keys])].slice(0, keysMax), head: note } };
  }

  /** @throws SdkError of `receiptFaults`, or `log-unreachable` */
  async receipt(kept: KeptReceipt, { keys, head: note }: LogMemory, head: Checkpoint): Promise<void> {
    const then = signedBy(kept.checkpoint, keys);
    if (then === undefined || BigInt(kept.index) >= then.size)
      throw this.#fault(
        'receipt-invalid',
        `the checkpoint of receipt ${kept.index} is not signed by the log, or doesn’t cover it`,
      );
    await this.extends(then, head, note);
    const size = Number(head.size);
    const leafHash = Buffer.from(kept.leaf, 'base64');
    try {
      const proof = await proofFromTiles(inclusionPlan(kept.index, size), size, (path) => this.#tile(path));
      verifyInclusion({ leafHash, index: BigInt(kept.index), size: head.size, proof, root: head.root });
    } catch (cause) {
      if (!(cause instanceof RecordError)) throw cause;
      throw this.#fault(
        'receipt-missing',
        `the event of receipt ${kept.index} is not at its place in the log of ${size}`,
        note,
        cause,
      );
    }
  }

  /** That a signed head goes on from an earlier one. */
  async extends(before: Checkpoint, head: Checkpoint, note: string | undefined): Promise<void> {
    const { size: size1, root: root1 } = before;
    const { size: size2, root: root2 } = head;
    if (size2 < size1)
      throw this.#fault(
        'receipt-rolled-back',
        `expected at least the ${size1} events it signed before, got ${size2}`,
        note,
      );
    try {
      const size = Number(size2);
      const proof = await proofFromTiles(consistencyPlan(Number(size1), size), size, (path) => this.#tile(path));
      verifyConsistency({ size1, root1, size2, root2, proof });
    } catch (cause) {
      if (!(cause instanceof RecordError)) throw cause;
      throw this.#fault(
        'receipt-history-changed',
        `the log of ${size2} events does not begin with the ${size1} it signed before`,
        note,
        cause,
      );
    }
  }

  async #shownKey(): Promise<string> {
    const [vkey = ''] = (await this.#text('vkey')).split('\n');
    return vkey;
  }

  /** From a key believed so far to the one that signs now, by the log's own statements (docs/format.md, "Checkpoint keys"). */
  async #follow(note: string, trusted: string): Promise<string> {
    const missing = async (path: string): Promise<Uint8Array | undefined> => this.#read(path, this.#signal);
    const { findings, vkey } = await verifyStatements({
      files: {
        readFile: missing,
        size: async (path) => (await missing(path))?.length,
        open: () => Promise.reject(new TypeError('statements are read whole')),
        list: async (path) => namesOf(await missing(path)),
      },
      dir: '/log',
      tenant: this.#tenant,
      origin: this.#origin,
      checkpoint: note,
      size: sizeOf(note),
      vkey: trusted,
      nowMs: Date.now(),
    });
    const [finding] = findings;
    if (finding !== undefined || vkey === undefined)
      throw this.#fault(
        'receipt-key-changed',
        `no statement leads from the remembered key to the one that signs: ${finding?.message ?? 'there is none'}`,
        note,
      );
    return vkey;
  }

  async #text(name: string): Promise<string> {
    const bytes = await this.#read(`/log/${this.#tenant}/${name}`, this.#signal);
    if (bytes === undefined) throw new SdkError('log-unreachable', `expected the ${name} of the log, got nothing`);
    return Buffer.from(bytes).toString('utf8');
  }

  /** A tile that isn't there, though a signed checkpoint covers it, proves nothing: the proof fails. Once full, the partial one may be gone. */
  async #tile(path: string): Promise<Uint8Array> {
    const partial = await this.#read(`/log/${this.#tenant}/${path}`, this.#signal);
    if (partial !== undefined || !path.includes('.p/')) return partial ?? new Uint8Array(0);
    return (
      (await this.#read(`/log/${this.#tenant}/${path.replace(/\.p\/\d+$/, '')}`, this.#signal)) ?? new Uint8Array(0)
    );
  }

  #fault(code: SdkErrorCode, message: string, checkpoint?: string, cause?: unknown): SdkError {
    return new SdkError(
      code,
      `${this.#origin}: ${message}; keep the checkpoints, and tell whoever answers for the server`,
      {
        cause,
        ...(checkpoint === undefined ? {} : { details: { checkpoint } }),
      },
    );
  }
}

/** The checkpoint, where one of these keys signed it. */
function signedBy(note: string, keys: readonly string[]): Checkpoint | undefined {
  for (const vkey of keys) {
    try {
      const { checkpoint } = openCheckpoint(note, { vkey });
      if (checkpoint.size <= BigInt(Number.MAX_SAFE_INTEGER)) return checkpoint;
    } catch (error) {
      if (!(error instanceof RecordError)) throw error;
    }
  }
  return undefined;
}

function sizeOf(note: string): number {
  try {
    return Number(parseCheckpoint(note).size);
  } catch {
    return 0;
  }
}

/** A folder of statements is a list of numbers; a name that no statement has is found. */
function namesOf(bytes: Uint8Array | undefined): string[] {
  try {
    const list: unknown = JSON.parse(bytes === undefined ? '[]' : Buffer.from(bytes).toString('utf8'));
    if (Array.isArray(list)) return list.map(String);
  } catch {
    // Told below.
  }
  return ['?'];
}
