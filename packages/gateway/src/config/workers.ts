/** The key `workers` of `gateway.yaml`: how many processes serve. What each gets of the rest stands in slots.ts. */
import { availableParallelism } from 'node:os';

import { z } from 'zod';

import { GatewayError } from '../errors.ts';

const workersMax = 64;
/** Of an `emitter.id`. */
const emitterCharsMax = 128;
export const spoolBytesMin: number = 8 * 1024 * 1024;

const said = { error: `expected auto, or a number from 1 to ${workersMax}` };

export type WorkersSection = number | 'auto';

export const workersSchema: z.ZodDefault<z.ZodType<WorkersSection>> = z
  .union([z.int(said).min(1, said).max(workersMax, said), z.literal('auto')], said)
  .default(1);

/** `auto` is one for each core, as far as there is room for their spools. */
export function readWorkers(
  workers: WorkersSection,
  of: { readonly file: string; readonly emitter: string; readonly spoolBytesMax: number },
): number {
  const { file, emitter, spoolBytesMax } = of;
  const roomFor = Math.floor((spoolBytesMax - primarySpoolBytes(spoolBytesMax)) / spoolBytesMin);
  const count = workers === 'auto' ? Math.max(1, Math.min(availableParallelism(), workersMax, roomFor)) : workers;
  if (count === 1) return count;
  if (count > roomFor) {
    throw new GatewayError(
      'config-invalid',
      `${file}: expected spool.maxBytes to hold ${spoolBytesMin} bytes for each of ${count} workers and for their primary, got ${spoolBytesMax}; give the spool more room, or start fewer`,
    );
  }
  if (emitterOf(emitter, count).length > emitterCharsMax)
    throw new GatewayError('config-invalid', `${file}: expected emitter to leave room for /${count}, got a longer one`);
  return count;
}

/** The same installation, another slot. */
export function emitterOf(emitter: string, slot: number): string {
  return `${emitter}/${slot}`;
}

/** What the primary may hold of all that a gateway may. */
export function primarySpoolBytes(whole: number): number {
  return Math.max(spoolBytesMin, Math.floor(whole / 16));
}
