/** Nothing may lie in a log's directory that isn't accounted for: seeds that open, tiles of the log, and no file besides. */
import { isKeeperFault } from '../codec/kek.ts';
import { parseArchiveName, seedFileName, type Unit } from '../codec/names.ts';
import { parseSeedFile, unwrapSeed } from '../codec/seed-file.ts';
import { RecordError } from '../errors.ts';
import { parseTilePath, tileWidth } from '../tile.ts';
import type { LedgerFiles } from './ledger-files.ts';
import { readCheckpoints, sizeOf } from './snapshot.ts';
import type { TenantCheck } from './tenant-check.ts';

/** Every seed file, in use or not: a seed may be durable before a crash kept it from its first use. */
export async function checkSeeds(
  { files, ledgerDir, tenant, log, findings, keys }: TenantCheck,
  isGoing: (unit: Unit) => boolean,
): Promise<void> {
  for (const name of await files.list(`${ledgerDir}/${tenant}/seeds`)) {
    const place = `${tenant}/seeds/${name}`;
    const bytes = name.endsWith('/') ? undefined : await files.readFile(`${ledgerDir}/${place}`);
    if (bytes === undefined) {
      findings.add('file-unknown', place, 'expected wrapped seeds only');
      continue;
    }
    try {
      const file = parseSeedFile(bytes);
      if (seedFileName(file.retentionClass, file.epoch, file.writer) !== name || file.origin !== log.origin) {
        throw new RecordError(
          'seed-malformed',
          'the seed is of another log, class, epoch or writer than its name says',
        );
      }
      if (keys !== undefined && !isGoing(file)) (await unwrapSeed(file, keys)).fill(0);
    } catch (error) {
      if (!(error instanceof RecordError) || isKeeperFault(error)) throw error;
      findings.add(error.code === 'seed-malformed' ? 'seed-malformed' : 'seed-refused', place, error.message);
    }
  }
}

/** Nothing may lie in the tenant's directory that isn't accounted for. */
export async function checkNames(check: TenantCheck, derived: ReadonlySet<string>): Promise<void> {
  const { files, ledgerDir, tenant, findings } = check;
  const dir = `${ledgerDir}/${tenant}`;
  const folders = ['blocks', 'commitments', 'holds', 'rotations', 'seals', 'seeds', 'shreds', 'tile', 'timestamps'];
  const known = new Set([...folders.map((name) => `${name}/`), 'checkpoint', 'cosigned', 'predecessor', 'vkey']);
  for (const name of await files.list(dir))
    if (!known.has(name)) findings.add('file-unknown', `${tenant}/${name}`, 'no log has such a file');
  for (const folder of ['blocks', 'commitments']) {
    for (const entry of await files.list(`${dir}/${folder}`)) {
      const name = `${folder}/${entry}`;
      if (parseArchiveName(name) === undefined)
        findings.add('file-unknown', `${tenant}/${name}`, 'no log has such a file');
      else await noteLeftover(check, name);
    }
  }
  for (const path of await listTree(files, dir, 'tile/')) {
    if (derived.has(path)) continue;
    if (isLaterTile(path) && (await isWriterAhead(check, path))) continue;
    findings.add('file-unknown', `${tenant}/${path}`, 'it is not a full tile of this log');
  }
}

/** Bytes that the manifest doesn't count are of an archiving at work or interrupted: nobody reads them. */
async function noteLeftover({ files, ledgerDir, tenant, log, notes }: TenantCheck, name: string): Promise<void> {
  const bytes = ((await files.size(`${ledgerDir}/${tenant}/${name}`)) ?? 0) - (log.files.get(name) ?? 0);
  if (bytes > 0)
    notes.push(
      `${tenant}/${name} has ${bytes} bytes that the manifest does not count; the next start of the server removes them`,
    );
}

/** Tile files are of level ≥ 1 and full. */
function isLaterTile(path: string): boolean {
  try {
    const { level, width } = parseTilePath(path);
    return typeof level === 'number' && level >= 1 && width === tileWidth;
  } catch {
    return false;
  }
}

/** A tile past what was derived is fine where the log has grown past it while we verified. */
async function isWriterAhead({ files, ledgerDir, tenant }: TenantCheck, path: string): Promise<boolean> {
  const { level, n } = parseTilePath(path);
  const end = (Number(n) + 1) * tileWidth ** (Number(level) + 1);
  return (sizeOf((await readCheckpoints(files, ledgerDir, [`${tenant}/`])).get(tenant)) ?? 0) >= end;
}

async function listTree(files: LedgerFiles, dir: string, prefix: string): Promise<string[]> {
  const paths: string[] = [];
  for (const name of await files.list(`${dir}/${prefix}`)) {
    if (name.endsWith('/')) paths.push(...(await listTree(files, dir, `${prefix}${name}`)));
    else paths.push(`${prefix}${name}`);
  }
  return paths;
}
