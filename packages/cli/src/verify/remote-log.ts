/**
 * A log over HTTP (c2sp.org/tlog-tiles): its checkpoint, its entries, its tiles. Everything is derived again from the entries, and every
 * tile is compared with what was derived; nothing the server says is taken for true but its entries, and those have to have the root it signed.
 */
import { Frontier, hashLeaf, parseCheckpoint, RecordError, tilePath, tileWidth, tileWidthAt } from '@watchglass/record';
import type { VerifiedStatements } from '@watchglass/record/reader';
import type { Client } from '../client.ts';
import { CliError } from '../errors.ts';
import { type LogName, verifyRemoteStatements } from './remote-statements.ts';
import type { Finding } from './report.ts';

/** Fetches running at once. */
const concurrency = 8;
const findingsMax = 100;

export async function listLogs(client: Client, tenant: string | undefined, signal: AbortSignal): Promise<LogName[]> {
  const answer = await client.getJson('/log', signal);
  const list = Array.isArray(answer) ? answer : ((answer as { logs?: unknown } | null)?.logs ?? []);
  if (!Array.isArray(list) || !list.every(isLogName)) {
    throw new CliError('answer-invalid', 'expected a list of {tenant, origin} from /log, got something else', {
      remedy: 'Check that the URL is that of a Watchglass server.',
    });
  }
  if (tenant === undefined) return list;
  const wanted = list.filter((log) => log.tenant === tenant);
  if (wanted.length === 0) {
    throw new CliError('usage', `the server has no log of ${tenant}`, {
      remedy: `It has: ${list.map((log) => log.tenant).join(', ') || 'none'}.`,
    });
  }
  return wanted;
}

/** The one log of a server, or the one `--tenant` names. */
export async function onlyLog(client: Client, tenant: string | undefined, signal: AbortSignal): Promise<LogName> {
  const [log, another] = await listLogs(client, tenant, signal);
  if (log === undefined)
    throw new CliError('answer-invalid', 'the server has no log yet', { remedy: 'Send it an event first.' });
  if (another !== undefined) {
    throw new CliError('usage', 'the server has more than one log', { remedy: 'Name one with --tenant.' });
  }
  return log;
}

/** The leaf data of one entry, from the bundle it lies in. */
export async function fetchLeafData(
  client: Client,
  log: LogName,
  position: { readonly index: number; readonly size: number },
  signal: AbortSignal,
): Promise<Uint8Array> {
  const { index, size } = position;
  const n = Math.floor(index / tileWidth);
  const width = tileWidthAt(0, n, size);
  const bundle = splitBundle(await getTile(client, log, tilePath('entries', n, width), signal));
  const entry = bundle[index - n * tileWidth];
  if (entry === undefined) throw new CliError('answer-invalid', `${log.tenant} has no entry ${index}`);
  return entry;
}

/** c2sp.org/tlog-tiles, "Log entries": each entry after its length as u16. Ends before an entry that is cut short. */
export function splitBundle(bytes: Uint8Array): Uint8Array[] {
  const entries: Uint8Array[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at + 2 <= bytes.length; ) {
    const end = at + 2 + view.getUint16(at);
    if (end > bytes.length) break;
    entries.push(bytes.subarray(at + 2, end));
    at = end;
  }
  return entries;
}

export interface RemoteVerification {
  readonly size: number;
  /** Hex. */
  readonly root: string;
  readonly findings: readonly Finding[];
  readonly notes: readonly string[];
  /** The key that signs now. */
  readonly vkey: string | undefined;
}

interface StatedRoot {
  readonly size: number;
  readonly root: Uint8Array;
}

export interface RemoteLog {
  readonly client: Client;
  readonly log: LogName;
  readonly vkey: string;
  /** Whether the key came from elsewhere: then statements have to lead from it to the key that signs. */
  readonly pinned: boolean;
  /** Bytes of a seal of this log from earlier. */
  readonly seal?: Uint8Array | undefined;
  /** A checkpoint of this log from earlier: the log of today has to contain it. */
  readonly remembered?: StatedRoot | undefined;
  /** What witnesses cosigned, likewise. */
  readonly cosigned?: StatedRoot | undefined;
  readonly onProgress: (done: number, total: number) => void;
  readonly signal: AbortSignal;
}

