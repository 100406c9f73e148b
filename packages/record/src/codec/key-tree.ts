/**
 * The keys under a seed (docs/format.md, "Keys"): a 32-level HMAC tree whose leaves are the step keys.
 *
 * A reader jumps to any step. The writer walks forward through `StepKeys`, which forgets every node that leads to a step
 * behind it: what was sealed can't be opened again from the writer's memory (forward secrecy, where the process has no
 * right to unwrap the seed).
 */
import { createHmac } from 'node:crypto';
import { RecordError } from '../errors.ts';

const levels = 32;
const stepMax = 2 ** levels - 1;
const nodeLabel: Uint8Array = new TextEncoder().encode('watchglass/v1/node');
const openingLabel: Uint8Array = new TextEncoder().encode('watchglass/v1/opening');
const blockLabel: Uint8Array = new TextEncoder().encode('watchglass/v1/block');

/** The key of one step, by 32 HMACs from the seed. */
export function stepKeyOf(seed: Uint8Array, step: number): Uint8Array {
  assertStep(step);
  let node = Uint8Array.from(seed);
  for (let level = 1; level <= levels; level++) {
    const next = childOf(node, level, Math.floor(step / 2 ** (levels - level)) % 2);
    node.fill(0);
    node = next;
  }
  return node;
}

/** The key of the keystream that the openings r of a step are taken from. */
export function openingKeyOf(stepKey: Uint8Array): Uint8Array {
  return createHmac('sha256', stepKey).update(openingLabel).digest();
}

/**
 * The key of one block; `header` is the block up to and without its ciphertext.
 *
 * HKDF-SHA-256 (RFC 5869 §2) for 32 bytes, written out: OpenSSL takes an info of at most 1,024 bytes, and a header with
 * many ranges is longer.
 */
export function blockKeyOf(stepKey: Uint8Array, salt: Uint8Array, header: Uint8Array): Uint8Array {
  const extracted = createHmac('sha256', salt).update(stepKey).digest();
  return createHmac('sha256', extracted).update(blockLabel).update(header).update(Uint8Array.of(1)).digest();
}

/** The writer's way through the steps of one seed: forward only. */
export class StepKeys {
  /** Nodes not spent yet, the earliest last. Node `key` at `depth` leads to the steps from `first`. */
  readonly #nodes: { readonly depth: number; readonly first: number; readonly key: Uint8Array }[];

  /** Takes the seed over, and erases it when it is spent. */
  constructor(seed: Uint8Array) {
    if (seed.length !== 32)
      throw new RecordError('argument-invalid', `expected a seed of 32 bytes, got ${seed.length}`);
    this.#nodes = [{ depth: 0, first: 0, key: seed }];
  }

  /**
   * The key of `step`, the caller's to erase. No step up to it can be asked for again.
   *
   * @throws {RecordError} `argument-invalid` for a step that is spent
   */
  advance(step: number): Uint8Array {
    assertStep(step);
    for (let node = this.#nodes.pop(); node !== undefined; node = this.#nodes.pop()) {
      if (step < node.first) {
        this.#nodes.push(node);
        break;
      }
      const half = 2 ** (levels - node.depth - 1);
      if (node.depth === levels && node.first === step) return node.key;
      if (step < node.first + 2 * half && node.depth < levels) {
        this.#nodes.push({
          depth: node.depth + 1,
          first: node.first + half,
          key: childOf(node.key, node.depth + 1, 1),
        });
        this.#nodes.push({ depth: node.depth + 1, first: node.first, key: childOf(node.key, node.depth + 1, 0) });
      }
      node.key.fill(0);
    }
    throw new RecordError('argument-invalid', `step ${step} is spent: the writer's keys only go forward`);
  }

  erase(): void {
    for (const node of this.#nodes.splice(0)) node.key.fill(0);
  }
}

function childOf(node: Uint8Array, level: number, bit: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(createHmac('sha256', node).update(nodeLabel).update(Uint8Array.of(level, bit)).digest());
}

function assertStep(step: number): void {
  if (!Number.isInteger(step) || step < 0 || step > stepMax) {
    throw new RecordError('argument-invalid', `expected a step from 0 to 2^32 - 1, got ${step}`);
  }
}
