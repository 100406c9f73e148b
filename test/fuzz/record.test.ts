/**
 * Parsers of `@watchglass/record` under hostile input: whatever comes in, out comes a value that reads back the same, or
 * a `RecordError`; and never a wait. fast-check prints the seed of a failure.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  cosignerOf,
  decode,
  decodeBase64,
  draftEventText,
  encode,
  encodeBase64,
  encodeEvent,
  formatAddCheckpoint,
  formatCheckpoint,
  formatProof,
  formatSignerKey,
  formatVerifierKey,
  formatWitnessSize,
  generateSigner,
  hashLeaf,
  isQuorum,
  minimise,
  openCosignatures,
  openNote,
  openProof,
  openWitnessed,
  parseAddCheckpoint,
  parseCheckpoint,
  parseEvent,
  parseEventText,
  parsePolicy,
  parseProof,
  parseSignerKey,
  parseTenantId,
  parseTilePath,
  parseVerifierKey,
  parseWitnessSize,
  RecordError,
  rootOf,
  signNote,
  splitJsonArray,
  tilePath,
} from '@watchglass/record';
import fc from 'fast-check';
import { inTime } from './in-time.fixture.ts';

/** The value, or `undefined` after a `RecordError`; fails on any other error, and on one that took too long. */
function attempt<T>(parse: () => T): T | undefined {
  try {
    return inTime(parse);
  } catch (error) {
    assert.ok(error instanceof RecordError, `expected a RecordError, got ${String(error)}`);
    return undefined;
  }
}

const event = parseEvent({
  v: 1,
  id: '01890a5d-ac96-774b-bcce-b302099a8057',
  time: '2026-03-01T08:30:00.250Z',
  tenant: 'clinic-a',
  emitter: { id: 'gateway-1/0', seq: 7 },
  kind: 'api',
  action: 'read',
  outcome: { status: 'failed', code: 404, reason: 'not found' },
  actor: { id: 'person-17', roles: ['physician'] },
  source: { address: '2001:db8::1', userAgent: 'Mozilla/5.0 (X11; Linux x86_64)' },
  targets: [{ type: 'Patient', id: 'wg-pt-000417', patient: 'wg-pt-000417' }],
  exposure: { patients: [{ id: 'wg-pt-000417', classes: ['demographics'], count: 1 }] },
  request: { route: '/fhir/Patient/{id}', traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' },
  changes: [{ path: '/name/0', op: 'replace', before: 'a', after: 'b' }],
});
const record = { received: event.time, submitter: 'key:1', intake: 'http', digest: '0'.repeat(64), event };
const signer = generateSigner('log.example/clinic-a', new Uint8Array(32).fill(1));
const leaves = Array.from({ length: 7 }, (_, i) => hashLeaf(Uint8Array.of(i)));
const checkpoint = formatCheckpoint({ origin: signer.name, size: 7n, root: rootOf(leaves) });
const note = signNote(checkpoint, [signer]);
const proof = formatProof({ extra: encode(record), index: 3n, hashes: leaves.slice(0, 3), checkpoint: note });

const eventText = JSON.stringify(event);

/** The text with pieces cut out, doubled, replaced or moved. */
function mutations(text: string): fc.Arbitrary<string> {
  const piece = fc.oneof(
    fc.constantFrom(
      '',
      '\n',
      '\n\n',
      ' ',
      '"',
      '\\',
      '{',
      '}',
      '[',
      ',',
      ':',
      '=',
      '+',
      '/',
      '—',
      '\u0000',
      '\ud800',
      '\u2028',
      '0',
      '-1',
      '1e999',
      'null',
    ),
    fc.string({ unit: 'binary', maxLength: 8 }),
  );
  const edit = fc.tuple(fc.nat(text.length), fc.nat(20), piece, fc.nat(3));
  return fc.array(edit, { minLength: 1, maxLength: 4 }).map((edits) => {
    let out = text;
    for (const [at, length, insert, how] of edits) {
      const cut = out.slice(at, at + length);
      if (how === 0) out = out.slice(0, at) + insert + out.slice(at + length);
      else if (how === 1) out = out.slice(0, at) + cut + out.slice(at);
      else if (how === 2) out = out.slice(0, at) + insert + out.slice(at);
      else out = out.slice(0, at) + out.slice(at + length) + cut;
    }
    return out;
  });
}

const anyText = fc.string({ unit: 'binary', maxLength: 300 });
const runs = { numRuns: 1500 };

test('parseEvent takes any value and throws nothing but RecordError', () => {
  fc.assert(
    fc.property(
      fc.anything({ withDate: true, withMap: true, withSparseArray: true, withBigInt: true, withNullPrototype: true }),
      (value) => {
        attempt(() => parseEvent(value));
        const parsed = attempt(() => parseEvent({ ...event, source: value, actor: { id: value } }));
        if (parsed !== undefined) assert.deepEqual(parseEvent(JSON.parse(JSON.stringify(parsed))), parsed);
      },
    ),
    runs,
  );
});

test('an event text that parses reads back the same, before and after minimising', () => {
  fc.assert(
    fc.property(fc.oneof(mutations(eventText), fc.json(), anyText), (text) => {
      const parsed = attempt(() => parseEventText(text));
      attempt(() => draftEventText(text));
      attempt(() => parseEventText(new TextEncoder().encode(text)));
      if (parsed === undefined) return;
      const bytes = encodeEvent(parsed);
      assert.deepEqual(parseEventText(bytes), parsed);
      assert.deepEqual(encodeEvent(parseEventText(bytes)), bytes);
      const small = minimise(parsed);
      assert.deepEqual(minimise(parseEvent(small)), small);
    }),
    runs,
  );
});

test('bytes that are no text are refused as such', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      attempt(() => parseEventText(bytes));
      attempt(() => decode(bytes));
      attempt(() => openNote(bytes, [signer]));
      attempt(() => splitJsonArray(bytes, 100));
    }),
    runs,
  );
});

