/**
 * Seals the epochs of a log, each with a key that the seal before announced and that is erased when it has sealed (docs/format.md, "Seals").
 *
 * Durable in this order: the next epoch's key, and with it the size and root that the ending epoch will be sealed at; the seal;
 * then the ending epoch's key is written over and removed. So whatever is cut off in between, the next start finishes the one seal that
 * was begun, whatever the clock says then, and no key ever signs two seals. Nothing of the next epoch is stored before the seal is.
 */
import {
  emptyRoot,
  equalBytes,
  formatSignerKey,
  generateSigner,
  hashSeal,
  openSeal,
  parseSeal,
  parseSignerKey,
  type Seal,
  type Signer,
  sameKey,
  sealKeyName,
  signSeal,
} from '@watchglass/record';
import { parseNumberName, sealFileName } from '@watchglass/record/reader';
import type { Disk } from '../world/disk.ts';
import type { Random } from '../world/world.ts';
import { startOfEpoch } from './epoch.ts';
import { LedgerError } from './errors.ts';
import { readSteady } from './steady-read.ts';
import type { StorageDriver } from './storage.ts';

export interface SealPlace {
  readonly disk: Disk;
  readonly random: Random;
  readonly keysDir: string;
  readonly driver: StorageDriver;
}

/** What a log ended with when an epoch ended. */
export interface Boundary {
  readonly size: number;
  readonly root: Uint8Array;
}

/** The key that will seal an epoch, and where the epoch before it ends or ended. */
interface EpochKey {
  readonly signer: Signer;
  readonly boundary: Boundary;
}

export class LogSeals {
  readonly #place: SealPlace;
  readonly #tenant: string;
  readonly #origin: string;
  #last: Seal;
  #lastHash: Uint8Array;
  #key: EpochKey;
  #endMs: number;
  #sealing = false;
  #unerased = false;

  private constructor(
    place: SealPlace,
    log: { readonly tenant: string; readonly origin: string },
    newest: { readonly seal: Seal; readonly hash: Uint8Array; readonly key: EpochKey },
  ) {
    this.#place = place;
    this.#tenant = log.tenant;
    this.#origin = log.origin;
    this.#last = newest.seal;
    this.#endMs = startOfEpoch(newest.seal.epoch + 2);
    this.#lastHash = newest.hash;
    this.#key = newest.key;
  }

  /**
   * The first seal of a log that is being added: of the epoch before its first one, which is empty, signed by the checkpoint key. One that
   * an interrupted addition left is taken up again.
   *
   * @returns the name and bytes of its file
   */
  static async begin(
    place: SealPlace,
    log: { readonly tenant: string; readonly origin: string; readonly signer: Signer; readonly epoch: number },
  ): Promise<{ readonly name: string; readonly bytes: Uint8Array }> {
    const { tenant, origin, signer } = log;
    const [stored] = await sealedEpochs(place, tenant);
    const epoch = stored ?? Math.max(1, log.epoch) - 1;
    const boundary: Boundary = { size: 0, root: emptyRoot() };
    const key = await makeKey(place, { tenant, origin, epoch: epoch + 1, boundary });
    const seal: Seal = { origin, epoch, ...boundary, previous: undefined, next: key.signer };
    const bytes = signSeal(seal, signer);
    const known = stored === undefined ? undefined : await place.driver.document(tenant, sealFileName(stored));
    if (known !== undefined && !equalBytes(known, bytes))
      throw new LedgerError(
        'corrupt',
        `ledger/${tenant}/${sealFileName(epoch)} is not the first seal of the log that is being added; move the directory away`,
      );
    return { name: sealFileName(epoch), bytes };
  }