export async function verifyRemoteLog(remote: RemoteLog): Promise<RemoteVerification> {
  const { client, log, signal } = remote;
  const findings: Finding[] = [];
  const find = (finding: Finding): void => {
    if (findings.length < findingsMax) findings.push(finding);
  };
  const base = `/log/${log.tenant}`;
  const note = await client.getText(`${base}/checkpoint`, signal);
  const statements = await verifyRemoteStatements({
    client,
    log,
    checkpoint: note,
    vkey: remote.pinned ? remote.vkey : undefined,
    seal: remote.seal,
    signal,
  });
  statements.findings.forEach(find);
  const { notes, vkey } = statements;
  const { size: sizeBig, root } = statements.checkpoint ?? unsigned(note, log);
  const roots = rootsOf(remote, statements.stated);
  const size = Number(sizeBig);
  const stated = [
    { stated: remote.remembered, which: 'remembered' },
    { stated: remote.cosigned, which: 'cosigned' },
  ].flatMap(({ stated: one, which }) => (one === undefined ? [] : [{ ...one, which }]));
  stated.sort((one, other) => one.size - other.size);
  for (const { size: expected, which } of stated) {
    if (expected <= size) continue;
    find({
      code: 'rolled-back',
      place: `${log.tenant}/checkpoint`,
      message: `expected at least the ${expected} events of the ${which} checkpoint, got ${size}`,
    });
  }

  const frontier = new Frontier();
  /** By tile level ≥ 1: the hashes that full tiles below came to. */
  const nodes = new Map<number, Uint8Array[]>();
  const append = (hashes: Uint8Array): void =>
    frontier.appendLeafHashes(hashes, (level, _n, hash) => {
      const known = nodes.get(level);
      if (known === undefined) nodes.set(level, [hash]);
      else known.push(hash);
    });
  /** Appends, and compares the roots that are stated on the way. */
  const appendMeeting = (hashes: Uint8Array): void => {
    const begin = frontier.size;
    const end = begin + hashes.length / 32;
    for (let next = roots[0]; next !== undefined && next.size <= end; next = roots[0]) {
      append(hashes.subarray((frontier.size - begin) * 32, (next.size - begin) * 32));
      if (!Buffer.from(frontier.root()).equals(next.root)) find(next.finding);
      roots.shift();
    }
    append(hashes.subarray((frontier.size - begin) * 32));
  };
  appendMeeting(new Uint8Array(0));
  const bundles = Math.ceil(size / tileWidth);
  for await (const { n, entries, tile } of inOrder(bundles, (n) => fetchBundle(remote, n, size))) {
    const width = tileWidthAt(0, n, size);
    if (entries.length !== width) {
      find({
        code: 'entries-missing',
        place: `${log.tenant}/${tilePath('entries', n, width)}`,
        message: `expected ${width} entries, got ${entries.length}`,
      });
      return { size, root: toHex(root), findings, notes, vkey };
    }
    const hashes = Buffer.concat(entries.map(hashLeaf));
    if (!Buffer.from(tile).equals(hashes)) {
      const wrong = entries.findIndex(
        (_, at) => !hashes.subarray(at * 32, at * 32 + 32).equals(tile.subarray(at * 32, at * 32 + 32)),
      );
      find({
        code: 'tile-differs',
        place: `${log.tenant}/${tilePath(0, n, width)}`,
        message: 'the tile is not the one its entries have',
        ...(wrong < 0 ? {} : { index: n * tileWidth + wrong }),
      });
    }
    appendMeeting(hashes);
    remote.onProgress(frontier.size, size);
  }
  if (!Buffer.from(frontier.root()).equals(root)) {
    find({
      code: 'root-differs',
      place: `${log.tenant}/checkpoint`,
      message: `the ${size} entries do not have the root the checkpoint signs`,
    });
  }
  await compareUpperTiles(remote, nodes, size, find);
  return { size, root: toHex(root), findings, notes, vkey };
}