test('a stored record that decodes encodes to something that decodes the same', () => {
  const text = new TextDecoder().decode(encode(record));
  fc.assert(
    fc.property(mutations(text), (changed) => {
      const decoded = attempt(() => decode(new TextEncoder().encode(changed)));
      if (decoded !== undefined) assert.deepEqual(decode(encode(decoded)), decoded);
    }),
    runs,
  );
});

test('the items of an array that is cut are the items that JSON sees', () => {
  const array = JSON.stringify([event, 'a"],[', { a: [1, '\\"'] }, []]);
  fc.assert(
    fc.property(fc.oneof(mutations(array), fc.json()), (text) => {
      const items = attempt(() => splitJsonArray(new TextEncoder().encode(text), 100));
      let parsed: unknown;
      try {
        parsed = JSON.parse(text.toWellFormed());
      } catch {
        return;
      }
      if (!Array.isArray(parsed)) return assert.equal(items, undefined);
      assert.deepEqual(
        items?.map((item) => JSON.parse(new TextDecoder().decode(item)) as unknown),
        parsed,
      );
    }),
    runs,
  );
});

test('no changed note opens to anything but the signed text', () => {
  fc.assert(
    fc.property(fc.oneof(mutations(note), anyText), (text) => {
      const opened = attempt(() => openNote(text, [signer]));
      if (opened === undefined) return;
      assert.equal(opened.text, checkpoint);
      assert.equal(opened.signatures.length, 1);
    }),
    runs,
  );
});

test('a checkpoint that parses is written back letter by letter', () => {
  fc.assert(
    fc.property(fc.oneof(mutations(checkpoint), mutations(note), anyText), (text) => {
      const parsed = attempt(() => parseCheckpoint(text));
      if (parsed === undefined) return;
      const written = formatCheckpoint(parsed);
      assert.ok(text === written || text.startsWith(`${written}\n`));
    }),
    runs,
  );
});

test('a proof that parses is written back letter by letter, and no changed proof opens', () => {
  fc.assert(
    fc.property(fc.oneof(mutations(proof), anyText), (text) => {
      const parsed = attempt(() => parseProof(text));
      if (parsed !== undefined) assert.equal(formatProof(parsed), text);
      if (text !== proof)
        assert.equal(
          attempt(() => openProof(text, { vkey: signer })),
          undefined,
        );
    }),
    runs,
  );
});

test('a tile path that parses is written back letter by letter', () => {
  const path = tilePath(3, 123_456_789, 41);
  fc.assert(
    fc.property(fc.oneof(mutations(path), mutations('tile/entries/x001/000'), anyText), (text) => {
      const parsed = attempt(() => parseTilePath(text));
      if (parsed !== undefined) assert.equal(tilePath(parsed.level, parsed.n, parsed.width), text);
    }),
    runs,
  );
});

const cosigner = cosignerOf(generateSigner('witness.example/w1', new Uint8Array(32).fill(5)));
const policyText = `log ${formatVerifierKey(signer)}\nwitness one ${formatVerifierKey(cosigner)} https://w1.example/\n# note\ngroup g 1 one\nquorum g\n`;
const cosigned = note + signNote(checkpoint, [cosigner], { timeSeconds: 1_700_000_000n }).slice(checkpoint.length + 1);

