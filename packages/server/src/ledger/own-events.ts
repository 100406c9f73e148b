/** The events the ledger records about itself: heartbeats, holes or repeats in an emitter's sequence, seals. Numbers, emitter names and public keys only. */
import { createHash } from 'node:crypto';
import {
  defaultMinimisation,
  type Event,
  encodeBase64,
  encodeEvent,
  formatVerifierKey,
  hashRotation,
  hashSeal,
  hashSuccession,
  minimise,
  type Rotation,
  type Seal,
  type Succession,
  uuidv7,
} from '@watchglass/record';
import type { World } from '../world/world.ts';
import type { CoverageNote } from './emitter-coverage.ts';
import { startOfEpoch } from './epoch.ts';
import type { AppendItem } from './ledger.ts';
import type { TenantLog } from './tenant-log.ts';

/** Of a value in `changes` (event.schema.json). */
const changeCharsMax = 4096;

/** What happened, before it is an event. */
export type OwnFacts = Pick<Event, 'operation' | 'outcome' | 'targets' | 'changes'>;

/** What makes an event the same one when it is made again: its id, and the digest of the bytes it is about. */
export interface OwnIdentity {
  readonly id: string;
  /** SHA-256, lower-case hex. */
  readonly digest: string;
}

/** A complete record of Watchglass's own. */
export function ownItem(
  facts: OwnFacts,
  log: TenantLog,
  place: { readonly emitterId: string; readonly seq: number; readonly world: World },
  identity?: OwnIdentity,
): AppendItem {
  const { emitterId, seq, world } = place;
  const nowMs = world.clock.now();
  const time = timeOf(nowMs);
  const event = minimise(
    {
      v: 1,
      id: identity?.id ?? uuidv7(nowMs, world.random.bytes(10)),
      time,
      tenant: log.tenant,
      emitter: { id: emitterId, seq },
      kind: 'system',
      action: 'execute',
      ...facts,
      actor: { id: 'watchglass', type: 'service' },
      site: 'ledger',
    },
    // The values are counters that the ledger made itself.
    { ...defaultMinimisation, changes: { kind: 'keep' } },
  );
  const digest = identity?.digest ?? createHash('sha256').update(encodeEvent(event)).digest('hex');
  return { event, envelope: { received: time, submitter: 'self', intake: 'self', digest } };
}

/** RFC 3339 with milliseconds, UTC. */
export function timeOf(ms: number): string {
  return new Date(ms).toISOString();
}

/** Says what an idle log has seen since the last one: proof of life, and of what didn't arrive. */
export function heartbeatFacts(log: TenantLog): OwnFacts {
  return {
    operation: 'heartbeat',
    outcome: { status: 'success' },
    changes: [
      { path: '/received', op: 'replace', after: String(log.received) },
      { path: '/refused', op: 'replace', after: String(log.refused) },
      { path: '/gapped', op: 'replace', after: String(log.coverage.missing()) },
      // Of the log at this moment: `/received` is what came in since it had that of the heartbeat before.
      { path: '/size', op: 'replace', after: String(log.head.size) },
    ],
  };
}

export function coverageFacts(note: CoverageNote): OwnFacts {
  return {
    operation: note.kind,
    outcome: { status: note.kind === 'sequence-gap-closed' ? 'success' : 'failed' },
    targets: [{ type: 'Emitter', id: note.emitter, role: 'object' }],
    changes: [
      { path: '/seq/first', op: 'replace', after: String(note.first) },
      { path: '/seq/last', op: 'replace', after: String(note.last) },
      { path: '/seq/count', op: 'replace', after: String(note.count) },
      ...(note.sinceMs === undefined
        ? []
        : [{ path: '/seq/since', op: 'replace' as const, after: timeOf(note.sinceMs) }]),
      ...(note.afterMs === undefined
        ? []
        : [{ path: '/seq/after', op: 'replace' as const, after: timeOf(note.afterMs) }]),
    ],
  };
}

/** Says in the log what a seal of it says, so that whoever witnesses the log witnesses the seal and the key it announces. */
export function sealEvent(seal: Seal, bytes: Uint8Array): { readonly facts: OwnFacts; readonly identity: OwnIdentity } {
  const { epoch, size, root, previous, next } = seal;
  const hash = Buffer.from(hashSeal(bytes));
  const changes = [
    ['/seal/size', String(size)],
    ['/seal/root', encodeBase64(root)],
    ['/seal/hash', hash.toString('base64')],
    ['/key', formatVerifierKey(next)],
  ] as const;
  return {
    facts: {
      operation: previous === undefined ? 'sealing-begun' : 'epoch-sealed',
      outcome: { status: 'success' },
      targets: [{ type: 'Epoch', id: String(epoch), role: 'object' }],
      changes: changes.map(([path, after]) => ({ path, op: 'replace', after })),
    },
    identity: { id: uuidv7(startOfEpoch(epoch + 1), hash.subarray(0, 10)), digest: hash.toString('hex') },
  };
}

/** Says in the log which key came, or went, and how. */
export function rotationEvent(
  rotation: Rotation,
  bytes: Uint8Array,
): { readonly facts: OwnFacts; readonly identity: OwnIdentity } {
  const { number, kind, size, trusted, epoch, old, next } = rotation;
  const hash = Buffer.from(hashRotation(bytes));
  const changes = [
    ['/rotation/kind', kind],
    ['/rotation/size', String(size)],
    ['/rotation/trusted', String(trusted)],
    ['/rotation/hash', hash.toString('base64')],
    ['/old', formatVerifierKey(old)],
    ['/key', formatVerifierKey(next)],
  ] as const;
  return {
    facts: {
      operation: kind === 'added' ? 'checkpoint-key-added' : 'checkpoint-key-rotated',
      outcome: { status: 'success' },
      targets: [{ type: 'CheckpointKey', id: String(number), role: 'object' }],
      changes: changes.map(([path, after]) => ({ path, op: 'replace', after })),
    },
    identity: { id: uuidv7(startOfEpoch(epoch), hash.subarray(0, 10)), digest: hash.toString('hex') },
  };
}

export function overlapEndedFacts(log: TenantLog): OwnFacts {
  return {
    operation: 'checkpoint-key-overlap-ended',
    outcome: { status: 'success' },
    changes: [{ path: '/key', op: 'replace', after: log.vkeys[0] ?? '' }],
  };
}

/** The first record of a successor: the head it goes on from, and the recovery point. */
export function successionEvent(
  succession: Succession,
  bytes: Uint8Array,
): { readonly facts: OwnFacts; readonly identity: OwnIdentity } {
  const { predecessor, size, root, key, recovery, checkpoint = '' } = succession;
  const text = encodeBase64(Buffer.from(checkpoint));
  const hash = Buffer.from(hashSuccession(bytes));
  const changes = [
    ['/predecessor/origin', predecessor],
    ['/predecessor/size', String(size)],
    ['/predecessor/root', encodeBase64(root)],
    ['/predecessor/recovery', recovery ?? 'unknown'],
    ['/predecessor/hash', hash.toString('base64')],
    ['/predecessor/key', formatVerifierKey(key)],
    // With an ML-DSA-44 signature it may be too long for an event; the file that the hash names has it.
    ...(text.length > 0 && text.length <= changeCharsMax ? ([['/predecessor/checkpoint', text]] as const) : []),
  ] as const;
  return {
    facts: {
      operation: 'log-succeeds',
      outcome: { status: 'success' },
      changes: changes.map(([path, after]) => ({ path, op: 'replace', after })),
    },
    identity: { id: uuidv7(0, hash.subarray(0, 10)), digest: hash.toString('hex') },
  };
}