  /** The seals of a log that is there. @throws LedgerError `corrupt` */
  static async open(place: SealPlace, log: { readonly tenant: string; readonly origin: string }): Promise<LogSeals> {
    const { tenant, origin } = log;
    const epochs = await sealedEpochs(place, tenant);
    const last = epochs.at(-1);
    const first = epochs[0];
    if (last === undefined || first === undefined || last - first !== epochs.length - 1)
      throw new LedgerError(
        'corrupt',
        `ledger/${tenant}/seals lacks seals of epochs that ended; restore them from their backup`,
      );
    const bytes = await mustReadSeal(place, tenant, last);
    const seal = parseSeal(bytes);
    if (last > first) openSeal(bytes, parseSeal(await mustReadSeal(place, tenant, last - 1)).next);
    const key = await readKey(place, { tenant, epoch: last + 1 });
    if (key === undefined || !sameKey(key.signer, seal.next) || seal.origin !== origin || seal.epoch !== last)
      throw new LedgerError(
        'corrupt',
        `${keyPath('keys', tenant, last + 1)} is not the key that the seal of epoch ${last} announced; restore the newest ledger and keys, or go on with a successor log (watchglass ledger succeed)`,
      );
    return new LogSeals(place, log, { seal, hash: hashSeal(bytes), key });
  }

  /** The newest seal. */
  get last(): Seal {
    return this.#last;
  }

  /** The epoch that is open. */
  get epoch(): number {
    return this.#last.epoch + 1;
  }

  /** When the open epoch ends, ms since 1970. */
  get epochEndMs(): number {
    return this.#endMs;
  }

  /** The key that will seal the open epoch. */
  get key(): Signer {
    return this.#key.signer;
  }

  /** Whether a seal was begun and isn't made yet: nothing may be appended before it is. */
  get isSealing(): boolean {
    return this.#sealing;
  }