test('a request to a witness that parses is written back letter by letter', () => {
  const body = formatAddCheckpoint({ oldSize: 1n, proof: [new Uint8Array(32), new Uint8Array(32)], checkpoint: note });
  fc.assert(
    fc.property(fc.oneof(mutations(body), anyText), (text) => {
      const parsed = attempt(() => parseAddCheckpoint(text));
      if (parsed !== undefined) assert.equal(formatAddCheckpoint(parsed), text);
      const size = attempt(() => parseWitnessSize(text));
      if (size !== undefined) assert.equal(formatWitnessSize(size), text);
    }),
    runs,
  );
});

test('no changed answer of a witness yields a line that does not verify', () => {
  const answer = cosigned.slice(note.length);
  fc.assert(
    fc.property(fc.oneof(mutations(answer), anyText), (text) => {
      const opened = attempt(() => openCosignatures(text, note, [cosigner]));
      for (const line of opened?.lines ?? []) assert.equal(openNote(note + line, [cosigner]).signatures.length, 1);
    }),
    runs,
  );
});

test('a changed policy is refused or asks for what it says, and no changed checkpoint passes it', () => {
  fc.assert(
    fc.property(fc.oneof(mutations(policyText), anyText), mutations(cosigned), (text, changed) => {
      const policy = attempt(() => parsePolicy(text));
      if (policy !== undefined) assert.ok(isQuorum(policy.quorum, new Set(policy.witnesses)));
      const opened = attempt(() => openWitnessed(changed, parsePolicy(policyText)));
      if (opened !== undefined) assert.deepEqual(opened.checkpoint, parseCheckpoint(checkpoint));
    }),
    runs,
  );
});

test('base64, keys and tenants that parse are written back letter by letter', () => {
  const vkey = formatVerifierKey(signer);
  const skey = formatSignerKey(signer);
  fc.assert(
    fc.property(
      fc.oneof(mutations(vkey), mutations(skey), mutations('QUJDRA=='), mutations('clinic-a'), anyText),
      (text) => {
        const bytes = attempt(() => decodeBase64(text));
        if (bytes !== undefined) assert.equal(encodeBase64(bytes), text);
        const verifier = attempt(() => parseVerifierKey(text));
        if (verifier !== undefined) assert.equal(formatVerifierKey(verifier), text);
        const secret = attempt(() => parseSignerKey(text));
        if (secret !== undefined) assert.equal(formatSignerKey(secret), text);
        const tenant = attempt(() => parseTenantId(text));
        if (tenant !== undefined) assert.equal(tenant, text);
      },
    ),
    runs,
  );
});

test('long inputs made to slow an expression down do not', () => {
  const long = (piece: string): string => piece.repeat(Math.ceil(60_000 / piece.length));
  const pieces = [
    ' ',
    'a',
    '0',
    ':',
    '.',
    '/',
    '-',
    '=',
    '\\',
    '"',
    '\n',
    'a ',
    'x001/',
    '{}',
    '()',
    '( ',
    'é',
    '1.',
    '::',
    'a-',
    '—',
  ];
  for (const piece of pieces) {
    const text = long(piece);
    for (const parse of [
      parseEventText,
      openNoteOf,
      parseCheckpoint,
      parseProof,
      parseTilePath,
      decodeBase64,
      parseVerifierKey,
      parseSignerKey,
      parseTenantId,
      parsePolicy,
      parseAddCheckpoint,
      parseWitnessSize,
    ]) {
      attempt(() => parse(text));
    }
    const short = text.slice(0, 512);
    for (const spoiled of [
      { time: text },
      { id: text },
      { tenant: text },
      { outcome: { status: 'failed', reason: short } },
      { source: { address: text, userAgent: short, device: short.slice(0, 256) } },
      { request: { route: short, traceparent: text, query: [short.slice(0, 128)] } },
      { changes: [{ path: `/${short.slice(1)}`, op: 'add' }] },
    ]) {
      const parsed = attempt(() => parseEvent({ ...event, ...spoiled }));
      if (parsed !== undefined) attempt(() => minimise(parsed));
      const wanted = Object.keys(spoiled)[0] as string;
      attempt(() =>
        parseEvent({ ...event, [wanted]: Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`k${i}`, text])) }),
      );
    }
  }
});

function openNoteOf(text: string): unknown {
  return openNote(text, [signer]);
}
