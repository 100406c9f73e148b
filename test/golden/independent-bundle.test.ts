/**
 * A second verifier of bundles, written from docs/bundle.md and docs/format.md alone: what verifies imports nothing of ours. Where it can't be written from the pages,
 * the pages are wrong.
 */
import assert from 'node:assert/strict';
import { createHmac, createPublicKey, type KeyObject, verify } from 'node:crypto';
import { test } from 'node:test';
import { formatVerifierKey, generateSigner } from '@watchglass/record';
import { next, sampleBundle, signer, statementsOf } from '../../packages/record/src/bundle/bundle.fixture.ts';
import { sha, u32, u64 } from './octets.fixture.ts';

const bytes = (base64: string): Buffer => {
  assert.equal(Buffer.from(base64, 'base64').toString('base64'), base64, 'canonical base64');
  return Buffer.from(base64, 'base64');
};

interface ShownEvent {
  readonly index: number;
  readonly leaf: string;
  readonly m: string;
  readonly shred?: number;
  readonly r?: string;
  readonly salts?: string;
  readonly holes?: string;
}

interface Evidence {
  readonly contents: Record<string, never> & {
    readonly origin: string;
    readonly leafType: 1 | 2;
    readonly by: { readonly id: string };
    readonly purpose: { readonly code: string };
    readonly vkeys: string[];
    readonly page: string;
    readonly v: 1 | 2;
    readonly shreds?: { readonly terms: string; readonly ranges: string; readonly done: ShownEvent }[];
    readonly statements?: { readonly rotations: string[]; readonly seals: string[] };
    readonly events: ShownEvent[];
  };
  readonly proof: { readonly maker: ShownEvent; readonly hashes: string[]; readonly checkpoint: string };
}

/** F(m), of a whole record by the salts that r gives, or of what is shown by those that are. */
function fieldRoot(m: string, salt: (k: number) => Buffer, hole: () => Buffer): Buffer {
  let fields = 0;
  const value = JSON.parse(m) as unknown;
  assert.equal(JSON.stringify(value), m);
  const node = (one: unknown, path: string): Buffer => {
    if (one === null) return hole();
    const place = [u32(Buffer.byteLength(path)), path];
    if (typeof one !== 'object' || Object.keys(one).length === 0)
      return sha('watchglass/f/v1\0', Buffer.of(0), salt(fields++), ...place, JSON.stringify(one));
    const children = Object.entries(one).map(([name, child]) => node(child, `${path}/${name}`));
    return sha('watchglass/f/v1\0', Buffer.of(Array.isArray(one) ? 2 : 1), ...place, ...children);
  };
  return node(value, '');
}

function leafOf(
  { origin, leafType }: Evidence['contents'],
  { index, m, r, salts = '', holes = '' }: ShownEvent,
): Buffer {
  const leaf = (commitment: Buffer): Buffer => sha(Buffer.of(0, leafType), commitment);
  if (leafType === 1)
    return leaf(sha('watchglass/c/v1\0', sha(origin), u64(index), bytes(r ?? ''), u32(Buffer.byteLength(m)), m));
  const shown = bytes(salts);
  const withheld = bytes(holes);
  let hole = 0;
  const root = fieldRoot(
    m,
    (k) => {
      if (r === undefined) return shown.subarray(16 * k, 16 * k + 16);
      const pair = createHmac('sha256', bytes(r))
        .update('watchglass/f/v1\0')
        .update(u32(k >>> 1))
        .digest();
      return pair.subarray(16 * (k & 1), 16 * (k & 1) + 16);
    },
    () => withheld.subarray(32 * hole, 32 * ++hole),
  );
  assert.equal(32 * hole, withheld.length);
  return leaf(sha('watchglass/d/v1\0', sha(origin), u64(index), root));
}

function spkiOf(vkey: string): KeyObject {
  const key = bytes(vkey.split('+').slice(2).join('+'));
  assert.equal(key[0], 1);
  const spki = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), key.subarray(1)]);
  return createPublicKey({ key: spki, format: 'der', type: 'spki' });
}

