/**
 * Whoever watches a log from outside while its keys change: what the statements lead to is followed and told, a stolen key is told with its consequence, a successor is
 * followed with what was lost; and whatever is forged, cut, turned round or blown up stays `key-changed`, and changes nothing that is remembered.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  emptyRoot,
  formatCheckpoint,
  generateSigner,
  hashRotation,
  openRotation,
  parseRotation,
  parseSignerKey,
  type Rotation,
  type Signer,
  sealKeyName,
  signNote,
  signRotation,
  signSeal,
} from '@watchglass/record';
import { run } from '../../packages/cli/src/main.ts';
import { clinic, items, type TestPlace, testPlace } from '../../packages/server/src/ledger/ledger.fixture.ts';
import type { KeyChange, Ledger } from '../../packages/server/src/ledger/ledger.ts';
import { succeed } from '../../packages/server/src/ledger/succeed.ts';

interface Line {
  readonly kind: string;
  readonly code?: string;
  readonly message?: string;
  readonly size?: number;
}

/** A ledger of its own behind a small server, and what may be answered in its place. */
class Watched implements AsyncDisposable {
  readonly place: TestPlace;
  readonly dir: string;
  /** By path below `/log/clinic/`. */
  readonly instead = new Map<string, string | Uint8Array>();
  ledger: Ledger;
  readonly #server: Server;

  private constructor(place: TestPlace, dir: string, ledger: Ledger) {
    this.place = place;
    this.dir = dir;
    this.ledger = ledger;
    this.#server = createServer((request, response) => {
      void this.#answer((request.url ?? '').replace('/log/clinic/', '')).then((body) =>
        response.writeHead(body === undefined ? 404 : 200).end(body),
      );
    });
  }

  static async open(): Promise<Watched> {
    const place = await testPlace();
    const ledger = await place.open({ recordStatements: true });
    await ledger.addTenant(clinic);
    const watched = new Watched(place, await mkdtemp(join(tmpdir(), 'watchglass-monitor-')), ledger);
    await watched.grow(3);
    await new Promise<void>((resolve) => watched.#server.listen(0, '127.0.0.1', resolve));
    return watched;
  }

  async #answer(path: string): Promise<string | Uint8Array | undefined> {
    const instead = this.instead.get(path);
    if (instead !== undefined) return instead;
    const { ledger } = this;
    if (path === '/log') return JSON.stringify([{ tenant: clinic, origin: ledger.origin(clinic) }]);
    if (path === 'vkey') return `${ledger.vkeys(clinic).join('\n')}\n`;
    if (path === 'seals' || path === 'rotations') return JSON.stringify(await ledger.statements(clinic, path));
    return ledger.resource(clinic, path);
  }

  async change(...changes: readonly KeyChange[]): Promise<void> {
    for (const change of changes) {
      await this.ledger.changeCheckpointKey(clinic, change);
      await this.grow(2);
    }
  }

  async grow(count: number): Promise<void> {
    await this.ledger.append(clinic, items(this.place, count));
  }

  async look(...args: string[]): Promise<{ code: number; codes: unknown[]; lines: Line[]; err: string }> {
    let out = '';
    let err = '';
    const url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    const code = await run(['monitor', url, '--once', '--json', '--state', this.dir, ...args], {
      stdout: { write: (text) => (out += text) },
      stderr: { write: (text) => (err += text) },
      env: {},
      cwd: tmpdir(),
      signal: new AbortController().signal,
    });
    const lines = out
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Line);
    return { code, err, lines, codes: [code, ...lines.map(({ code: one, kind }) => one ?? kind)] };
  }

  async statement(path: string): Promise<Uint8Array> {
    return (await this.ledger.resource(clinic, path)) as Uint8Array;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    await this.ledger[Symbol.asyncDispose]();
    await this.place.remove();
    await rm(this.dir, { recursive: true });
  }
}

test('an overlap, its end, a second key and rotations that were missed are followed and told once', async () => {
  await using watched = await Watched.open();
  const pinned = watched.ledger.vkey(clinic);
  assert.deepEqual((await watched.look()).codes, [0, 'head']);
  const size = watched.ledger.head(clinic).size;
  await watched.change({ kind: 'planned' });
  const overlap = await watched.look();
  assert.deepEqual(overlap.codes, [0, 'key-rotated', 'head']);
  assert.match(
    overlap.lines[0]?.message ?? '',
    new RegExp(`statement 1, made in 2026-03 at ${size} events, announced from index ${size} on`),
  );
  assert.deepEqual((await watched.look()).codes, [0], 'told once');
  await watched.change({ kind: 'end-overlap' });
  assert.deepEqual((await watched.look()).codes, [0, 'head']);
  await watched.change({ kind: 'add-ml-dsa-44' });
  assert.deepEqual((await watched.look()).codes, [0, 'key-added', 'head']);
  await watched.change({ kind: 'planned' }, { kind: 'end-overlap' });
  watched.place.clock.advance(40 * 24 * 3_600_000);
  await watched.change({ kind: 'planned' }, { kind: 'end-overlap' });
  assert.deepEqual((await watched.look()).codes, [0, 'key-rotated', 'key-rotated', 'head']);
  // Somebody else, who begins now with the key they were given when the log was made.
  await rm(watched.dir, { recursive: true });
  assert.deepEqual((await watched.look('--vkey', pinned)).codes, [
    0,
    'key-rotated',
    'key-added',
    'key-rotated',
    'key-rotated',
    'head',
  ]);
  await watched.grow(1);
  assert.deepEqual((await watched.look('--vkey', pinned)).codes, [0, 'head']);
});

