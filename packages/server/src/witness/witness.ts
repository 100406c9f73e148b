/**
 * A witness (c2sp.org/tlog-witness): cosigns that a log only ever grew, as far as it has seen it. Of one log it never cosigns a smaller tree after a larger one, nor
 * two roots of one size; what it answers is on stable storage before, and its times never step back.
 *
 * Requests for one log are looked at one after the other, so that checking and storing are one step; logs don't wait for each other.
 */
import {
  emptyRoot,
  equalBytes,
  formatSignatureLine,
  formatWitnessSize,
  openNote,
  parseAddCheckpoint,
  parseCheckpoint,
  RecordError,
  type Signer,
  signNote,
  splitNote,
  type Verifier,
  verifyConsistency,
  witnessSizeType,
} from '@watchglass/record';
import type { World } from '../world/world.ts';
import type { KnownLogs } from './known-logs.ts';
import { originHex, type Remembered, type WitnessStore } from './witness-store.ts';

export interface WitnessAnswer {
  readonly status: 200 | 400 | 403 | 404 | 409 | 422 | 429;
  readonly type: string;
  readonly body: string;
}

export interface WitnessParts {
  readonly world: World;
  readonly signers: readonly Signer[];
  readonly logs: Pick<KnownLogs, 'keysOf'>;
  readonly store: Pick<WitnessStore, 'get' | 'put'>;
}

/** Requests that may wait for one log; more are asked to come again. */
const waitingMax = 16;

const text = 'text/plain; charset=utf-8';
const refuse = (status: WitnessAnswer['status'], why: string): WitnessAnswer => ({
  status,
  type: text,
  body: `${why}\n`,
});

export class Witness {
  readonly #parts: WitnessParts;
  readonly #turns: Map<string, { last: Promise<unknown>; waiting: number }> = new Map();

  constructor(parts: WitnessParts) {
    this.#parts = parts;
  }

  /** The answer to the body of an `add-checkpoint`. @throws ServerError `witness-state-damaged`, `unavailable` */
  async addCheckpoint(body: Uint8Array): Promise<WitnessAnswer> {
    let request: ReturnType<typeof parseAddCheckpoint>;
    try {
      request = parseAddCheckpoint(body);
    } catch (error) {
      return refuse(isUnsigned(error) ? 403 : 400, messageOf(error));
    }
    const { origin } = parseCheckpoint(request.checkpoint);
    const keys = await this.#parts.logs.keysOf(origin);
    if (keys.length === 0) return refuse(404, 'this witness does not know the log');
    const note = verifiedNote(request.checkpoint, keys);
    if (typeof note !== 'string') return note;
    return await this.#inTurn(originHex(origin), (hash) => this.#decide(hash, request, note));
  }

  /** The newest checkpoint cosigned of a log, by the hex SHA-256 of its origin. */
  latest(hash: string): string | undefined {
    return this.#parts.store.get(hash)?.note;
  }

  async #inTurn(hash: string, run: (hash: string) => Promise<WitnessAnswer>): Promise<WitnessAnswer> {
    const turn = this.#turns.get(hash) ?? { last: Promise.resolve(), waiting: 0 };
    if (turn.waiting >= waitingMax) return refuse(429, 'too many requests for this log; send again in a second');
    this.#turns.set(hash, turn);
    turn.waiting++;
    const answer = turn.last.then(() => run(hash));
    turn.last = answer.catch(() => undefined);
    try {
      return await answer;
    } finally {
      turn.waiting--;
      if (turn.waiting === 0) this.#turns.delete(hash);
    }
  }

  /** @param note the checkpoint with the log's signatures alone */
  async #decide(
    hash: string,
    { oldSize, proof, checkpoint: sent }: ReturnType<typeof parseAddCheckpoint>,
    note: string,
  ): Promise<WitnessAnswer> {
    const { store, signers, world } = this.#parts;
    const checkpoint = parseCheckpoint(sent);
    if (oldSize > checkpoint.size) return refuse(400, 'the old size is larger than that of the checkpoint');
    const before = store.get(hash);
    const known = before?.checkpoint.size ?? 0n;
    if (oldSize !== known) return { status: 409, type: witnessSizeType, body: formatWitnessSize(known) };
    const fault = contradiction(before, checkpoint, proof);
    if (fault !== undefined) return refuse(422, fault);
    // A clock that steps back must not make a larger tree the older one.
    const nowSeconds = BigInt(Math.floor(world.clock.now() / 1000));
    const timeSeconds = before !== undefined && before.timeSeconds > nowSeconds ? before.timeSeconds : nowSeconds;
    const body = splitNote(note).text;
    const lines = signNote(body, signers, { timeSeconds }).slice(body.length + 1);
    await store.put(hash, { checkpoint, note: note + lines, timeSeconds });
    return { status: 200, type: text, body: lines };
  }
}

/** A checkpoint whose signature lines can't be read is one that no trusted key signed. */
function isUnsigned(error: unknown): boolean {
  return error instanceof RecordError && error.cause instanceof RecordError && error.cause.code === 'note-malformed';
}

/** Why the checkpoint doesn't extend the one cosigned last; its size is the old size. */
function contradiction(
  before: Remembered | undefined,
  { size, root }: { readonly size: bigint; readonly root: Uint8Array },
  proof: readonly Uint8Array[],
): string | undefined {
  if (size === 0n && !equalBytes(root, emptyRoot())) return 'the root of an empty tree is wrong';
  try {
    verifyConsistency({
      size1: before?.checkpoint.size ?? 0n,
      root1: before?.checkpoint.root ?? emptyRoot(),
      size2: size,
      root2: root,
      proof,
    });
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

/** The note with the signatures of these keys alone, or the refusal. */
function verifiedNote(sent: string, keys: readonly Verifier[]): string | WitnessAnswer {
  try {
    const { text: body, signatures } = openNote(sent, keys);
    const lines = signatures.map(({ name, keyId }) => {
      const line = splitNote(sent).signatures.find((one) => one.name === name && one.keyId === keyId);
      return line === undefined ? '' : formatSignatureLine(line);
    });
    return `${body}\n${lines.join('')}`;
  } catch (error) {
    return refuse(403, messageOf(error));
  }
}

function messageOf(error: unknown): string {
  if (error instanceof RecordError) return error.message;
  throw error;
}
