/** The events the ledger records about itself: heartbeats, and holes or repeats in an emitter's sequence. Numbers and emitter names only. */
import { createHash } from 'node:crypto';
import { defaultMinimisation, type Event, encodeEvent, minimise, uuidv7 } from '@watchglass/record';
import type { World } from '../world/world.ts';
import type { CoverageNote } from './emitter-coverage.ts';
import type { AppendItem } from './ledger.ts';
import type { TenantLog } from './tenant-log.ts';

/** What happened, before it is an event. */
export type OwnFacts = Pick<Event, 'operation' | 'outcome' | 'targets' | 'changes'>;

/** A complete record of Watchglass's own. */
export function ownItem(facts: OwnFacts, log: TenantLog, emitterId: string, seq: number, world: World): AppendItem {
  const nowMs = world.clock.now();
  const time = timeOf(nowMs);
  const event = minimise(
    {
      v: 1,
      id: uuidv7(nowMs, world.random.bytes(10)),
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
  const digest = createHash('sha256').update(encodeEvent(event)).digest('hex');
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
    ],
  };
}
