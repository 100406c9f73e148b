/** The glass case alone: how long, how many, what stands in its file, and what a restart finds. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { type GlassAnswer, GlassCase } from './glass.ts';
import { eveningMs } from './policy.fixture.ts';
import type { BreakGlassRule } from './tables.ts';

const rule: BreakGlassRule = {
  purpose: 'BTG',
  reasonHeader: 'x-break-glass-reason',
  patientHeader: 'x-break-glass-patient',
  reasons: new Set(['emergency', 'covering-colleague']),
  minutes: 30,
  patientsMax: 2,
  overridesConsent: false,
};
const secret = new Uint8Array(32).fill(7);
const minuteMs = 60_000;

let folder: string;
let file: string;
let faults: number;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'watchglass-glass-'));
  file = join(folder, 'break-glass.json');
  faults = 0;
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function load(): Promise<GlassCase> {
  return GlassCase.load({
    file,
    secret,
    onFault: () => {
      faults += 1;
    },
  });
}

function ask(
  glass: GlassCase,
  reason: string | string[] | undefined,
  change: { readonly person?: string; readonly patient?: string; readonly nowMs?: number } = {},
): GlassAnswer {
  const answer = glass.ask({
    rule,
    issuer: 'https://idp.example',
    person: 'dr-ito',
    patient: 'wg-pt-000417',
    nowMs: eveningMs,
    reason,
    ...change,
  });
  if (answer.kind === 'opening') void answer.commit();
  return answer;
}

function said(answer: GlassAnswer): string {
  return `${answer.kind} ${answer.reason}`;
}

describe('the glass', () => {
  it('is broken with a reason of the policy, and stays so for its minutes without saying it again', async () => {
    await using glass = await load();
    assert.equal(said(ask(glass, undefined)), 'refused break-glass-reason');
    assert.equal(said(ask(glass, 'because I want to')), 'refused break-glass-reason');
    assert.equal(said(ask(glass, ['emergency', 'emergency'])), 'refused break-glass-reason');
    assert.equal(said(ask(glass, 'emergency')), 'opening emergency');
    assert.equal(said(ask(glass, undefined, { nowMs: eveningMs + 30 * minuteMs - 1 })), 'open emergency');
    assert.equal(said(ask(glass, undefined, { nowMs: eveningMs + 30 * minuteMs })), 'refused break-glass-reason');
    assert.equal(said(ask(glass, 'emergency', { nowMs: eveningMs + 30 * minuteMs })), 'opening emergency');
  });

  it('is broken for one person and one patient', async () => {
    await using glass = await load();
    ask(glass, 'emergency');
    assert.equal(said(ask(glass, undefined, { person: 'dr-oe' })), 'refused break-glass-reason');
    assert.equal(said(ask(glass, undefined, { patient: 'wg-pt-000418' })), 'refused break-glass-reason');
  });

  it('is not broken before the event is on record', async () => {
    await using glass = await load();
    const question = { rule, issuer: 'i', person: 'p', patient: '1', reason: 'emergency', nowMs: eveningMs };
    assert.equal(glass.ask(question).kind, 'opening');
    assert.equal(glass.ask({ ...question, reason: undefined }).kind, 'refused');
  });

  it('is broken for so many patients at once, and no more', async () => {
    await using glass = await load();
    for (const patient of ['1', '2']) assert.equal(said(ask(glass, 'emergency', { patient })), 'opening emergency');
    assert.equal(said(ask(glass, 'emergency', { patient: '3' })), 'refused break-glass-too-many');
    assert.equal(said(ask(glass, 'emergency', { patient: '3', person: 'dr-oe' })), 'opening emergency');
    assert.equal(
      said(ask(glass, 'emergency', { patient: '3', nowMs: eveningMs + 31 * minuteMs })),
      'opening emergency',
    );
  });

  it('is still broken after a restart; its file names nobody', async () => {
    const first = await load();
    ask(first, 'covering-colleague');
    await first[Symbol.asyncDispose]();
    const text = await readFile(file, 'utf8');
    for (const name of ['dr-ito', 'wg-pt-000417', 'idp.example']) assert.equal(text.includes(name), false);
    await using second = await load();
    assert.equal(said(ask(second, undefined, { nowMs: eveningMs + minuteMs })), 'open covering-colleague');
    assert.equal(faults, 0);
  });

  it('is whole again where its file can not be read: the reason is asked for once more', async () => {
    for (const text of ['', '{', '[]', '{"version":2,"open":[]}', '{"version":1,"open":[{"glass":"x"}]}']) {
      await writeFile(file, text);
      faults = 0;
      await using glass = await load();
      assert.equal(faults, 1, text);
      assert.equal(said(ask(glass, undefined)), 'refused break-glass-reason');
    }
  });

  it('is broken also where the file can not be written, and that is told', async () => {
    await using glass = await GlassCase.load({
      file: join(folder, 'no-such-folder', 'break-glass.json'),
      secret,
      onFault: () => {
        faults += 1;
      },
    });
    ask(glass, 'emergency');
    await glass[Symbol.asyncDispose]();
    assert.equal(faults, 1);
    assert.equal(said(ask(glass, undefined)), 'open emergency');
  });
});