interface RootToMeet {
  readonly size: number;
  readonly root: Uint8Array;
  readonly finding: Finding;
}

/** The roots that the entries must have on the way, the smallest first. */
function rootsOf({ log, remembered, cosigned }: RemoteLog, stated: VerifiedStatements['stated']): RootToMeet[] {
  const roots = stated.map(({ size, root, place, who }): RootToMeet => {
    const message = `${who} states another root for ${size} events than the entries have`;
    return { size, root, finding: { code: 'root-mismatch', place, message } };
  });
  const place = `${log.tenant}/tile/entries`;
  for (const [kept, which] of [[remembered, 'remembered'] as const, [cosigned, 'cosigned'] as const]) {
    if (kept === undefined) continue;
    const message = `the first ${kept.size} events are not those of the ${which} checkpoint`;
    roots.push({ ...kept, finding: { code: 'history-changed', place, message } });
  }
  return roots.sort((a, b) => a.size - b.size);
}

/** What a checkpoint says that isn't signed by whom it should be: that can still be compared with the entries. */
function unsigned(note: string, log: LogName): { size: bigint; root: Uint8Array } {
  try {
    return parseCheckpoint(note);
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    throw new CliError('not-intact', `the checkpoint of ${log.tenant} is none: ${error.message}`, {
      cause: error,
    });
  }
}

async function fetchBundle(
  { client, log, signal }: RemoteLog,
  n: number,
  size: number,
): Promise<{ n: number; entries: Uint8Array[]; tile: Uint8Array }> {
  const width = tileWidthAt(0, n, size);
  const [bundle, tile] = await Promise.all([
    getTile(client, log, tilePath('entries', n, width), signal),
    getTile(client, log, tilePath(0, n, width), signal),
  ]);
  return { n, entries: splitBundle(bundle).slice(0, width), tile: tile.subarray(0, width * 32) };
}

async function compareUpperTiles(
  { client, log, signal }: RemoteLog,
  nodes: ReadonlyMap<number, readonly Uint8Array[]>,
  size: number,
  find: (finding: Finding) => void,
): Promise<void> {
  for (const [level, hashes] of nodes) {
    for (let n = 0; n * tileWidth < hashes.length; n++) {
      const width = tileWidthAt(level, n, size);
      const path = tilePath(level, n, width);
      const expected = Buffer.concat(hashes.slice(n * tileWidth, (n + 1) * tileWidth));
      const tile = await getTile(client, log, path, signal);
      if (!expected.equals(tile.subarray(0, width * 32))) {
        find({
          code: 'tile-differs',
          place: `${log.tenant}/${path}`,
          message: 'the tile is not the one its entries have',
        });
      }
    }
  }
}

/**
 * A tile at least as wide as asked: a partial one may be gone once the full one is there (c2sp.org/tlog-tiles, "Partial Tiles"). Empty where
 * there is none: what a log should have and has not is a finding, not a failure.
 */
export async function getTile(client: Client, log: LogName, path: string, signal: AbortSignal): Promise<Uint8Array> {
  for (const one of new Set([path, path.replace(/\.p\/\d+$/, '')])) {
    try {
      return await client.get(`/log/${log.tenant}/${one}`, signal);
    } catch (error) {
      if (!(error instanceof CliError && error.status === 404)) throw error;
    }
  }
  return new Uint8Array(0);
}

/** Runs `fetch` for 0 … count − 1, a few at once, and gives the results in order. */
export async function* inOrder<T>(count: number, fetch: (n: number) => Promise<T>): AsyncIterable<T> {
  const running: Promise<T>[] = [];
  for (let next = 0; next < count || running.length > 0; ) {
    while (next < count && running.length < concurrency) {
      const one = fetch(next++);
      // Its turn to be awaited comes; until then a failure must not count as unhandled.
      one.catch(() => {});
      running.push(one);
    }
    const first = running.shift();
    if (first !== undefined) yield await first;
  }
}

function isLogName(value: unknown): value is LogName {
  return (
    typeof value === 'object' &&
    value !== null &&
    'tenant' in value &&
    typeof value.tenant === 'string' &&
    'origin' in value &&
    typeof value.origin === 'string'
  );
}

function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