/** A note's lines by their names; each of `keys` has signed it, in their order. */
function openNote(note: string, keysOf: (lines: Map<string, string>) => string[]): Map<string, string> {
  const split = note.lastIndexOf('\n\n') + 1;
  const text = note.slice(0, split);
  const lines = new Map(
    text.split('\n').map((line) => [line.split(' ')[0] as string, line.split(' ').slice(1).join(' ')]),
  );
  const signatures = note
    .slice(split + 1)
    .trimEnd()
    .split('\n');
  const keys = keysOf(lines);
  assert.equal(signatures.length, keys.length);
  for (const [at, key] of keys.entries())
    assert.ok(verify(null, Buffer.from(text), spkiOf(key), bytes(signatures[at]?.split(' ')[2] ?? '').subarray(4)));
  return lines;
}

/** The key that the statements lead to from the one given. */
function followed(given: string, rotations: string[], seals: string[]): string {
  const began = /^old (.*)$/m.exec(rotations[0] ?? '')?.[1] ?? '';
  const announced = new Map<number, string>();
  let signer = began;
  let before = 'none';
  for (const seal of seals) {
    const lines = openNote(seal, () => [signer]);
    assert.equal(lines.get('previous'), before);
    signer = lines.get('next') ?? '';
    announced.set(Number(lines.get('epoch')) + 1, signer);
    before = sha(seal).toString('base64');
  }
  let current = began;
  let reached = given === began;
  before = 'none';
  for (const [at, rotation] of rotations.entries()) {
    const lines = openNote(rotation, (stated) => [
      stated.get('old') ?? '',
      ...(stated.get('kind') === 'added' ? [] : [stated.get('new') ?? '']),
      announced.get(Number(stated.get('epoch'))) ?? '',
    ]);
    assert.deepEqual([lines.get('number'), lines.get('previous'), lines.get('old')], [`${at + 1}`, before, current]);
    before = sha(rotation).toString('base64');
    if (lines.get('kind') === 'added') continue;
    assert.ok(!reached || lines.get('kind') === 'planned', 'revoked');
    current = lines.get('new') ?? '';
    reached ||= current === given;
  }
  assert.ok(reached);
  return current;
}

function verifyFile(file: string, given?: string): string[] {
  const from = file.indexOf('<script type="application/json" id="evidence">') + 46;
  const end = file.indexOf('</script>', from);
  const text = file.slice(from, end);
  const { contents, proof } = JSON.parse(text) as Evidence;
  assert.equal(sha(file.slice(0, from) + file.slice(end)).toString('hex'), contents.page);
  const C = text.slice('{"contents":'.length, text.lastIndexOf(',\n"proof":'));
  assert.equal(
    JSON.stringify(JSON.parse(C)).replaceAll('<', '\\u003c'),
    C.replace('"events":[\n', '"events":[')
      .replaceAll('},\n{', '},{')
      .replace(/\n\]\}$/, ']}'),
  );

  const leaves = new Map<number, Buffer>();
  const { shreds = [] } = contents;
  const gone = shreds.map(({ terms, ranges, done }) => {
    const stated = JSON.parse(terms) as { origin: string; class: string; epoch: number; ranges: string };
    const { submitter, event } = JSON.parse(done.m) as {
      submitter: string;
      event: {
        [name: string]: unknown;
        targets: { type: string; id: string }[];
        changes: { path: string; after: string }[];
      };
    };
    assert.equal(stated.origin, contents.origin);
    assert.equal(stated.ranges, sha(bytes(ranges)).toString('hex'));
    assert.deepEqual(
      [submitter, event.kind, event.site, event.operation, event.targets[0]],
      ['self', 'system', 'ledger', 'shred-completed', { type: 'Shred', id: `${stated.class}-${stated.epoch}` }],
    );
    assert.equal(event.changes.find(({ path }) => path === '/terms')?.after, sha(terms).toString('hex'));
    return bytes(ranges);
  });
  const isGone = (index: number, ranges: Buffer): boolean =>
    Array.from({ length: ranges.length / 12 }, (_, at) => 12 * at).some((at) => {
      const first = Number(ranges.readBigUInt64BE(at));
      return index >= first && index < first + ranges.readUInt32BE(at + 8);
    });
  for (const event of [...contents.events, ...shreds.map(({ done }) => done), proof.maker]) {
    if (event.shred !== undefined) {
      assert.ok(isGone(event.index, gone[event.shred] as Buffer));
      leaves.set(event.index, bytes(event.leaf));
      continue;
    }
    assert.deepEqual(leafOf(contents, event), bytes(event.leaf), `event ${event.index}`);
    leaves.set(event.index, bytes(event.leaf));
  }
  const { submitter, event: made } = JSON.parse(proof.maker.m) as {
    submitter: string;
    event: {
      operation: string;
      targets: { type: string; id: string }[];
      exposure: { count: number };
      actor: { id: string };
      purpose: { code: string };
    };
  };
  assert.equal(submitter, 'self');
  assert.equal(made.operation, 'bundle');
  assert.ok(made.targets.some(({ type, id }) => type === 'Bundle' && id === sha(C).toString('hex')));
  assert.deepEqual(
    [made.exposure.count, made.actor.id, made.purpose.code],
    [contents.events.length, contents.by.id, contents.purpose.code],
  );

  const hashes = proof.hashes.map(bytes);
  const V = (start: number, stop: number): Buffer => {
    if (![...leaves.keys()].some((index) => index >= start && index < stop)) return hashes.shift() as Buffer;
    if (stop - start === 1) return leaves.get(start) as Buffer;
    const k = 2 ** Math.ceil(Math.log2(stop - start) - 1);
    return sha(Buffer.of(1), V(start, start + k), V(start + k, stop));
  };
  const [origin, size, root, ...rest] = proof.checkpoint.split('\n') as [string, string, string, ...string[]];
  assert.equal(origin, contents.origin);
  assert.equal(V(0, Number(size)).toString('base64'), root);
  assert.deepEqual(hashes, []);

  const { rotations = [], seals = [] } = contents.statements ?? {};
  const [vkey = ''] = contents.vkeys;
  if (given !== undefined && given !== vkey) assert.equal(followed(given, rotations, seals), vkey);
  const spki = spkiOf(vkey);
  const signature = bytes((rest[1] ?? '').split(' ')[2] ?? '').subarray(4);
  const signed = Buffer.from(`${origin}\n${size}\n${root}\n`);
  assert.ok(verify(null, signed, spki, signature));
  return contents.events.map(({ m }) => m);
}

