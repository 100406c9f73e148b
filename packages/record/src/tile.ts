/**
 * Paths of tiles and entry bundles (c2sp.org/tlog-tiles): `tile/<L>/<N>[.p/<W>]` and `tile/entries/<N>[.p/<W>]`.
 */
import { RecordError } from './errors.ts';

/** Hashes in a full tile, and entries in a full bundle. */
export const tileWidth = 256;

export interface TilePath {
  /** 0 to 63, or `entries` for a bundle. */
  readonly level: number | 'entries';
  readonly n: bigint;
  /** 1 to 256; 256 is a full tile. */
  readonly width: number;
}

/**
 * @param width 1 to 255 for a partial tile; 256, 0 or nothing for a full one
 * @throws {RecordError} `tile-path-invalid`
 * @example
 * tilePath(0, 1234067, 8); // 'tile/0/x001/x234/067.p/8'
 */
export function tilePath(level: number | 'entries', n: number | bigint, width = 0): string {
  const whole = typeof n === 'bigint' ? n : Number.isSafeInteger(n) ? BigInt(n) : -1n;
  if (whole < 0n || whole > 0xffff_ffff_ffff_ffffn) throw invalid('expected a tile number from 0 to 2^64 - 1');
  if (level !== 'entries' && !(Number.isInteger(level) && level >= 0 && level <= 63))
    throw invalid('expected a level from 0 to 63');
  if (!(Number.isInteger(width) && width >= 0 && width <= tileWidth)) throw invalid('expected a width from 1 to 256');
  const digits = whole.toString();
  const padded = digits.padStart(Math.ceil(digits.length / 3) * 3, '0');
  let path = `tile/${level}`;
  for (let i = 0; i < padded.length; i += 3) path += `/${i + 3 < padded.length ? 'x' : ''}${padded.slice(i, i + 3)}`;
  return width === 0 || width === tileWidth ? path : `${path}.p/${width}`;
}

/**
 * The inverse of `tilePath`; accepts the one spelling it writes and no other.
 *
 * @throws {RecordError} `tile-path-invalid`
 */
export function parseTilePath(path: string): TilePath {
  // 64-bit numbers have at most seven groups; the bound also keeps the expression's work small.
  const match =
    path.length > 64 ? null : /^tile\/(entries|\d{1,2})\/((?:x\d{3}\/){0,6}\d{3})(?:\.p\/(\d{1,3}))?$/.exec(path);
  if (match === null) throw invalid('expected tile/<level>/<number in groups of three digits>, optionally .p/<width>');
  const level = match[1] === 'entries' ? 'entries' : Number(match[1]);
  const n = BigInt((match[2] as string).replace(/[x/]/g, ''));
  const width = match[3] === undefined ? tileWidth : Number(match[3]);
  if (width === 0 || tilePath(level, n, width) !== path)
    throw invalid('expected no additional leading zeroes, and a width from 1 to 255');
  return { level, n, width };
}

/** How many hashes the tile `n` at `level` (bundles: level 0) has in a tree of `size` leaves: 0 to 256, where 0 is a tile that isn't there. */
export function tileWidthAt(level: number, n: number | bigint, size: number | bigint): number {
  const hashes = BigInt(size) >> BigInt(8 * level);
  const width = hashes - BigInt(n) * BigInt(tileWidth);
  return width <= 0n ? 0 : width >= BigInt(tileWidth) ? tileWidth : Number(width);
}

function invalid(message: string): RecordError {
  return new RecordError('tile-path-invalid', `${message} (c2sp.org/tlog-tiles)`);
}
