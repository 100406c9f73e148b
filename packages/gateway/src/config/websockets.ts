/** The section of `gateway.yaml` about what lasts, `websockets`: who may open one from where, how long it goes on, how many there are. */
import { z } from 'zod';
import type { WebSocketSettings } from '../passage/upgrade.ts';
import { origin } from './address.ts';

export interface WebSocketsSection extends WebSocketSettings {
  readonly connectionsMax: number;
  readonly perPersonMax: number;
}

const dayMs = 86_400_000;
const milliseconds = z.int().min(1).max(dayMs);

export const webSocketsSchema: z.ZodType<WebSocketsSection> = z
  .strictObject({
    origins: z.array(origin).max(64).default([]),
    handshakeTimeoutMs: milliseconds.default(10_000),
    idleTimeoutMs: milliseconds.default(120_000),
    lifetimeMs: milliseconds.default(28_800_000),
    messageBytesMax: z
      .int()
      .min(125)
      .max(64 * 1024 * 1024)
      .default(1024 * 1024),
    connectionsMax: z.int().min(1).max(100_000).default(1_000),
    perPersonMax: z.int().min(1).max(100_000).default(20),
  })
  .prefault({});