  /** Finishes what an earlier process began: a seal whose boundary is durable, and keys that have sealed and are still there. */
  async finish(head: Boundary): Promise<void> {
    const { last } = this;
    if (last.size > head.size)
      throw new LedgerError(
        'corrupt',
        `the seal of epoch ${last.epoch} covers ${last.size} leaves of ${this.#tenant}, the files hold ${head.size}: an older copy was restored; restore the newest, or go on with a successor log (watchglass ledger succeed)`,
      );
    const begun = await readKey(this.#place, { tenant: this.#tenant, epoch: this.epoch + 1 });
    this.#sealing = begun !== undefined;
    // A kill may have left a seal that isn't durable yet: it is made so before its key goes.
    const { driver } = this.#place;
    for (const epoch of await this.#sealedKeys()) {
      const bytes = await driver.document(this.#tenant, sealFileName(epoch));
      if (bytes !== undefined) await driver.putDocument(this.#tenant, sealFileName(epoch), bytes);
    }
    await this.eraseSealed();
    if (begun === undefined) return;
    // Nothing of the next epoch is stored before the seal: the log still ends where it did.
    if (begun.boundary.size !== head.size || !equalBytes(begun.boundary.root, head.root))
      throw new LedgerError(
        'corrupt',
        `epoch ${this.epoch} of ${this.#tenant} was being sealed at ${begun.boundary.size} leaves, the files hold ${head.size}; restore the newest of all files`,
      );
    await this.seal(head);
  }

  /** Seals the open epoch at the committed head, and opens the next. May be tried again after it failed. */
  async seal(head: Boundary): Promise<void> {
    const { epoch } = this;
    const tenant = this.#tenant;
    this.#sealing = true;
    const next = await makeKey(this.#place, { tenant, origin: this.#origin, epoch: epoch + 1, boundary: head });
    if (next.boundary.size !== head.size)
      throw new LedgerError(
        'corrupt',
        `epoch ${epoch} of ${tenant} was being sealed at ${next.boundary.size} leaves, got ${head.size}`,
      );
    const seal: Seal = { origin: this.#origin, epoch, ...next.boundary, previous: this.#lastHash, next: next.signer };
    const bytes = signSeal(seal, this.#key.signer);
    await this.#place.driver.putDocument(tenant, sealFileName(epoch), bytes);
    this.#last = seal;
    this.#endMs = startOfEpoch(epoch + 2);
    this.#lastHash = hashSeal(bytes);
    this.#key = next;
    this.#sealing = false;
    await this.eraseSealed();
  }

  /** Whether keys that have sealed are still there, because the disk was full. */
  get hasUnerased(): boolean {
    return this.#unerased;
  }

  /** Erases the keys that have sealed; their seals are durable. */
  async eraseSealed(): Promise<void> {
    this.#unerased = true;
    for (const epoch of await this.#sealedKeys()) await this.#erase(epoch);
    this.#unerased = false;
  }

  /** Epochs that are sealed and whose key is still there. */
  async #sealedKeys(): Promise<number[]> {
    const names = await this.#place.disk.list(this.#place.keysDir);
    return names.flatMap((name) => keyEpoch(name, this.#tenant) ?? []).filter((epoch) => epoch <= this.#last.epoch);
  }

  /** What was written over the bytes of a key doesn't bring them back where the disk writes in place; docs/threats.md says what else may hold them. */
  async #erase(epoch: number): Promise<void> {
    const { disk, keysDir } = this.#place;
    const path = keyPath(keysDir, this.#tenant, epoch);
    const bytes = await disk.size(path);
    if (bytes === undefined) return;
    const file = await disk.open(path, 'append');
    try {
      await file.write(new Uint8Array(bytes), 0);
      await file.datasync();
    } finally {
      await file.close();
    }
    await disk.remove(path);
    await disk.syncDirectory(keysDir);
  }
}

function keyPath(keysDir: string, tenant: string, epoch: number): string {
  return `${keysDir}/${tenant}.epoch-key-${epoch}`;
}

function keyEpoch(name: string, tenant: string): number | undefined {
  const prefix = `${tenant}.epoch-key-`;
  return name.startsWith(prefix) ? parseNumberName(name.slice(prefix.length)) : undefined;
}

async function sealedEpochs({ driver }: SealPlace, tenant: string): Promise<number[]> {
  const names = await driver.documents(tenant, 'seals');
  return names.flatMap((name) => parseNumberName(name) ?? []).sort((a, b) => a - b);
}

async function mustReadSeal({ driver }: SealPlace, tenant: string, epoch: number): Promise<Uint8Array> {
  const bytes = await readSteady(driver, tenant, sealFileName(epoch));
  if (bytes === undefined) throw new LedgerError('corrupt', `ledger/${tenant}/${sealFileName(epoch)} is missing`);
  return bytes;
}

/** The key of an epoch, made if it isn't there. What is there counts, with the boundary it was made for. */
async function makeKey(
  place: SealPlace,
  wanted: { readonly tenant: string; readonly origin: string; readonly epoch: number; readonly boundary: Boundary },
): Promise<EpochKey> {
  const { tenant, origin, epoch, boundary } = wanted;
  const known = await readKey(place, wanted);
  if (known !== undefined) {
    if (known.signer.name !== sealKeyName(origin, epoch))
      throw new LedgerError(
        'corrupt',
        `expected ${keyPath('keys', tenant, epoch)} to be of ${origin}, got a key of ${known.signer.name}`,
      );
    // A kill or a full disk may have left it before it was durable, and it is announced next.
    await syncFile(place.disk, keyPath(place.keysDir, tenant, epoch));
    await place.disk.syncDirectory(place.keysDir);
    return known;
  }
  const signer = generateSigner(sealKeyName(origin, epoch), place.random.bytes(32));
  const root = Buffer.from(boundary.root).toString('base64');
  const text = `${formatSignerKey(signer)}\nsize ${boundary.size}\nroot ${root}\n`;
  await place.disk.makeDirectory(place.keysDir);
  await place.disk.replace(keyPath(place.keysDir, tenant, epoch), Buffer.from(text), { mode: 0o600 });
  return { signer, boundary };
}

async function syncFile(disk: Disk, path: string): Promise<void> {
  const file = await disk.open(path, 'append');
  try {
    await file.datasync();
  } finally {
    await file.close();
  }
}

async function readKey(
  { disk, keysDir }: SealPlace,
  { tenant, epoch }: { readonly tenant: string; readonly epoch: number },
): Promise<EpochKey | undefined> {
  const bytes = await disk.readFile(keyPath(keysDir, tenant, epoch));
  if (bytes === undefined) return undefined;
  const match = /^(PRIVATE\+KEY\+[^\n]+)\nsize (\d{1,16})\nroot ([A-Za-z0-9+/]{43}=)\n$/.exec(
    Buffer.from(bytes).toString('utf8'),
  );
  if (match === null)
    throw new LedgerError(
      'corrupt',
      `${keyPath('keys', tenant, epoch)} is not laid out as an epoch's key; restore it from its backup`,
    );
  const [, key = '', size = '', root = ''] = match;
  return { signer: parseSignerKey(key), boundary: { size: Number(size), root: Buffer.from(root, 'base64') } };
}
