/** Reading the records of a ledger without a server: of one moment, with its key-encryption keys. */
import { parseBlockHeader } from '../codec/block.ts';
import type { KekFinder, Keyrings } from '../codec/kek.ts';
import { parseArchiveName } from '../codec/names.ts';
import type { ShredTerms } from '../codec/shred-record.ts';
import { RecordError } from '../errors.ts';
import { BlockIndex } from './block-index.ts';
import { HeldCopies } from './held-copies.ts';
import { type LedgerFiles, nodeFiles } from './ledger-files.ts';
import { localKeys } from './local-keys.ts';
import { type OpenedRecord, RecordReader } from './record-reader.ts';
import { SeedKeeper } from './seed-keeper.ts';
import { ShreddedUnits } from './shredded-units.ts';
import { takeSnapshot } from './snapshot.ts';

export interface OfflineLedger {
  tenants(): readonly {
    readonly tenant: string;
    readonly origin: string;
    readonly size: number;
    readonly checkpoint: string | undefined;
    /** What of it was shredded, or has begun to be. */
    readonly shredded: readonly ShredTerms[];
  }[];
  /** Opened records from index `from` on, in order: at most `max`, at least one unless the log ends there. What was shredded is passed over, but for what a hold keeps. */
  read(tenant: string, from: number, max: number): Promise<readonly OpenedRecord[]>;
}

const readBytesMax = 4 * 1024 * 1024;

/**
 * @throws {RecordError} `ledger-unreadable` when there is no ledger or no key, `manifest-malformed`
 * @example
 * const ledger = await openLedger({ ledgerDir: 'data/ledger', keysDir: 'data/keys' });
 * for (const { m } of await ledger.read('clinic', 0, 100)) console.log(decode(m).event.operation);
 */
export async function openLedger(options: {
  readonly ledgerDir: string;
  /** `DIR/keys`, for the local keys in it. */
  readonly keysDir: string;
  /** Where keys are kept elsewhere: instead of the local ones. */
  readonly keyrings?: Keyrings<KekFinder>;
  readonly files?: LedgerFiles;
}): Promise<OfflineLedger> {
  const { ledgerDir, keysDir, files = nodeFiles } = options;
  const keyrings = options.keyrings ?? (await localKeys(files, keysDir));
  if (keyrings === undefined)
    throw new RecordError(
      'ledger-unreadable',
      `expected the key-encryption key in ${keysDir}/kek; without it records cannot be opened`,
    );
  const snapshot = await takeSnapshot(files, ledgerDir);
  const logs = new Map<
    string,
    {
      origin: string;
      size: number;
      checkpoint: string | undefined;
      units: ShreddedUnits;
      blocks: BlockIndex;
      records: RecordReader;
    }
  >();
  for (const [tenant, { origin, size, files: names }] of snapshot.manifest.tenants) {
    const blocks = new BlockIndex(files);
    const found = [...names].flatMap(([name, bytes]) => {
      const parsed = parseArchiveName(name);
      return parsed?.kind === 'blocks' ? [{ name, bytes, ...parsed }] : [];
    });
    found.sort((a, b) => a.epoch - b.epoch || a.number - b.number);
    for (const { retentionClass, name, bytes } of found)
      await blocks.addFile(retentionClass, `${ledgerDir}/${tenant}/${name}`, bytes);
    const seeds = new SeedKeeper(origin, keyrings.of(tenant), (name) =>
      files.readFile(`${ledgerDir}/${tenant}/seeds/${name}`),
    );
    const dir = `${ledgerDir}/${tenant}`;
    const held = new HeldCopies(files, dir, origin, keyrings.of(tenant));
    await held.load();
    const units = await ShreddedUnits.read(files, dir);
    logs.set(tenant, {
      origin,
      size,
      checkpoint: snapshot.checkpoints.get(tenant),
      units,
      blocks,
      records: new RecordReader(files, blocks, seeds, { units, held }),
    });
  }
  for (const { group, place } of snapshot.groups) {
    for (const [at, part] of group.tenants.entries()) {
      const log = logs.get(part.tenant);
      if (log === undefined) continue;
      log.size = part.sizeBefore + part.count;
      for (const [i, block] of part.blocks.entries()) {
        const { retentionClass, ranges } = parseBlockHeader(block);
        const position = group.blockPositions[at]?.[i] ?? 0;
        log.blocks.addJournalBlock(retentionClass, {
          path: `${ledgerDir}/${place}`,
          position,
          bytes: block.length,
          first: ranges[0]?.first ?? 0,
        });
      }
    }
  }
  return {
    tenants: () =>
      [...logs].map(([tenant, { origin, size, checkpoint, units }]) => ({
        tenant,
        origin,
        size,
        checkpoint,
        shredded: units.records().flatMap(({ terms, begun }) => (begun === undefined ? [] : [terms])),
      })),
    async read(tenant, from, max) {
      const log = logs.get(tenant);
      if (log === undefined) throw new RecordError('ledger-unreadable', 'the ledger has no log of this tenant');
      return from >= log.size || max <= 0 ? [] : log.records.read(from, log.size, max, readBytesMax);
    },
  };
}
