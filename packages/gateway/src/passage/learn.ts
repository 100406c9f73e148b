/** Learns from a held response, and from what passes behind one that is too large. One that is compressed although nobody asked for it is opened for reading. */
import { brotliDecompressSync, gunzipSync, inflateSync, zstdDecompressSync } from 'node:zlib';

import { BundleReader } from '../exposure/bundle-reader.ts';
import { type Learned, learnExposure } from '../exposure/exposure.ts';
import { learnMapped } from '../exposure/json-exposure.ts';
import { isMapped } from '../exposure/json-map.ts';
import { MappedReader } from '../exposure/mapped-reader.ts';
import type { Interaction } from '../fhir/fhir-interaction.ts';
import { isJson, isNdjson, isUtf8 } from '../http/media-type.ts';
import { asFile, learnedNothing, readOn } from './export.ts';
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
  const asItCame = held.kind === 'whole' ? held.asItCame : undefined;
  if (isPlain(held) && asItCame === undefined) return learn(body, complete);
  const opened = asItCame ?? (held.kind === 'whole' ? openedBody(held, bytesMax) : undefined);
  const learned = learn(opened ?? new Uint8Array(), opened !== undefined);
  return { ...learned, exposure: { ...learned.exposure, bytes: body.length } };
}

function isPlain(held: HeldWhole | HeldBeginning): boolean {
  const encoding = held.headers['content-encoding'];
  return encoding === undefined || encoding === 'identity' || (held.kind === 'whole' && held.body.length === 0);
}

/** What a client reads; undefined where that can't be told, or is more than the bound. */
export function openedBody(held: HeldWhole, bytesMax: number): Buffer | undefined {
  return isPlain(held) ? held.body : decompress(held.body, String(held.headers['content-encoding']), bytesMax);
}

/**
 * Reads on behind what `learnFromHeld` could read of a beginning: lines, and Bundles of any length. Undefined for what can only be read as a whole.
 */
export function readerBehind(
  held: HeldBeginning,
  interaction: Interaction,
  bytesMax: number,
): PassingReader | undefined {
  if (interaction.operation === 'export-file') return readOn(held, bytesMax);
  const contentType = held.headers['content-type'];
  // Whom path and query name is known.
  if (isMapped(interaction) && interaction.map.patients.every((source) => source.in !== 'response')) return nobodyThere;
  if (typeof contentType !== 'string' || !isPlain(held) || !isUtf8(contentType)) return undefined;
  if (isMapped(interaction)) {
    return isJson(contentType) && held.status < 400
      ? new MappedReader(held.beginning, { interaction, pieceBytesMax: bytesMax })
      : undefined;
  }
  if (isNdjson(contentType)) return readOn(held, bytesMax);
  return isJson(contentType) ? new BundleReader(held.beginning, { pieceBytesMax: bytesMax }) : undefined;
}

const nobodyThere: PassingReader = { push: () => undefined, finish: async () => learnedNothing(0) };

/** Learns from what passes. */
export interface PassingReader {
  /** A promise where it has to be waited for before more is given. */
  push(chunk: Uint8Array): Promise<void> | undefined;
  /** What all of it told; `complete` where it came to its end. */
  finish(complete: boolean): Promise<Learned>;
}

/** Undefined where it doesn't open, or opens to more than the bound. */
function decompress(body: Buffer, encoding: string, maxOutputLength: number): Buffer | undefined {
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
