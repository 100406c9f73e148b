/**
 * The ledgers that a ledger goes on from, where they lie beside it (`ledger.<number>`): each is verified too, and must have the head that its successor says it
 * was left with.
 */
import { readdir, readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { formatCheckpoint } from '@watchglass/record';
import { type Predecessor, parseManifest, type VerifyReport, verifyLedger } from '@watchglass/record/reader';
import type { Finding, VerifiedTenant } from './report.ts';

export interface VerifiedPredecessors {
  readonly tenants: readonly VerifiedTenant[];
  readonly findings: readonly Finding[];
  readonly notes: readonly string[];
}

export async function verifyPredecessors(asked: {
  readonly ledgerDir: string;
  readonly keysDir: string | undefined;
  readonly report: VerifyReport;
  readonly full: boolean;
  readonly signal: AbortSignal;
}): Promise<VerifiedPredecessors> {
  const tenants: VerifiedTenant[] = [];
  const findings: Finding[] = [];
  const notes: string[] = [];
  const places = await olderLedgers(dirname(asked.ledgerDir));
  const open = asked.report.tenants.flatMap(({ predecessor }) => predecessor ?? []);
  for (let next = open.shift(); next !== undefined; next = open.shift()) {
    const place = places.get(next.origin);
    if (place === undefined) {
      notes.push(`the ledger with ${next.origin} is not beside this one: it was not verified`);
      continue;
    }
    const report = await verifyLedger({
      ledgerDir: place.dir,
      tenant: place.tenant,
      checkpoint: headOf(next),
      full: asked.full,
      signal: asked.signal,
      ...(asked.keysDir === undefined ? {} : { keysDir: asked.keysDir }),
    });
    const name = basename(place.dir);
    tenants.push(...report.tenants.map((tenant) => ({ ...tenant, tenant: `${name}/${tenant.tenant}` })));
    findings.push(...report.findings.map((finding) => ({ ...finding, place: `${name}/${finding.place}` })));
    notes.push(...report.notes.map((line) => `${name}: ${line}`));
    open.push(...report.tenants.flatMap(({ predecessor }) => predecessor ?? []));
  }
  return { tenants, findings, notes };
}

/** By the origin of a log: where it lies. */
async function olderLedgers(dataDir: string): Promise<Map<string, { readonly dir: string; readonly tenant: string }>> {
  const found = new Map<string, { dir: string; tenant: string }>();
  for (const name of (await readdir(dataDir)).filter((one) => /^ledger\.\d{1,6}$/.test(one))) {
    try {
      const dir = join(dataDir, name);
      for (const [tenant, { origin }] of parseManifest(await readFile(join(dir, 'manifest'))).tenants)
        found.set(origin, { dir, tenant });
    } catch {
      // No ledger, or one whose manifest is gone: then its logs aren't beside this one, and that is said.
    }
  }
  return found;
}

/** As a checkpoint remembered from then, which the old log has to extend. */
function headOf({ origin, size, root }: Predecessor): string {
  return formatCheckpoint({ origin, size: BigInt(size), root: Buffer.from(root, 'hex') });
}
