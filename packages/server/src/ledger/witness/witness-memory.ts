/**
 * What a log remembers of its witnesses between runs: how far each cosigned, and a proof that the log was longer once, where one was shown.
 * Beside the ledger (`witnesses/<tenant>.json`), and working state only: without it the witnesses are asked.
 */
import type { World } from '../../world/world.ts';

export interface WitnessedSize {
  /** Of the newest checkpoint it cosigned. */
  readonly size: number;
  readonly timeSeconds: number;
}

export interface WitnessMemory {
  /** By the id of the witness's key. */
  readonly sizes: ReadonlyMap<string, WitnessedSize>;
  /** A checkpoint signed by this log's key that its files didn't have. */
  readonly contradiction: string | undefined;
  /** The policy that the log's own events state last. */
  readonly recorded: string | undefined;
}

export const emptyMemory: WitnessMemory = { sizes: new Map(), contradiction: undefined, recorded: undefined };

/** @returns undefined where the file is damaged: it is then as if there were none */
export async function readMemory(world: World, path: string): Promise<WitnessMemory | undefined> {
  const bytes = await world.disk.readFile(path);
  if (bytes === undefined) return emptyMemory;
  try {
    const value = JSON.parse(Buffer.from(bytes).toString('utf8')) as Record<string, unknown> | null;
    if (value?.v !== 1 || typeof value.sizes !== 'object' || value.sizes === null) return undefined;
    const sizes = new Map<string, WitnessedSize>();
    for (const [key, one] of Object.entries(value.sizes as Record<string, Partial<WitnessedSize> | null>)) {
      const size = one?.size ?? -1;
      const timeSeconds = one?.timeSeconds ?? -1;
      if (!Number.isSafeInteger(size) || size < 0 || !Number.isSafeInteger(timeSeconds)) return undefined;
      sizes.set(key, { size, timeSeconds });
    }
    return { sizes, contradiction: textOf(value.contradiction), recorded: textOf(value.recorded) };
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

export async function writeMemory(world: World, path: string, memory: WitnessMemory): Promise<void> {
  const { sizes, contradiction, recorded } = memory;
  const text = JSON.stringify({ v: 1, sizes: Object.fromEntries(sizes), contradiction, recorded });
  await world.disk.replace(path, Buffer.from(`${text}\n`), { mode: 0o600 });
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
