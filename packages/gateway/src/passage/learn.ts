/** Learns from a held response. One that is compressed although nobody asked for it is opened for reading, and released as it came. */
import { brotliDecompressSync, gunzipSync, inflateSync, zstdDecompressSync } from 'node:zlib';

import { type Learned, learnExposure } from '../exposure/exposure.ts';
import { learnMapped } from '../exposure/json-exposure.ts';
import { isMapped } from '../exposure/json-map.ts';
import type { Interaction } from '../fhir/fhir-interaction.ts';
import { asFile, learnedNothing } from './export.ts';
import type { HeldBeginning, HeldWhole } from './forward.ts';

/** `bytesMax` bounds what a compressed body may open to. */
export function learnFromHeld(given: HeldWhole | HeldBeginning, interaction: Interaction, bytesMax: number): Learned {
  const { operation } = interaction;
  if (operation === 'export-status' && given.status < 300)
    return learnedNothing((given.kind === 'whole' ? given.body : given.beginning).length);
  const held = operation === 'export-file' && given.status < 300 ? asFile(given) : given;
  const header = held.headers['content-type'];
  const contentType = typeof header === 'string' ? header : undefined;
  const body = held.kind === 'whole' ? held.body : held.beginning;
  const complete = held.kind === 'whole';
  const failed = held.status >= 400;
  const learn = (bytes: Uint8Array, complete: boolean): Learned =>
    isMapped(interaction)
      ? learnMapped(bytes, { interaction, of: 'response', contentType, complete, failed })
      : learnExposure(bytes, { contentType, complete });
  const encoding = held.headers['content-encoding'];
  if (encoding === undefined || encoding === 'identity' || body.length === 0) return learn(body, complete);
  const opened = complete ? decompress(body, String(encoding), bytesMax) : undefined;
  const learned = learn(opened ?? new Uint8Array(), opened !== undefined);
  return { ...learned, exposure: { ...learned.exposure, bytes: body.length } };
}

/** Undefined where it doesn't open, or opens to more than the bound. */
function decompress(body: Buffer, encoding: string, maxOutputLength: number): Uint8Array | undefined {
  try {
    switch (encoding.toLowerCase()) {
      case 'gzip':
      case 'x-gzip':
        return gunzipSync(body, { maxOutputLength });
      case 'deflate':
        return inflateSync(body, { maxOutputLength });
      case 'br':
        return brotliDecompressSync(body, { maxOutputLength });
      case 'zstd':
        return zstdDecompressSync(body, { maxOutputLength });
      default:
        return undefined;
    }
  } catch {
    return undefined;
  }
}
