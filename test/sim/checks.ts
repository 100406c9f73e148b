/**
 * What must hold at the end of a history, whatever happened in it: every acknowledged event is there, once, in order, and provable; of a call
 * without an answer all is there or nothing; no signature contradicts another or the log; and the verifier finds nothing.
 */
import { decode, Frontier, hashLeaf, parseCheckpoint, verifyInclusion } from '../../packages/record/src/index.ts';
import {
  type Finding,
  segmentHeaderBytes,
  type VerifyOptions,
  verifyLedger,
} from '../../packages/record/src/reader.ts';
import type { Ledger, StoredEntry } from '../../packages/server/src/ledger/ledger.ts';
import type { SimDisk, SimProcess, SimRandom } from '../../packages/server/src/world/simulated.ts';
import { checkEnded } from './ending-checks.ts';
import { type LogModel, type Outside, textOf, Violation } from './model.ts';
import type { Session } from './session.ts';

export const place = { dir: '/data/ledger', keysDir: '/data/keys', originBase: 'watchglass.example' };
const provedMax = 6;

/**
 * The verifier, before the next process begins. A power failure may have taken the newest checkpoint, or the name of the empty lock; nothing else.
 * Once a process has started on them, what was answered must be extended, too.
 */
export async function checkFiles(
  disk: SimDisk,
  outside: Outside,
  { powerLost, isStarted }: { readonly powerLost: boolean; readonly isStarted: boolean },
): Promise<void> {
  const files = disk.process();
  if ((await files.size(`${place.dir}/manifest`)) === undefined) return;
  const remembered = isStarted ? [...outside.logs.values()].flatMap(rememberedOf) : [];
  for (const only of [undefined, ...remembered]) {
    const { findings } = await verifyLedger({
      ledgerDir: place.dir,
      keysDir: place.keysDir,
      files,
      full: only === undefined,
      ...only,
    });
    const wrong = findings.filter(
      (one) => !(powerLost && mayBeLost(one)) && !(!isStarted && isUnfinished(one, outside)),
    );
    if (wrong.length > 0)
      throw new Violation(`verify: ${wrong.map((one) => `${one.code} ${one.place}: ${one.message}`).join('; ')}`);
  }
}

function mayBeLost({ place: where }: Finding): boolean {
  return /(^|\/)(checkpoint|lock)$/.test(where);
}

/** What the verifier says of a change of keys or a shred that was cut off: the next start finishes it. */
function isUnfinished({ code, place: where }: Finding, outside: Outside): boolean {
  const log = [...outside.logs.values()].find(({ tenant }) => where.startsWith(`${tenant}/`));
  // A key that others know must not be believed, whatever state the change is in.
  const isKnown = log?.compromised === true && /\/(vkey|checkpoint)$/.test(where);
  if (isKnown && (code === 'key-revoked' || code === 'checkpoint-invalid')) return true;
  return code === 'rotation-unfinished' || code === 'shred-unproven';
}

/** What somebody kept of a log: the newest checkpoint that was answered; and, while no key is known to others, the key that was pinned first, with checkpoints of any age. */
function rememberedOf({ tenant, answered, kept, pinned, compromised }: LogModel): Partial<VerifyOptions>[] {
  if (answered === undefined) return [];
  const newest = { tenant, checkpoint: answered.text };
  if (pinned === undefined || compromised) return [newest];
  const middle = kept[kept.length >>> 1] ?? answered.text;
  return [...new Set([kept[0] ?? answered.text, middle, answered.text])].map((checkpoint) => ({
    tenant,
    vkey: pinned,
    checkpoint,
  }));
}

/** The last process has opened the ledger: everything is held against it, then what wasn't answered is sent again. */
export async function checkEnd(session: Session, disk: SimDisk): Promise<void> {
  const { ledger, outside } = session;
  await ledger.ending.resume();
  await checkStatements(disk, outside);
  const gone = new Map<LogModel, ReadonlySet<number>>();
  for (const log of outside.logs.values()) {
    const isThere = ledger.tenants().includes(log.tenant);
    if (!isThere && log.acknowledged.size > 0) throw new Violation(`the log of ${log.tenant} is gone`);
    if (!isThere) continue;
    const goneHere = await checkEnded(ledger, log, disk, place.dir);
    gone.set(log, goneHere);
    const stored = await readAll(ledger, log, goneHere);
    checkStored(log, stored, goneHere, outside.forgetful);
    await checkTree(ledger, log);
    await checkSeals(ledger, log);
    await checkKeys(disk, ledger, log);
    for (const { index } of some([...log.acknowledged.values()]))
      if (!goneHere.has(index)) await session.prove(log, index);
  }
  for (const log of outside.logs.values())
    if (ledger.tenants().includes(log.tenant)) await sendAgain(session, log, gone.get(log) ?? new Set());
}

