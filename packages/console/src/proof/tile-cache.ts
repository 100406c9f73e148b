/** Tiles read lately. A tile of a given width never changes, so what was read stays read; bounded, oldest out first. */
import { fetchLogFile } from '../api/client.ts';
import type { TileReader } from './growth.ts';

const tilesMax = 128;

export function createTileReader(tenant: string): TileReader {
  const tiles = new Map<string, Promise<Uint8Array>>();
  return (path) => {
    const known = tiles.get(path);
    if (known !== undefined) return known;
    const reading = fetchLogFile(tenant, path, new AbortController().signal);
    reading.catch(() => tiles.delete(path));
    tiles.set(path, reading);
    const oldest = tiles.keys().next().value;
    if (tiles.size > tilesMax && oldest !== undefined) tiles.delete(oldest);
    return reading;
  };
}