test('a verifier written from the pages holds what ours holds', () => {
  assert.equal(verifyFile(sampleBundle().file).length, 3);
  assert.equal(verifyFile(sampleBundle({ size: 1, indexes: [0] }).file).length, 1);
  assert.equal(verifyFile(sampleBundle({ leafType: 2, size: 33, indexes: [0, 31, 32] }).file).length, 3);
  const withheld = ['/actor', '/targets/*/id', '/targets/*/patient', '/exposure'];
  const [m = ''] = verifyFile(sampleBundle({ leafType: 2, withheld }).file);
  assert.doesNotMatch(m, /n-3|wg-pt-/);
});

test('and of version 2: what was shredded, and an older key that leads to the newest', () => {
  const [, shredded] = verifyFile(sampleBundle({ shredded: [4], leafType: 2 }).file);
  assert.equal(shredded, undefined, 'nothing of it is shown');
  assert.throws(() => verifyFile(sampleBundle({ shredded: [4], done: { operation: 'shred-begun' } }).file));
  const statements = statementsOf([signer, next]);
  const { file } = sampleBundle({ signers: [next], contents: { statements } });
  verifyFile(file, formatVerifierKey(signer));
  assert.throws(() => verifyFile(file, formatVerifierKey(generateSigner(signer.name, Buffer.alloc(32, 4)))));
  const revoked = statementsOf([signer, next], ['compromised']);
  const { file: stolen } = sampleBundle({ signers: [next], contents: { statements: revoked } });
  assert.throws(() => verifyFile(stolen, formatVerifierKey(signer)));
});

test('and finds what is changed', () => {
  for (const [from, to] of [
    ['n-4', 'n-5'],
    ['Dana', 'Dane'],
    ['"hashes":["', '"hashes":["AAAA'],
    ['<title>', '<TITLE>'],
  ] as const) {
    const { file } = sampleBundle({ leafType: 2 });
    assert.notEqual(file.replace(from, to), file);
    assert.throws(() => verifyFile(file.replace(from, to)));
  }
});
