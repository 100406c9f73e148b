/**
 * The chain of a log's seals (docs/format.md, "Seals"): whole from the first to the last, each signed by the key that the one before announced,
 * sizes that never fall, roots of the tree; and blocks that lie in the epoch their indexes belong to.
 */
import { equalBytes } from '../bytes.ts';
import { parseNumberName, sealFileName } from '../codec/names.ts';
import { RecordError } from '../errors.ts';
import { sameKey, type Verifier } from '../note-key.ts';
import { hashSeal, openSeal, parseSeal, type Seal, sealKeyName } from '../seal.ts';
import type { FindingCode } from './findings.ts';
import { readCheckpoints, sizeOf } from './snapshot.ts';
import type { StatementCheck } from './tenant-check.ts';
import type { StatedRoot } from './tree-check.ts';

/** What is wrong with where a block lies, for a finding. */
export interface EpochFault {
  readonly code: FindingCode;
  readonly message: string;
}

interface PlacedSeal {
  readonly seal: Seal;
  readonly bytes: Uint8Array;
  readonly place: string;
}

export class SealedEpochs {
  readonly #seals: readonly PlacedSeal[];
  #toldUnsealed = false;

  constructor(seals: readonly PlacedSeal[]) {
    this.#seals = seals;
  }

  get first(): Seal | undefined {
    return this.#seals[0]?.seal;
  }

  get last(): Seal | undefined {
    return this.#seals.at(-1)?.seal;
  }

  /** The roots they state, to be held against the tree. */
  stated(): StatedRoot[] {
    return this.#seals.map(({ seal: { size, root, epoch }, place }) => ({
      size,
      root,
      place,
      who: `the seal of epoch ${epoch}`,
    }));
  }

  /** The seal of an epoch, with the hash of its bytes. */
  find(epoch: number): { readonly seal: Seal; readonly hash: Uint8Array } | undefined {
    const placed = this.#at(epoch);
    return placed === undefined ? undefined : { seal: placed.seal, hash: hashSeal(placed.bytes) };
  }

  /** Holds a block of `epoch` with indexes from `from` to before `end` against the seals around it. */
  faultOf(epoch: number, from: number, end: number): EpochFault | undefined {
    const { first, last } = this;
    if (first === undefined || last === undefined) return undefined;
    if (epoch > last.epoch + 1) {
      // Once a log: every block behind it says the same.
      if (this.#toldUnsealed) return undefined;
      this.#toldUnsealed = true;
      return {
        code: 'epoch-unsealed',
        message: `the block is of epoch ${epoch}, and epoch ${last.epoch + 1} before it has no seal: seals were removed, or older ones put back`,
      };
    }
    if (epoch <= first.epoch)
      return { code: 'epoch-mixed', message: `the block is of epoch ${epoch}, which ended before the log began` };
    const begins = this.#at(epoch - 1)?.seal.size ?? 0;
    const ends = this.#at(epoch)?.seal.size ?? Number.POSITIVE_INFINITY;
    return from < begins || end > ends
      ? {
          code: 'epoch-mixed',
          message: `the block is of epoch ${epoch} and holds indexes from ${from} to ${end - 1}; by the seals that epoch has ${begins} to ${ends === Number.POSITIVE_INFINITY ? 'the end' : ends - 1}`,
        }
      : undefined;
  }

  #at(epoch: number): PlacedSeal | undefined {
    return this.#seals[epoch - (this.first?.epoch ?? 0)];
  }
}

/**
 * Reads and checks the chain; roots are left to the tree.
 *
 * @param anchor the checkpoint key that the log began with
 * @param held leaves in the files
 */
export async function checkSeals(
  check: StatementCheck,
  anchor: Verifier | undefined,
  held: number,
): Promise<SealedEpochs> {
  const chain = await readChain(check);
  await checkRememberedSeal(check, chain);
  let before: PlacedSeal | undefined;
  for (const placed of chain) {
    checkLink(check, placed, before, anchor);
    before = placed;
  }
  const last = chain.at(-1);
  if (last !== undefined && last.seal.size > held && !(await isWriterAhead(check, last.seal.size)))
    check.findings.add(
      'rollback',
      last.place,
      `the seal of epoch ${last.seal.epoch} covers ${last.seal.size} leaves, the files hold ${held}: the log was cut off or an older copy was restored`,
    );
  noteAge(check, last?.seal);
  return new SealedEpochs(chain);
}

