import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeBase64, encodeBase64, formatProof, parseProof } from '@watchglass/record';
import { sampleSent } from '../../dev/sample-event.ts';
import { SampleLog } from '../../dev/sample-log.ts';
import type { ListedEvent } from '../api/client.ts';
import { checkProof, type Verdict } from './check-proof.ts';

function grow(count: number, seed?: string): SampleLog {
  const log = new SampleLog(seed);
  for (let n = 0; n < count; n++) log.append();
  return log;
}

function shownAt(log: SampleLog, index: number): ListedEvent {
  const event = log.shown[index];
  assert.ok(event);
  return event;
}

function brokenAt(verdict: Verdict): string {
  assert.equal(verdict.kind, 'not-intact');
  return verdict.kind === 'not-intact' ? verdict.link : '';
}

test('every event of a log is sealed and equals what is shown', () => {
  const log = grow(37);
  for (const event of log.shown) {
    const verdict = checkProof(log.proof(event.index), event, log.vkey);
    assert.equal(verdict.kind, 'sealed', `event ${event.index}`);
    if (verdict.kind === 'sealed') assert.equal(verdict.opening.kind, 'equal');
  }
});

test('without an opening the position is proven and the content is not', () => {
  const log = grow(9);
  const verdict = checkProof(log.proof(4, { opening: false }), shownAt(log, 4), log.vkey);
  assert.equal(verdict.kind, 'sealed');
  if (verdict.kind === 'sealed') assert.equal(verdict.opening.kind, 'withheld');
});

test('a changed field of the shown event breaks the content', () => {
  const log = grow(9);
  const event = shownAt(log, 4);
  const changed: ListedEvent[] = [
    { ...event, actor: { ...event.actor, id: 'somebody-else' } },
    { ...event, time: new Date(Date.parse(event.time) + 1).toISOString() },
    { ...event, submitter: 'key:other' },
    { ...event, targets: [] },
    { ...event, purpose: { code: 'BTG' } },
  ];
  for (const one of changed) assert.equal(brokenAt(checkProof(log.proof(4), one, log.vkey)), 'content');
});

test('a field that the record does not have breaks the content', () => {
  const log = grow(9);
  const verdict = checkProof(log.proof(4), { ...shownAt(log, 4), completes: shownAt(log, 3).id }, log.vkey);
  assert.equal(brokenAt(verdict), 'content');
});

test('the proof of another event is refused', () => {
  const log = grow(9);
  assert.equal(brokenAt(checkProof(log.proof(5), shownAt(log, 4), log.vkey)), 'proof');
});

test('a checkpoint of another key is refused', () => {
  const log = grow(9);
  assert.equal(brokenAt(checkProof(log.proof(4), shownAt(log, 4), grow(1, 'other key').vkey)), 'signature');
});

test('a changed opening, hash or root breaks the chain', () => {
  const log = grow(9);
  const event = shownAt(log, 4);
  const proof = parseProof(log.proof(4));
  const flip = (bytes: Uint8Array, at = 0): Uint8Array => bytes.with(at, (bytes[at] ?? 0) ^ 1);
  assert.ok(proof.extra);
  const opening = formatProof({ ...proof, extra: flip(proof.extra) });
  assert.equal(brokenAt(checkProof(opening, event, log.vkey)), 'inclusion');
  const hashes = formatProof({ ...proof, hashes: proof.hashes.map((hash, i) => (i === 1 ? flip(hash) : hash)) });
  assert.equal(brokenAt(checkProof(hashes, event, log.vkey)), 'inclusion');
  const lines = log.proof(4).split('\n');
  const root = lines.length - 4;
  lines[root] = encodeBase64(flip(decodeBase64(lines[root] ?? '')));
  assert.equal(brokenAt(checkProof(lines.join('\n'), event, log.vkey)), 'signature');
});

test('what is no proof at all is said to be none', () => {
  const log = grow(3);
  assert.equal(brokenAt(checkProof('<html>', shownAt(log, 1), log.vkey)), 'proof');
});

test('one pseudonym for two patients is not accepted', () => {
  const log = new SampleLog();
  for (let n = 0; (log.shown.at(-1)?.exposure?.patients?.length ?? 0) < 2; n++) log.append(sampleSent(n));
  const event = shownAt(log, log.size - 1);
  const patients = event.exposure?.patients ?? [];
  const merged = patients.map((one) => ({ ...one, id: patients[0]?.id ?? '' }));
  const verdict = checkProof(
    log.proof(event.index),
    { ...event, exposure: { ...event.exposure, patients: merged } },
    log.vkey,
  );
  assert.equal(brokenAt(verdict), 'content');
});

test('a pseudonym in place of what is never hidden is not accepted', () => {
  const log = grow(9);
  const event = shownAt(log, 4);
  const verdict = checkProof(log.proof(4), { ...event, emitter: { ...event.emitter, id: '·AAAAAAAAAAAA' } }, log.vkey);
  assert.equal(brokenAt(verdict), 'content');
});
