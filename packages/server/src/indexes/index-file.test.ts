import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Event, eventActions, eventKinds, outcomeStatuses, retentionClassOf } from '@watchglass/record';
import fc from 'fast-check';
import type { Filters } from './filters.ts';
import type { FindAnswer, ReadableFile, SummaryAnswer } from './messages.ts';
import { IndexReader } from './read-worker.ts';
import { windowPositions } from './windows.ts';
import { IndexWriter } from './write-worker.ts';

const tokenKey = new Uint8Array(32).fill(5);
const pseudonymKey = new Uint8Array(32).fill(6);
const startMs = Date.parse('2027-01-01T00:00:00Z');

interface Made {
  readonly index: number;
  readonly event: Pick<
    Event,
    'time' | 'kind' | 'action' | 'operation' | 'outcome' | 'actor' | 'targets' | 'exposure' | 'request'
  >;
}

function withFiles(
  run: (parts: {
    dir: string;
    writer: IndexWriter;
    reader: IndexReader;
    fileAt: (name: string, start: number) => ReadableFile;
  }) => void,
): void {
  const dir = mkdtempSync(join(tmpdir(), 'index-'));
  const writer = new IndexWriter();
  const reader = new IndexReader();
  try {
    run({
      dir,
      writer,
      reader,
      fileAt: (name, start) => {
        const path = join(dir, name);
        const answer = writer.handle({ kind: 'open', file: { path, tokenKey, pseudonymKey }, start, check: false });
        assert.equal(answer?.kind, 'opened');
        return { path, tokenKey, pseudonymKey, retentionClass: 'access', opening: 1, start, next: start };
      },
    });
  } finally {
    reader.close();
    writer.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

function add(writer: IndexWriter, path: string, made: readonly Made[], next: number): void {
  // A batch names consecutive entries: one for each.
  for (const { index, event } of made) {
    const bytes = Buffer.from(
      JSON.stringify({ received: event.time, submitter: 'self', intake: 'self', digest: '', event }),
    );
    writer.handle({
      kind: 'add',
      batch: {
        indexes: new Float64Array([index]),
        bytes,
        lengths: new Uint32Array([bytes.length]),
        fileOf: new Uint16Array([0]),
        files: [{ path, next: index + 1 }],
      },
    });
  }
  writer.handle({
    kind: 'add',
    batch: {
      indexes: new Float64Array(),
      bytes: new Uint8Array(),
      lengths: new Uint32Array(),
      fileOf: new Uint16Array(),
      files: [{ path, next }],
    },
  });
}

function made(index: number, seed: number): Made {
  const pick = <Value>(values: readonly Value[], shift: number): Value =>
    values[(seed >> shift) % values.length] as Value;
  const patient = `p-${(seed >> 3) % 5}`;
  return {
    index,
    event: {
      time: new Date(startMs + index * 1_000 - ((seed >> 9) % 40) * 60_000).toISOString(),
      kind: pick(['api', 'data', 'file'] as const, 0),
      action: pick(eventActions, 2),
      operation: pick(['read', 'search-type', 'vread'], 5),
      outcome: { status: pick(outcomeStatuses, 7) },
      actor: { id: `u-${(seed >> 4) % 7}` },
      targets: [{ type: pick(['Patient', 'Observation'], 11), id: `${(seed >> 6) % 9}`, patient }],
      request: { route: pick(['/fhir/Patient/{id}', '/fhir/Observation'], 8) },
    },
  };
}

function matches({ event }: Made, filters: Filters): boolean {
  const timeMs = Date.parse(event.time);
  const target = event.targets?.[0];
  return (
    (filters.actor === undefined || event.actor.id === filters.actor) &&
    (filters.patient === undefined ||
      target?.patient === filters.patient ||
      (target?.type === 'Patient' && target.id === filters.patient)) &&
    (filters.resource === undefined ||
      target?.type === filters.resource ||
      `${target?.type}/${target?.id}` === filters.resource) &&
    (filters.kind === undefined || event.kind === filters.kind) &&
    (filters.action === undefined || event.action === filters.action) &&
    (filters.operation === undefined || event.operation === filters.operation) &&
    (filters.outcome === undefined || event.outcome.status === filters.outcome) &&
    (filters.fromMs === undefined || timeMs >= filters.fromMs) &&
    (filters.toMs === undefined || timeMs < filters.toMs) &&
    (filters.q === undefined ||
      [event.actor.id, event.operation, event.request?.route, target?.type].some((one) =>
        one?.toLowerCase().includes(filters.q?.toLowerCase() ?? ''),
      ) ||
      target?.patient === filters.q)
  );
}

const noCancel = (): Int32Array => new Int32Array(new SharedArrayBuffer(4));
const optional = <Value>(arbitrary: fc.Arbitrary<Value>): fc.Arbitrary<Value | undefined> =>
  fc.option(arbitrary, { nil: undefined, freq: 2 });
const someFilters = fc
  .record({
    actor: optional(fc.constantFrom('u-1', 'u-2', 'nobody')),
    patient: optional(fc.constantFrom('p-1', 'p-2', '3', 'nobody')),
    resource: optional(fc.constantFrom('Patient', 'Observation', 'Patient/3', 'Observation/4')),
    kind: optional(fc.constantFrom(...eventKinds)),
    action: optional(fc.constantFrom(...eventActions)),
    operation: optional(fc.constantFrom('read', 'vread', 'other')),
    outcome: optional(fc.constantFrom(...outcomeStatuses)),
    fromMs: optional(fc.integer({ min: startMs - 3_000_000, max: startMs + 80_000_000 })),
    toMs: optional(fc.integer({ min: startMs - 3_000_000, max: startMs + 80_000_000 })),
    q: optional(fc.constantFrom('PATIENT', 'u-3', 'search', 'p-4', '%')),
  })
  .map((filters) => Object.fromEntries(Object.entries(filters).filter(([, value]) => value !== undefined)) as Filters);

test('a search gives what a plain filter over all events gives, page by page and counted', () => {
  withFiles(({ writer, reader, fileAt }) => {
    const seeds = Array.from({ length: 600 }, (_, i) => (i * 2_654_435_761) % 2 ** 31);
    // Far apart, so that several zones and windows are in play; two files, the second going on where the first ends.
    const all = seeds.map((seed, i) => made(i * 300, seed));
    const split = 90_000;
    const first = fileAt('access-0.sqlite', 0);
    add(
      writer,
      first.path,
      all.filter(({ index }) => index < split),
      split,
    );
    const second = fileAt('access-1.sqlite', split);
    const end = (all.at(-1)?.index ?? 0) + 1;
    add(
      writer,
      second.path,
      all.filter(({ index }) => index >= split),
      end,
    );
    const files: ReadableFile[] = [
      { ...first, next: split },
      { ...second, start: split, next: end },
    ];
    assert.ok(end > 2 * windowPositions);

    fc.assert(
      fc.property(someFilters, fc.integer({ min: 1, max: 40 }), (filters, limit) => {
        const expected = all
          .filter(
            (one) =>
              matches(one, filters) && (filters.kind === undefined || retentionClassOf(filters.kind) === 'access'),
          )
          .map(({ index }) => index)
          .reverse();
        const found: number[] = [];
        let before: number | undefined = end;
        let count: number | undefined;
        for (let pages = 0; before !== undefined; pages++) {
          assert.ok(pages <= all.length);
          const answer = reader.handle({
            kind: 'find',
            files,
            filters,
            before,
            limit,
            countBelow: pages === 0 ? end : undefined,
            cancel: noCancel(),
          }) as FindAnswer;
          count ??= answer.count;
          found.push(...answer.indexes);
          before = answer.next;
        }
        assert.deepEqual(found, expected);
        assert.equal(count, expected.length);
        const summary = reader.handle({
          kind: 'summarise',
          files,
          filters,
          below: end,
          bucketsMax: 50,
          cancel: noCancel(),
        }) as SummaryAnswer;
        assert.equal(summary.count, expected.length);
        assert.equal(summary.truncated, false);
        assert.ok(summary.series.length <= 50);
        const inSeries = summary.series.reduce(
          (sum, { success, denied, failed, error }) => sum + success + denied + failed + error,
          0,
        );
        assert.equal(inSeries, expected.length);
        assert.equal(
          summary.facets.outcome.reduce((sum, one) => sum + one.count, 0),
          expected.length,
        );
      }),
      { numRuns: 150, seed: 20_270_301 },
    );
  });
});

test('an entry that comes twice is indexed once', () => {
  withFiles(({ writer, reader, fileAt }) => {
    const file = fileAt('access-0.sqlite', 0);
    const all = [made(0, 1), made(1, 2), made(2, 3)];
    add(writer, file.path, all, 3);
    add(writer, file.path, all, 3);
    const answer = reader.handle({
      kind: 'find',
      files: [{ ...file, next: 3 }],
      filters: {},
      before: 3,
      limit: 10,
      countBelow: 3,
      cancel: noCancel(),
    });
    assert.deepEqual(answer, { indexes: [2, 1, 0], next: undefined, count: 3, countTruncated: false });
  });
});

test('a batch that fails leaves nothing behind and can come again', () => {
  withFiles(({ writer, reader, fileAt }) => {
    const file = fileAt('access-0.sqlite', 0);
    const good = Buffer.from(JSON.stringify({ event: made(0, 9).event }));
    const bytes = Buffer.concat([good, Buffer.from('{"event":')]);
    const batch = {
      indexes: new Float64Array([0, 1]),
      lengths: new Uint32Array([good.length, bytes.length - good.length]),
      fileOf: new Uint16Array([0, 0]),
      files: [{ path: file.path, next: 2 }],
    };
    assert.throws(() => writer.handle({ kind: 'add', batch: { ...batch, bytes } }));
    add(writer, file.path, [made(0, 9), made(1, 10)], 2);
    const answer = reader.handle({
      kind: 'find',
      files: [{ ...file, next: 2 }],
      filters: { actor: made(0, 9).event.actor.id },
      before: 2,
      limit: 10,
      countBelow: 2,
      cancel: noCancel(),
    }) as FindAnswer;
    assert.equal(
      answer.count,
      [made(0, 9), made(1, 10)].filter(({ event }) => event.actor.id === made(0, 9).event.actor.id).length,
    );
  });
});

test('a question nobody waits for ends', () => {
  withFiles(({ writer, reader, fileAt }) => {
    const file = fileAt('access-0.sqlite', 0);
    add(writer, file.path, [made(0, 1)], 1);
    const cancel = noCancel();
    Atomics.store(cancel, 0, 1);
    const files = [{ ...file, next: 1 }];
    const summary = reader.handle({
      kind: 'summarise',
      files,
      filters: {},
      below: 1,
      bucketsMax: 10,
      cancel,
    }) as SummaryAnswer;
    assert.equal(summary.truncated, true);
  });
});

test('a file under other keys is not used', () => {
  withFiles(({ dir, writer, fileAt }) => {
    fileAt('access-0.sqlite', 0);
    const path = join(dir, 'access-0.sqlite');
    writer.handle({ kind: 'close', paths: [path] });
    const file = { path, tokenKey: new Uint8Array(32), pseudonymKey };
    const other = writer.handle({ kind: 'open', file, start: 0, check: false });
    assert.equal(other?.kind, 'unusable');
  });
});

test('no identifier of a patient or a resource is in a file', () => {
  withFiles(({ dir, writer, fileAt }) => {
    const file = fileAt('access-0.sqlite', 0);
    const canary = 'canary-4b1d';
    add(
      writer,
      file.path,
      [
        {
          index: 0,
          event: {
            time: '2027-01-01T00:00:00Z',
            kind: 'api',
            action: 'read',
            outcome: { status: 'success' },
            actor: { id: `${canary}-actor`, type: 'patient' },
            targets: [{ type: 'Observation', id: `${canary}-resource`, patient: canary }],
            exposure: { patients: [{ id: `${canary}-exposed` }] },
          },
        },
      ],
      1,
    );
    writer.close();
    for (const name of readdirSync(dir)) assert.equal(readFileSync(join(dir, name)).includes(canary), false, name);
  });
});

test('an event of the usual shape takes less than 220 bytes', (t) => {
  withFiles(({ dir, writer, fileAt }) => {
    const file = fileAt('access-0.sqlite', 0);
    const count = 20_000;
    const parts = Array.from({ length: count }, (_, i) =>
      Buffer.from(
        JSON.stringify({
          event: {
            ...made(i, (i * 2_654_435_761) % 2 ** 31).event,
            targets: [{ type: 'Observation', id: `obs-${i}`, patient: `wg-pt-${i % 4_000}` }],
          },
        }),
      ),
    );
    writer.handle({
      kind: 'add',
      batch: {
        indexes: Float64Array.from(parts, (_, index) => index),
        bytes: Buffer.concat(parts),
        lengths: Uint32Array.from(parts, ({ length }) => length),
        fileOf: new Uint16Array(count),
        files: [{ path: file.path, next: count }],
      },
    });
    writer.close();
    const bytes = readdirSync(dir).reduce((sum, name) => sum + readFileSync(join(dir, name)).length, 0);
    t.diagnostic(`${(bytes / count).toFixed(0)} bytes an event`);
    assert.ok(bytes / count < 220);
  });
});
