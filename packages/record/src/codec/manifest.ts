/**
 * The manifest: which files of the archive count, and how many bytes of each (docs/format.md, "Archive"). Replaced by
 * rename; one spelling only.
 */
import { createHash } from 'node:crypto';
import { tryDecodeUtf8 } from '../bytes.ts';
import { RecordError } from '../errors.ts';
import { parseArchiveName } from './names.ts';

export interface ManifestTenant {
  readonly origin: string;
  /** Type of the log's leaves; 1 unless it was created with another. */
  readonly leaf?: 2;
  /** Archived leaves. */
  readonly size: number;
  /** Names relative to the tenant's directory → bytes that count. */
  readonly files: ReadonlyMap<string, number>;
}

export interface Manifest {
  /** Number of the first group that is not archived. */
  readonly group: number;
  readonly tenants: ReadonlyMap<string, ManifestTenant>;
}

export const emptyManifest: Manifest = { group: 0, tenants: new Map() };

/** Tenants and files come out sorted. */
export function encodeManifest(manifest: Manifest): Uint8Array {
  const tenants = sorted(manifest.tenants).map(([tenant, { origin, leaf, size, files }]) => [
    tenant,
    { origin, ...(leaf === undefined ? {} : { leaf }), size, files: Object.fromEntries(sorted(files)) },
  ]);
  const line = JSON.stringify({ v: 1, group: manifest.group, tenants: Object.fromEntries(tenants) });
  return Buffer.from(`${line}\n${sha256Hex(line)}\n`);
}

/** @throws {RecordError} `manifest-malformed` */
export function parseManifest(bytes: Uint8Array): Manifest {
  const text = tryDecodeUtf8(bytes);
  const lines = text?.split('\n') ?? [];
  const line = lines[0];
  if (line === undefined || lines.length !== 3 || lines[2] !== '') throw malformed('expected two lines');
  if (sha256Hex(line) !== lines[1]) throw malformed('its hash is wrong');
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw malformed('expected JSON', cause);
  }
  const manifest = readManifest(value);
  if (Buffer.compare(encodeManifest(manifest), bytes) !== 0)
    throw malformed('expected its members in the order of the format, sorted, and no others');
  return manifest;
}

function readManifest(value: unknown): Manifest {
  const { v, group, tenants } = objectOf(value, 'the manifest');
  if (v !== 1) throw malformed('expected version 1');
  const read = new Map<string, ManifestTenant>();
  for (const [tenant, entry] of Object.entries(objectOf(tenants, 'tenants'))) {
    if (!/^[a-z][a-z0-9-]{0,62}$/.test(tenant)) throw malformed('expected tenant names');
    const { origin, leaf, size, files } = objectOf(entry, 'a tenant');
    if (typeof origin !== 'string' || origin === '' || /[\s+\p{Cc}]/u.test(origin))
      throw malformed('expected an origin');
    if (leaf !== undefined && leaf !== 2) throw malformed('expected leaf type 2, or none');
    const lengths = new Map<string, number>();
    for (const [name, length] of Object.entries(objectOf(files, 'files'))) {
      if (parseArchiveName(name) === undefined) throw malformed('expected names of block and commitment files');
      lengths.set(name, countOf(length, 'a file length'));
    }
    read.set(tenant, {
      origin,
      ...(leaf === undefined ? {} : { leaf }),
      size: countOf(size, 'a size'),
      files: lengths,
    });
  }
  return { group: countOf(group, 'a group number'), tenants: read };
}

function objectOf(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw malformed(`expected ${what} to be an object`);
  return value as Record<string, unknown>;
}

function countOf(value: unknown, what: string): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
    throw malformed(`expected ${what} to be a whole number`);
  return value;
}

function sorted<V>(map: ReadonlyMap<string, V>): [string, V][] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

function sha256Hex(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function malformed(message: string, cause?: unknown): RecordError {
  return new RecordError('manifest-malformed', `the manifest is not laid out as format v1 says: ${message}`, { cause });
}