test('a stolen key is told with its consequence; the new one is believed once somebody gives it', async () => {
  await using watched = await Watched.open();
  await watched.look();
  await watched.grow(2);
  await watched.change({ kind: 'compromised', trusted: 3 });
  const told = await watched.look();
  assert.deepEqual(told.codes, [3, 'key-revoked']);
  assert.match(
    told.lines[0]?.message ?? '',
    /past 3 events is not to be believed.*give the key you are told with --vkey/,
  );
  assert.deepEqual((await watched.look()).codes, [3, 'key-revoked'], 'nothing was remembered of it');
  assert.deepEqual((await watched.look('--vkey', watched.ledger.vkey(clinic))).codes, [0, 'head']);
  assert.deepEqual((await watched.look()).codes, [0], 'from then on that one is remembered');
});

test('what no statement explains stays key-changed, and nothing is remembered of it', async () => {
  await using watched = await Watched.open();
  await watched.look();
  await watched.change({ kind: 'planned' }, { kind: 'end-overlap' }, { kind: 'planned' }, { kind: 'end-overlap' });
  const one = await watched.statement('rotations/1');
  const two = await watched.statement('rotations/2');
  const origin = watched.ledger.origin(clinic);
  const thief = generateSigner(origin, randomBytes(32));
  const epochKey = generateSigner(sealKeyName(origin, parseRotation(one).epoch), randomBytes(32));
  const forged = (facts: Partial<Rotation>, by: Partial<{ old: Signer; next: Signer; epochKey: Signer }> = {}) =>
    signRotation({ ...parseRotation(one), ...facts }, { old: thief, next: thief, epochKey, ...by });
  const edited = Buffer.from(one)
    .toString('utf8')
    .replace(/^size \d+$/m, 'size 4');
  const lies: Record<string, Record<string, string | Uint8Array>> = {
    'another key and no word': { rotations: '[]' },
    'an edited statement': { 'rotations/1': edited },
    'a statement by a thief who has no key of the log': { 'rotations/1': forged({}) },
    'a statement for a key of the thief': { rotations: '[1]', 'rotations/1': forged({ next: thief, old: thief }) },
    'the second one removed': { rotations: '[1]' },
    'the first one removed': { rotations: '[2]' },
    'the first one twice': { 'rotations/2': one },
    'turned round': { 'rotations/1': two, 'rotations/2': one },
    'a chain that goes back to the key it came from': {
      rotations: '[1,2,3]',
      'rotations/3': forged({
        number: 3,
        previous: hashRotation(two),
        old: parseRotation(two).next,
        next: parseRotation(one).old,
      }),
    },
    'no seals': { seals: '[]' },
    'seals of the thief': {
      'seals/673': signSeal(
        { origin, epoch: 673, size: 0, root: emptyRoot(), previous: undefined, next: epochKey },
        thief,
      ),
      'rotations/1': forged({}),
    },
    'a list without end': { rotations: JSON.stringify(Array.from({ length: 200_000 }, (_, at) => at + 1)) },
    'a list of something else': { rotations: '[{}]' },
    'a key more': { vkey: `${watched.ledger.vkey(clinic)}\n${parseKeyLine(thief)}\n` },
    'keys without end': { vkey: `${watched.ledger.vkey(clinic)}\n`.repeat(50) },
  };
  for (const [what, lie] of Object.entries(lies)) {
    watched.instead.clear();
    for (const [path, body] of Object.entries(lie)) watched.instead.set(path, body);
    const { codes } = await watched.look();
    assert.deepEqual(codes, [3, 'key-changed'], what);
  }
  watched.instead.clear();
  assert.deepEqual(
    (await watched.look()).codes,
    [0, 'key-rotated', 'key-rotated', 'head'],
    'and the truth is followed',
  );
});

function parseKeyLine({ name, keyId, type, publicKey }: Signer): string {
  const key = Buffer.concat([Buffer.of(type), publicKey]).toString('base64');
  return `${name}+${keyId.toString(16).padStart(8, '0')}+${key}`;
}

