/** For tests: a log of any size in memory, and bundles of it, whole or with fields withheld. */
import { sha256 } from '#crypto';
import { encodeHex, encodeUtf8 } from '../bytes.ts';
import { formatCheckpoint } from '../checkpoint.ts';
import { commit, type LeafType, leafHashOf, originHashOf } from '../commitment.ts';
import { encode } from '../encode.ts';
import { eventWith, sampleEvent, sampleRecord } from '../event.fixture.ts';
import type { Event } from '../event.ts';
import { commitFields, withhold } from '../field-commitment.ts';
import { signNote } from '../note.ts';
import { cosignatureVerifierOf, cosignerOf, formatVerifierKey, generateSigner, type Signer } from '../note-key.ts';
import { hashRotation, type RotationKind, signRotation } from '../rotation.ts';
import { sealKeyName, signSeal } from '../seal.ts';
import { emptyRoot, rootOf } from '../tree.ts';
import { multiproofPlan } from '../tree-multiproof.ts';
import { consistencyProof, foldStep, type NodeReader } from '../tree-proof.ts';
import { pageDigest } from './bundle-file.ts';
import {
  type BundleContents,
  type BundleEvent,
  type BundleStatements,
  encodeContents,
  encodeProof,
  joinEvidence,
  type ShredEvidence,
  type WholeEvent,
} from './contents.ts';

export const origin = 'watchglass.example/clinic';
export const signer: Signer = generateSigner(origin, new Uint8Array(32).fill(7));
export const witness: Signer = cosignerOf(generateSigner('witness.example', new Uint8Array(32).fill(9)));
export const vkey: string = formatVerifierKey(signer);
export const pageText =
  '<!doctype html><title>t</title><script type="application/json" id="evidence"></script><script>1</script>\n';

const originHash = originHashOf(origin);
const openingOf = (index: number): Uint8Array => sha256(encodeUtf8(`opening ${index}`));

export interface SampleBundle {
  readonly evidence: string;
  /** The whole file. */
  readonly file: string;
  readonly checkpoint: string;
  readonly contents: BundleContents;
}

export interface SampleOptions {
  /** Events in the log before the maker's; 20 unless said. */
  readonly size?: number;
  readonly indexes?: readonly number[];
  readonly leafType?: LeafType;
  /** Pointers into the event. */
  readonly withheld?: readonly string[];
  readonly cosignedSize?: number;
  readonly contents?: Partial<BundleContents>;
  /** Those of `indexes` whose content was shredded. */
  readonly shredded?: readonly number[];
  /** Changes the event that ends the shred, or what the shred states. */
  readonly done?: Partial<Event>;
  readonly terms?: object;
  /** Who signs, newest first; the log's one key unless said. */
  readonly signers?: readonly Signer[];
  /** Changes the maker's event. */
  readonly maker?: Partial<Event>;
  /** Of the maker's event; the server itself unless said. */
  readonly submitter?: string;
}

export function sampleBundle(options: SampleOptions = {}): SampleBundle {
  const { indexes = [3, 4, 11], leafType = 1, withheld = [], cosignedSize, signers = [signer] } = options;
  const { shredded = [] } = options;
  let { size = 20 } = options;
  const log = sampleLog(leafType);
  for (let index = 0; index < size; index++) log.add(`n-${index}`, {});
  const shreds = shredded.length === 0 ? undefined : [shredOf(log, shredded, options)];
  size = log.leaves.length;
  const cosigned =
    cosignedSize === undefined
      ? ''
      : signNote(log.body(cosignedSize), [...signers, witness], { timeSeconds: 1_790_000_000n });
  const contents: BundleContents = {
    origin,
    tenant: sampleEvent.tenant,
    leafType,
    made: '2026-03-02T08:00:00.000Z',
    by: { id: 'p-ito', name: 'Dana Ito', roles: ['privacy-officer'] },
    purpose: { code: 'HOPERAT', reason: 'Complaint 17 <b>, of March' },
    query: { how: 'index', filters: [['patient', 'wg-pt-000417']], size, unindexed: 0 },
    withheld,
    vkeys: signers.map(formatVerifierKey),
    witnesses: cosignedSize === undefined ? [] : [formatVerifierKey(cosignatureVerifierOf(witness))],
    cosigned,
    page: pageDigest(pageText),
    ...(shreds === undefined ? {} : { shreds }),
    events: indexes.map((index) =>
      shredded.includes(index) ? { index, leaf: log.leaves[index] as Uint8Array, shred: 0 } : log.show(index, withheld),
    ),
    ...options.contents,
  };
  const text = encodeContents(contents);
  const made: Partial<Event> = {
    kind: 'review',
    action: 'read',
    operation: 'bundle',
    outcome: { status: 'success' },
    targets: [{ type: 'Bundle', id: encodeHex(sha256(encodeUtf8(text))) }],
    exposure: { count: contents.events.length },
    purpose: { code: contents.purpose.code },
    ...options.maker,
  };
  const maker = log.add('p-ito', made, options.submitter ?? 'self');
  const checkpoint = signNote(log.body(size + 1), signers);
  const evidence = joinEvidence(
    text,
    encodeProof({
      maker,
      hashes: log.hashes([
        ...contents.events.map(({ index }) => index),
        ...(shreds ?? []).map(({ done }) => done.index),
        maker.index,
      ]),
      growth: cosignedSize === undefined ? [] : consistencyProof(cosignedSize, size + 1, log.leaves),
      checkpoint,
    }),
  );
  const marker = '</script><script>1';
  return { evidence, file: pageText.replace(marker, () => `${evidence}${marker}`), checkpoint, contents };
}

