/**
 * What must hold at the end of a history, whatever happened in it: every acknowledged event is there, once, in order, and provable; of a call
 * without an answer all is there or nothing; no signature contradicts another or the log; and the verifier finds nothing.
 */
import { decode, Frontier, hashLeaf, parseCheckpoint, verifyInclusion } from '../../packages/record/src/index.ts';
import { segmentHeaderBytes, verifyLedger } from '../../packages/record/src/reader.ts';
import type { Ledger, StoredEntry } from '../../packages/server/src/ledger/ledger.ts';
import type { SimDisk, SimProcess, SimRandom } from '../../packages/server/src/world/simulated.ts';
import { type LogModel, type Outside, textOf, Violation } from './model.ts';
import type { Session } from './session.ts';

export const place = { dir: '/data/ledger', keysDir: '/data/keys', originBase: 'watchglass.example' };
const provedMax = 6;

/**
 * The verifier, before the next process begins. A power failure may have taken the newest checkpoint, or the name of the empty lock; nothing else.
 *
 * @param outside given, the last answered checkpoint must be extended too
 */
export async function checkFiles(disk: SimDisk, powerLost: boolean, outside?: Outside): Promise<void> {
  const files = disk.process();
  if ((await files.size(`${place.dir}/manifest`)) === undefined) return;
  const remembered = [...(outside?.logs.values() ?? [])].flatMap(({ tenant, answered }) =>
    answered === undefined ? [] : [{ tenant, checkpoint: answered.text }],
  );
  for (const only of [undefined, ...remembered]) {
    const { findings } = await verifyLedger({
      ledgerDir: place.dir,
      keysDir: place.keysDir,
      files,
      full: only === undefined,
      ...only,
    });
    const wrong = findings.filter(({ place: where }) => !(powerLost && /(^|\/)(checkpoint|lock)$/.test(where)));
    if (wrong.length > 0)
      throw new Violation(`verify: ${wrong.map((one) => `${one.code} ${one.place}: ${one.message}`).join('; ')}`);
  }
}

/** The last process has opened the ledger: everything is held against it, then what wasn't answered is sent again. */
export async function checkEnd(session: Session): Promise<void> {
  const { ledger, outside } = session;
  for (const log of outside.logs.values()) {
    const isThere = ledger.tenants().includes(log.tenant);
    if (!isThere && log.acknowledged.size > 0) throw new Violation(`the log of ${log.tenant} is gone`);
    if (!isThere) continue;
    const stored = await readAll(ledger, log);
    checkStored(log, stored, outside.forgetful);
    await checkTree(ledger, log);
    for (const { index } of some([...log.acknowledged.values()])) await session.prove(log, index);
  }
  for (const log of outside.logs.values()) if (ledger.tenants().includes(log.tenant)) await sendAgain(session, log);
}

async function readAll(ledger: Ledger, { tenant }: LogModel): Promise<StoredEntry[]> {
  const { size } = ledger.head(tenant);
  const entries: StoredEntry[] = [];
  while (entries.length < size) {
    const part = await ledger.read(tenant, entries.length, 1000);
    if (part.length === 0) throw new Violation(`the log of ${tenant} has ${size} leaves and ends at ${entries.length}`);
    entries.push(...part);
  }
  for (const [at, { index }] of entries.entries())
    if (index !== at) throw new Violation(`expected index ${at} of ${tenant}, got ${index}`);
  return entries;
}

function checkStored(log: LogModel, entries: readonly StoredEntry[], forgetful: boolean): void {
  const { tenant } = log;
  const indexes = new Map<string, number[]>();
  for (const { index, m } of entries) {
    const { id } = decode(m).event;
    indexes.set(id, [...(indexes.get(id) ?? []), index]);
  }
  for (const [id, at] of indexes)
    if (at.length > 1 && !forgetful) throw new Violation(`event ${id} of ${tenant} is stored at ${at.join(' and ')}`);
  for (const [id, { index, item }] of log.acknowledged) {
    const entry = entries[index];
    if (entry === undefined)
      throw new Violation(
        `acknowledged event ${id} of ${tenant}, index ${index}, is lost: ${entries.length} are there`,
      );
    if (Buffer.from(entry.m).toString('utf8') !== textOf(item))
      throw new Violation(`index ${index} of ${tenant} holds something else than the acknowledged event ${id}`);
  }
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
async function sendAgain(session: Session, log: LogModel): Promise<void> {
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
