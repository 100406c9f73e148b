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
import { rootOf } from '../tree.ts';
import { multiproofPlan } from '../tree-multiproof.ts';
import { consistencyProof, foldStep, type NodeReader } from '../tree-proof.ts';
import { pageDigest } from './bundle-file.ts';
import {
  type BundleContents,
  type BundleEvent,
  encodeContents,
  encodeProof,
  joinEvidence,
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
  /** Changes the maker's event. */
  readonly maker?: Partial<Event>;
  /** Of the maker's event; the server itself unless said. */
  readonly submitter?: string;
}

export function sampleBundle(options: SampleOptions = {}): SampleBundle {
  const { size = 20, indexes = [3, 4, 11], leafType = 1, withheld = [], cosignedSize } = options;
  const log = sampleLog(leafType);
  for (let index = 0; index < size; index++) log.add(`n-${index}`, {});
  const cosigned =
    cosignedSize === undefined
      ? ''
      : signNote(log.body(cosignedSize), [signer, witness], { timeSeconds: 1_790_000_000n });
  const contents: BundleContents = {
    origin,
    tenant: sampleEvent.tenant,
    leafType,
    made: '2026-03-02T08:00:00.000Z',
    by: { id: 'p-ito', name: 'Dana Ito', roles: ['privacy-officer'] },
    purpose: { code: 'HOPERAT', reason: 'Complaint 17 <b>, of March' },
    query: { how: 'index', filters: [['patient', 'wg-pt-000417']], size, unindexed: 0 },
    withheld,
    vkeys: [vkey],
    witnesses: cosignedSize === undefined ? [] : [formatVerifierKey(cosignatureVerifierOf(witness))],
    cosigned,
    page: pageDigest(pageText),
    events: indexes.map((index) => log.show(index, withheld)),
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
  const checkpoint = signNote(log.body(size + 1), [signer]);
  const evidence = joinEvidence(
    text,
    encodeProof({
      maker,
      hashes: log.hashes([...contents.events.map(({ index }) => index), maker.index]),
      growth: cosignedSize === undefined ? [] : consistencyProof(cosignedSize, size + 1, log.leaves),
      checkpoint,
    }),
  );
  const marker = '</script><script>1';
  return { evidence, file: pageText.replace(marker, () => `${evidence}${marker}`), checkpoint, contents };
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
    add(actor, event, submitter = sampleRecord.submitter) {
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