/** A shred of these events, and the log's own event about it. */
function shredOf(log: SampleLog, indexes: readonly number[], options: SampleOptions): ShredEvidence {
  const ranges = new Uint8Array(12 * indexes.length);
  const view = new DataView(ranges.buffer);
  for (const [at, index] of indexes.entries()) {
    view.setBigUint64(12 * at, BigInt(index));
    view.setUint32(12 * at + 8, 1);
  }
  const [first, last] = [indexes[0], indexes.at(-1)];
  const terms = JSON.stringify({
    ...{ v: 1, origin, class: 'access', epoch: 650, events: indexes.length, first, last },
    ...{ ranges: encodeHex(sha256(ranges)), seeds: [], keks: [], held: [], days: 2192, plan: '', people: [] },
    ...options.terms,
  });
  const done = log.add('ledger', {
    ...{ kind: 'system', action: 'delete', operation: 'shred-completed', site: 'ledger' },
    targets: [{ type: 'Shred', id: 'access-650' }],
    changes: [{ path: '/terms', op: 'add', after: encodeHex(sha256(encodeUtf8(terms))) }],
    ...options.done,
  });
  return { terms, ranges, done };
}

interface SampleLog {
  readonly leaves: Uint8Array[];
  add(actor: string, event: Partial<Event>, submitter?: string): WholeEvent;
  show(index: number, withheld: readonly string[]): BundleEvent;
  hashes(indexes: readonly number[]): Uint8Array[];
  /** The text of the checkpoint at this size. */
  body(size: number): string;
}

function sampleLog(leafType: LeafType): SampleLog {
  const leaves: Uint8Array[] = [];
  const events: WholeEvent[] = [];
  return {
    leaves,
    add(actor, event, submitter = event.site === 'ledger' ? 'self' : sampleRecord.submitter) {
      const index = leaves.length;
      const m = encode({
        ...sampleRecord,
        submitter,
        event: eventWith({ actor: { id: actor, type: 'human' }, ...event }),
      });
      const r = openingOf(index);
      const opening = { originHash, index, r, m };
      const leaf = leafHashOf(leafType === 1 ? commit(opening) : commitFields(opening), leafType);
      leaves.push(leaf);
      const whole: WholeEvent = { index, leaf, r, m: new TextDecoder().decode(m) };
      events.push(whole);
      return whole;
    },
    show(index, withheld) {
      const event = events[index] as WholeEvent;
      if (withheld.length === 0) return event;
      const pointers = ['/digest', ...withheld.map((pointer) => `/event${pointer}`)];
      const { m, salts, holes } = withhold(event.r, encodeUtf8(event.m), pointers).disclosure;
      return { index, leaf: event.leaf, m: new TextDecoder().decode(m), salts, holes };
    },
    hashes(indexes) {
      const read: NodeReader = (level, n) => rootOf(leaves.slice(n * 2 ** level, (n + 1) * 2 ** level));
      return multiproofPlan(indexes, leaves.length).map((step) => foldStep(step.map(({ level, n }) => read(level, n))));
    },
    body: (size) => formatCheckpoint({ origin, size: BigInt(size), root: rootOf(leaves.slice(0, size)) }),
  };
}

export const next: Signer = generateSigner(origin, sha256(Uint8Array.of(1)));
export const third: Signer = generateSigner(origin, sha256(Uint8Array.of(2)));
const epochKey: Signer = generateSigner(sealKeyName(origin, 674), sha256(Uint8Array.of(3)));

/** Statements of a log whose first key handed on to each of the others. */
export function statementsOf(
  keys: readonly Signer[],
  kinds: readonly RotationKind[] = [],
  by: Signer = epochKey,
): BundleStatements {
  const rotations: Uint8Array[] = [];
  for (const [at, newer] of keys.slice(1).entries()) {
    const old = keys[at] as Signer;
    const before = rotations.at(-1);
    const rotation = {
      ...{
        origin,
        number: at + 1,
        kind: kinds[at] ?? 'planned',
        size: 12,
        root: sha256(Uint8Array.of(9)),
        trusted: 10,
      },
      ...{ epoch: 674, previous: before && hashRotation(before), old, next: newer },
    };
    rotations.push(signRotation(rotation, { old, next: newer, epochKey: by }));
  }
  const seal = { origin, epoch: 673, size: 0, root: emptyRoot(), previous: undefined, next: epochKey };
  return { rotations: rotations.map(textOf), seals: [textOf(signSeal(seal, keys[0] as Signer))] };
}

function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