/** The seals from the first on, as far as they follow each other and can be read. */
async function readChain({ files, ledgerDir, tenant, findings }: StatementCheck): Promise<PlacedSeal[]> {
  const epochs: number[] = [];
  for (const name of await files.list(`${ledgerDir}/${tenant}/seals`)) {
    const epoch = parseNumberName(name);
    if (epoch === undefined) findings.add('file-unknown', `${tenant}/seals/${name}`, 'it is not the seal of an epoch');
    else epochs.push(epoch);
  }
  epochs.sort((a, b) => a - b);
  if (epochs.length === 0)
    findings.add('seal-missing', `${tenant}/seals`, 'the log has no seal, not even the one it began with');
  const chain: PlacedSeal[] = [];
  for (const epoch of epochs) {
    const place = `${tenant}/${sealFileName(epoch)}`;
    const expected = (chain.at(-1)?.seal.epoch ?? epoch - 1) + 1;
    if (epoch !== expected) {
      findings.add('seal-missing', place, `epochs ${expected} to ${epoch - 1} have no seal, and epoch ${epoch} has`);
      return chain;
    }
    const bytes = await files.readFile(`${ledgerDir}/${place}`);
    if (bytes === undefined) {
      findings.add('seal-missing', place, 'the seal cannot be read');
      return chain;
    }
    try {
      const seal = parseSeal(bytes);
      if (seal.epoch !== epoch)
        throw new RecordError('seal-malformed', `expected the seal of epoch ${epoch}, got that of ${seal.epoch}`);
      chain.push({ seal, bytes, place });
    } catch (error) {
      if (!(error instanceof RecordError)) throw error;
      findings.add('seal-malformed', place, error.message);
      return chain;
    }
  }
  return chain;
}

function checkLink(
  { log, findings }: StatementCheck,
  { seal, bytes, place }: PlacedSeal,
  before: PlacedSeal | undefined,
  anchor: Verifier | undefined,
): void {
  const { origin, epoch, size, previous, next } = seal;
  if (origin !== log.origin) findings.add('seal-forged', place, 'the seal is of another log');
  if (next.type !== 1 || next.name !== sealKeyName(log.origin, epoch + 1))
    findings.add('seal-forged', place, `expected the key of epoch ${epoch + 1} to be announced, got ${next.name}`);
  const signer = before === undefined ? anchor : before.seal.next;
  if (signer !== undefined) {
    try {
      openSeal(bytes, signer);
    } catch (error) {
      if (!(error instanceof RecordError)) throw error;
      findings.add(
        'seal-forged',
        place,
        before === undefined
          ? `the first seal is not signed by the checkpoint key the log began with: ${error.message}`
          : `the seal is not signed by the key that the one before announced: ${error.message}`,
      );
    }
  }
  if (before === undefined) {
    if (previous !== undefined)
      findings.add('seal-missing', place, 'the seal follows another one: the first seals of the log are missing');
    if (size !== 0) findings.add('seal-forged', place, `expected the first seal to cover no leaf, got ${size}`);
    return;
  }
  if (previous === undefined || !equalBytes(previous, hashSeal(before.bytes)))
    findings.add('seal-forged', place, 'the seal names another one as the one before it: one of them was replaced');
  if (size < before.seal.size)
    findings.add(
      'seal-forged',
      place,
      `the seal covers ${size} leaves, the one before ${before.seal.size}: a log never shrinks`,
    );
}

/** A seal that somebody kept must be here, byte for byte: then so is everything before it. */
async function checkRememberedSeal(
  { rememberedSeal, findings, tenant }: StatementCheck,
  chain: readonly PlacedSeal[],
): Promise<void> {
  if (rememberedSeal === undefined) return;
  const { epoch } = parseSeal(rememberedSeal);
  const here = chain.find(({ seal }) => seal.epoch === epoch);
  const place = `${tenant}/${sealFileName(epoch)}`;
  if (here === undefined)
    findings.add(
      'rollback',
      place,
      `the remembered seal of epoch ${epoch} is not here: the log ends before it, or begins after`,
    );
  else if (!sameKey(here.seal.next, parseSeal(rememberedSeal).next) || !equalBytes(here.bytes, rememberedSeal))
    findings.add(
      'seal-forged',
      place,
      `the seal of epoch ${epoch} is not the remembered one: the log was written anew`,
    );
}

/** A writer at work may have sealed an epoch after we looked at its leaves. */
async function isWriterAhead({ files, ledgerDir, tenant }: StatementCheck, size: number): Promise<boolean> {
  return (sizeOf((await readCheckpoints(files, ledgerDir, [`${tenant}/`])).get(tenant)) ?? 0) >= size;
}

/** Seals of months that are over are made at the latest when a server starts: where they end, nobody has written since, or they were taken away. */
function noteAge({ nowMs, notes, tenant }: StatementCheck, last: Seal | undefined): void {
  const now = new Date(nowMs);
  const month = (now.getUTCFullYear() - 1970) * 12 + now.getUTCMonth();
  if (last === undefined || last.epoch >= month - 1) return;
  notes.push(
    `the newest seal of ${tenant} is of ${monthName(last.epoch)}: no server has run in a later month, or what it wrote was taken away; only a remembered checkpoint or seal tells which`,
  );
}

function monthName(epoch: number): string {
  return `${1970 + Math.floor(epoch / 12)}-${String((epoch % 12) + 1).padStart(2, '0')}`;
}