async function readAll(
  ledger: Ledger,
  { tenant }: LogModel,
  gone: ReadonlySet<number>,
): Promise<Map<number, StoredEntry>> {
  const { size } = ledger.head(tenant);
  const entries = new Map<number, StoredEntry>();
  for (let from = 0; from < size; ) {
    const part = await ledger.read(tenant, from, 1000);
    for (const entry of part) entries.set(entry.index, entry);
    from = (part.at(-1)?.index ?? size) + 1;
  }
  for (let index = 0; index < size; index++)
    if (entries.has(index) === gone.has(index))
      throw new Violation(`index ${index} of ${tenant} is ${gone.has(index) ? 'gone, and was read' : 'not there'}`);
  return entries;
}

/** A seal that was made, and a statement on a key that was stored, stay as they are. */
async function checkStatements(disk: SimDisk, outside: Outside): Promise<void> {
  const files = disk.process();
  for (const [path, hex] of outside.statements()) {
    const stored = await files.readFile(path);
    if (stored !== undefined && Buffer.from(stored).toString('hex') !== hex) throw new Violation(`${path} has changed`);
  }
}

/** A key that was to come has come or is forgotten, and one that has sealed its epoch is destroyed. */
async function checkKeys(disk: SimDisk, ledger: Ledger, { tenant }: LogModel): Promise<void> {
  const sealed = new Set((await ledger.statements(tenant, 'seals')).map((epoch) => `${tenant}.epoch-key-${epoch}`));
  for (const name of await disk.process().list(place.keysDir))
    if (name.startsWith(`${tenant}.`) && (name.endsWith('.next') || sealed.has(name)))
      throw new Violation(`keys/${name} is there still`);
}

/** One seal an epoch, without a hole, up to the one before the open epoch. */
async function checkSeals(ledger: Ledger, { tenant }: LogModel): Promise<void> {
  const epochs = await ledger.statements(tenant, 'seals');
  for (const [at, epoch] of epochs.entries())
    if (epoch !== (epochs[0] as number) + at) throw new Violation(`${tenant} has no seal of epoch ${epoch - 1}`);
  if (epochs.length === 0) throw new Violation(`${tenant} has no seal`);
}

function checkStored(
  log: LogModel,
  entries: ReadonlyMap<number, StoredEntry>,
  gone: ReadonlySet<number>,
  forgetful: boolean,
): void {
  const { tenant } = log;
  const indexes = new Map<string, number[]>();
  const note = (id: string, index: number): unknown => indexes.set(id, [...(indexes.get(id) ?? []), index]);
  for (const { index, m } of entries.values()) note(decode(m).event.id, index);
  for (const { events } of log.shreds.values())
    for (const { id, index } of events.values()) if (gone.has(index)) note(id, index);
  for (const [id, at] of indexes)
    if (at.length > 1 && !forgetful) throw new Violation(`event ${id} of ${tenant} is stored at ${at.join(' and ')}`);
  for (const [id, { index, item }] of log.acknowledged) {
    const entry = entries.get(index);
    if (entry === undefined && gone.has(index)) continue;
    if (entry === undefined)
      throw new Violation(`acknowledged event ${id} of ${tenant}, index ${index}, is lost: ${entries.size} are there`);
    if (Buffer.from(entry.m).toString('utf8') !== textOf(item))
      throw new Violation(`index ${index} of ${tenant} holds something else than the acknowledged event ${id}`);
  }
  checkCalls(log, indexes, forgetful);
}

function checkCalls(log: LogModel, indexes: ReadonlyMap<string, unknown>, forgetful: boolean): void {
  const { tenant } = log;
  for (const { items, mayBeStored } of log.calls) {
    const there = items.filter(({ event }) => indexes.has(event.id)).length;
    if (there !== 0 && there !== items.length)
      throw new Violation(`of a call of ${items.length} events of ${tenant} ${there} are stored`);
    if (there > 0 && mayBeStored === 0) throw new Violation(`a call of ${tenant} that was refused is stored`);
  }
  for (const { event } of forgetful ? [] : log.impossible)
    if (indexes.has(event.id)) throw new Violation(`event ${event.id} of ${tenant}, which was refused, is stored`);
}

