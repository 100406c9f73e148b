/**
 * How many processes, and what each gets: numbers of the configuration are those of the whole gateway. What bounds memory and connections is divided evenly; what is counted is counted
 * together (workers/), so it isn't.
 */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

import { z } from 'zod';

import type { GatewayConfig } from './config.ts';
import { GatewayError } from './errors.ts';

const workersMax = 64;
/** Of an `emitter.id`. */
const emitterCharsMax = 128;
export const spoolBytesMin: number = 8 * 1024 * 1024;

export type WorkersSection = number | 'auto';

export const workersSchema: z.ZodDefault<z.ZodType<WorkersSection>> = z
  .union([z.int().min(1).max(workersMax), z.literal('auto')], {
    error: `expected auto, or a number from 1 to ${workersMax}`,
  })
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

export function spoolFolderOf(directory: string, slot: number): string {
  return join(directory, `worker-${slot}`);
}

/** What the primary keeps and sends: what the gateway does as a whole. */
export function primaryConfig(config: GatewayConfig): GatewayConfig {
  return { ...config, spool: { ...config.spool, maxBytes: primarySpoolBytes(config.spool.maxBytes) } };
}

export function workerConfig(
  config: GatewayConfig,
  worker: { slot: number; count: number; port: number },
): GatewayConfig {
  const { slot, count, port } = worker;
  const share = (whole: number): number => Math.ceil(whole / count);
  const { spool, upstream, limits, fronts } = config;
  return {
    ...config,
    workers: 1,
    listen: { ...config.listen, port },
    admin: undefined,
    emitter: emitterOf(config.emitter, slot),
    spool: {
      ...spool,
      dir: spoolFolderOf(spool.dir, slot),
      maxBytes: Math.floor((spool.maxBytes - primarySpoolBytes(spool.maxBytes)) / count),
    },
    upstream: { ...upstream, connectionsMax: share(upstream.connectionsMax) },
    limits: {
      ...limits,
      connectionsMax: share(limits.connectionsMax),
      inFlightMax: share(limits.inFlightMax),
    },
    fronts: fronts && {
      ...fronts,
      inFlightMax: share(fronts.inFlightMax),
      outcomes: fronts.outcomes && { ...fronts.outcomes, openMax: share(fronts.outcomes.openMax) },
    },
  };
}

function primarySpoolBytes(whole: number): number {
  return Math.max(spoolBytesMin, Math.floor(whole / 16));
}