test('who has the first key of a log, and makes seals and statements anew with it, is found by the seal that was remembered', async () => {
  await using watched = await Watched.open();
  const stolen = await signerOf(watched);
  await watched.look();
  await watched.grow(1);
  const origin = watched.ledger.origin(clinic);
  const next = generateSigner(origin, randomBytes(32));
  const head = watched.ledger.head(clinic);
  const epochKey = generateSigner(sealKeyName(origin, 675), randomBytes(32));
  const seal = signSeal(
    { origin, epoch: 674, size: 0, root: emptyRoot(), previous: undefined, next: epochKey },
    stolen,
  );
  const rotation: Rotation = {
    origin,
    number: 1,
    kind: 'planned',
    size: head.size,
    root: head.root,
    trusted: head.size,
    epoch: 675,
    previous: undefined,
    old: stolen,
    next,
  };
  const statement = signRotation(rotation, { old: stolen, next, epochKey });
  assert.equal(openRotation(statement, epochKey).size, head.size, 'it is one that holds in itself');
  watched.instead.set('seals', '[674]').set('seals/674', seal).set('rotations', '[1]').set('rotations/1', statement);
  watched.instead.set('vkey', `${parseKeyLine(next)}\n${parseKeyLine(stolen)}\n`);
  const look = await watched.look();
  assert.deepEqual(look.codes, [3, 'key-changed']);
  assert.match(look.lines[0]?.message ?? '', /the seal kept from earlier/);
});

async function signerOf({ place }: Watched, name = 'checkpoint-key'): Promise<Signer> {
  const text = await readFile(join(place.keysDir, `${clinic}.${name}`), 'utf8');
  return parseSignerKey(text.split('\n')[0] as string);
}

test('who has all keys of today cannot date a rotation back, nor state another root in it', async () => {
  await using watched = await Watched.open();
  await watched.look();
  await watched.grow(1);
  const { size, root } = watched.ledger.head(clinic);
  const origin = watched.ledger.origin(clinic);
  const epoch = 674;
  const old = await signerOf(watched);
  const epochKey = await signerOf(watched, `epoch-key-${epoch}`);
  const next = generateSigner(origin, randomBytes(32));
  const show = (facts: { readonly size: number; readonly root: Uint8Array }): void => {
    const rotation: Rotation = {
      ...{ origin, number: 1, kind: 'planned', trusted: 0, epoch, previous: undefined, old, next },
      ...facts,
    };
    watched.instead.set('rotations', '[1]').set('rotations/1', signRotation(rotation, { old, next, epochKey }));
  };
  const checkpoint = signNote(formatCheckpoint({ origin, size: BigInt(size), root }), [next, old]);
  watched.instead.set('vkey', `${parseKeyLine(next)}\n${parseKeyLine(old)}\n`).set('checkpoint', checkpoint);
  show({ size: 1, root });
  const dated = await watched.look();
  assert.deepEqual(dated.codes, [3, 'key-changed']);
  assert.match(dated.lines[0]?.message ?? '', /made at 1 events, and \d+ had been seen without it/);
  show({ size, root: randomBytes(32) });
  assert.deepEqual((await watched.look()).codes, [3, 'history-changed']);
  show({ size: size + 1, root });
  assert.deepEqual((await watched.look()).codes, [3, 'rolled-back']);
  show({ size, root });
  assert.deepEqual(
    (await watched.look()).codes,
    [0, 'key-rotated', 'head'],
    'where it states the truth it is followed',
  );
});

test('a successor is followed where the remembered key signed for it, and what was lost is a finding', async () => {
  await using watched = await Watched.open();
  const { place } = watched;
  await watched.ledger[Symbol.asyncDispose]();
  const backup = await place.copy();
  watched.ledger = await place.open({ recordStatements: true });
  await watched.grow(4);
  await watched.look();
  const seen = watched.ledger.head(clinic).size;
  await watched.ledger[Symbol.asyncDispose]();
  const { logs } = await succeed({ dataDir: backup.dir, world: backup.world() });
  const restored = await backup.open({ recordStatements: true });
  watched.ledger = restored;
  watched.instead.set('predecessor', (await watched.statement('rotations/1')) ?? 'nothing of the kind');
  assert.deepEqual((await watched.look()).codes, [3, 'key-changed'], 'a statement that is none');
  watched.instead.clear();
  const told = await watched.look();
  assert.deepEqual(told.codes, [3, 'head', 'events-lost']);
  const lost = seen - (logs[0]?.size ?? 0);
  assert.match(told.lines[1]?.message ?? '', new RegExp(`${seen} had been seen, so the last ${lost} are lost`));
  assert.deepEqual((await watched.look()).codes, [0], 'told once; the successor is followed now');
  await restored.append(clinic, items(backup, 1));
  assert.deepEqual((await watched.look()).codes, [0, 'head']);
  await backup.remove();
});