/** The tree over the leaves has the root of every signature that was ever made, at its size; and the receipts' leaves are in it. */
async function checkTree(ledger: Ledger, log: LogModel): Promise<void> {
  const { tenant } = log;
  const { size, root, checkpoint } = ledger.head(tenant);
  log.sawSignature(checkpoint);
  const leaves: Buffer[] = [];
  for (let n = 0; n * 256 < size; n++) {
    const width = Math.min(256, size - n * 256);
    const path = `tile/0/${String(n).padStart(3, '0')}${width < 256 ? `.p/${width}` : ''}`;
    const tile = Buffer.from((await ledger.resource(tenant, path)) ?? []);
    for (let at = 0; at < tile.length; at += 32) leaves.push(tile.subarray(at, at + 32));
  }
  const frontier = new Frontier();
  const roots = [Buffer.from(frontier.root()).toString('hex')];
  for (const leaf of leaves) {
    frontier.appendLeafHashes(leaf);
    roots.push(Buffer.from(frontier.root()).toString('hex'));
  }
  if (roots[size] !== Buffer.from(root).toString('hex'))
    throw new Violation(`the head of ${tenant} is not the root of its leaves`);
  for (const [signedSize, signedRoot] of log.signed) {
    if (signedSize > size)
      throw new Violation(`a tree of ${signedSize} leaves of ${tenant} was signed, ${size} are there`);
    if (roots[signedSize] !== signedRoot)
      throw new Violation(`the signature for ${signedSize} leaves of ${tenant} is of another tree`);
  }
  for (const [id, { index, leaf }] of log.acknowledged)
    if (leaves[index]?.toString('hex') !== leaf)
      throw new Violation(`the receipt of ${id} of ${tenant} names another leaf`);
}

/** What was answered gets the same answer, and what wasn't is taken now. */
async function sendAgain(session: Session, log: LogModel, gone: ReadonlySet<number>): Promise<void> {
  if (session.outside.forgetful) return;
  const { tenant } = log;
  const calls = [...log.calls];
  const size = session.ledger.head(tenant).size;
  const sent = calls.flatMap(({ items }) => items);
  if (sent.length === 0) return;
  await session.within('sending all of it again', async () => {
    const answer = await session.ledger.append(tenant, sent);
    log.answer(sent, answer);
    for (const { id, index, duplicate } of answer.receipts) {
      if (duplicate !== index < size)
        throw new Violation(`event ${id} of ${tenant}, sent again, got the receipt of another`);
    }
    const { size: now, root } = parseCheckpoint(answer.checkpoint);
    for (const { index, leaf } of some(answer.receipts)) {
      const { hashes } = await session.ledger.prove(tenant, index);
      await verifyInclusion({ leafHash: leaf, index: BigInt(index), size: now, proof: hashes, root });
      if (gone.has(index)) continue;
      const { leaf: data } = await session.ledger.open(tenant, index);
      if (Buffer.compare(hashLeaf(data), leaf) !== 0)
        throw new Violation(`the leaf of index ${index} isn't that of its receipt`);
    }
  });
}

/** The first, the last, and a few between. */
function some<T>(list: readonly T[]): T[] {
  const stride = Math.max(1, Math.floor(list.length / provedMax));
  return list.filter((_, at) => at % stride === 0 || at === list.length - 1);
}

/**
 * A byte of the ledger goes bad: the verifier tells, and the next start either goes read-only with a reason or the byte was one that is read later.
 * It must never be that nobody says anything.
 */
export async function checkRot(
  disk: SimDisk,
  random: SimRandom,
  tenants: readonly string[],
  open: (process: SimProcess) => Promise<Ledger>,
): Promise<void> {
  const named = new Set(['journal', 'manifest', ...tenants]);
  const files = [...disk.names.files()].filter(
    // A segment that never got a group, and is not more than its own header, counts for nothing.
    ([path, { size }]) =>
      size > (path.endsWith('.wgj') ? segmentHeaderBytes : 0) &&
      path.startsWith(`${place.dir}/`) &&
      named.has(path.split('/')[3] ?? ''),
  );
  if (files.length === 0) return;
  const [path, content] = random.pick(files);
  const at = random.below(content.size);
  content.rot(at, random.below(8));
  const reader = disk.process();
  const { findings } = await verifyLedger({ ledgerDir: place.dir, keysDir: place.keysDir, files: reader, full: true });
  if (findings.length === 0) throw new Violation(`byte ${at} of ${path} went bad, and the verifier found nothing`);
  const process = disk.process();
  const ledger = await open(process);
  if (ledger.state.kind === 'read-only' && ledger.state.reason === '')
    throw new Violation('read-only without a reason');
  process.kill();
}
