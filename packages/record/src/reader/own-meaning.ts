/**
 * The ledger's own events make sense where they stand: each says what its operation says, in its form; epochs and statements on keys follow each other and
 * speak of the log as it was; what is shredded or released was begun or added before; counters only grow while one process runs.
 * Whether seals, statements and shreds are also what their files say is told by `verify`, from the bytes.
 */

import { parseUnitName } from '../codec/names.ts';
import { type Counters, countersOf, isCountersEvent } from '../counters.ts';
import { RecordError } from '../errors.ts';
import type { Event } from '../event.ts';
import { parseVerifierKey } from '../note-key.ts';
import { rotationKinds } from '../rotation.ts';
import type { TellMeaning } from './meaning-findings.ts';
import type { SequenceMeaning } from './sequence-meaning.ts';

/** Gateways whose counters are compared with the ones before. */
const gatewaysMax = 10_000;

type Form = { readonly words: string; readonly test: (text: string) => boolean };
const count: Form = { words: 'a number', test: (text) => /^(0|[1-9]\d{0,15})$/.test(text) };
const hash: Form = { words: '32 bytes in base64', test: (text) => /^[A-Za-z0-9+/]{43}=$/.test(text) };
const hex: Form = { words: '64 hex digits', test: (text) => /^[0-9a-f]{64}$/.test(text) };
const key: Form = { words: 'a verifier key', test: isVerifierKey };
const unit: Form = { words: 'a class and an epoch', test: (text) => parseUnitName(text) !== undefined };
const holdId: Form = { words: 'the id of a hold', test: (text) => /^[0-9a-f]{32}$/.test(text) };
const text: Form = { words: 'a text', test: (value) => value.length > 0 };
const rotationKind: Form = {
  words: rotationKinds.join(' or '),
  test: (value) => rotationKinds.some((kind) => kind === value),
};

interface OwnShape {
  /** Type and form of its first target; undefined where it is about the log. */
  readonly target?: readonly [type: string, id: Form];
  /** What must be said once. */
  readonly says: Readonly<Record<string, Form>>;
}

const seal = { '/seal/size': count, '/seal/root': hash, '/seal/hash': hash, '/key': key };
const rotation = {
  '/rotation/kind': rotationKind,
  '/rotation/size': count,
  '/rotation/trusted': count,
  '/rotation/hash': hash,
  '/old': key,
  '/key': key,
};
const numbers = { '/seq/first': count, '/seq/last': count, '/seq/count': count };
const shred = {
  '/terms': hex,
  '/events': count,
  '/first': count,
  '/last': count,
  '/ranges': hex,
  '/days': count,
  '/plan': hex,
  '/seeds': count,
};

/** Operations of events of kind `system` at the site `ledger`. Others may come with a later version, and are none of ours. */
const shapes: Readonly<Record<string, OwnShape>> = {
  heartbeat: { says: { '/received': count, '/refused': count, '/gapped': count } },
  'sequence-gap': { target: ['Emitter', text], says: numbers },
  'sequence-gap-closed': { target: ['Emitter', text], says: numbers },
  'sequence-repeat': { target: ['Emitter', text], says: numbers },
  'sealing-begun': { target: ['Epoch', count], says: seal },
  'epoch-sealed': { target: ['Epoch', count], says: seal },
  'checkpoint-key-rotated': { target: ['CheckpointKey', count], says: rotation },
  'checkpoint-key-added': { target: ['CheckpointKey', count], says: rotation },
  'checkpoint-key-overlap-ended': { says: { '/key': key } },
  'log-succeeds': {
    says: {
      '/predecessor/origin': text,
      '/predecessor/size': count,
      '/predecessor/root': hash,
      '/predecessor/hash': hash,
    },
  },
  'shred-begun': { target: ['Shred', unit], says: shred },
  'shred-completed': { target: ['Shred', unit], says: shred },
  'hold-added': { target: ['Hold', holdId], says: { '/matter': text, '/reason': text } },
  'hold-released': { target: ['Hold', holdId], says: {} },
  'hold-keys-ended': { target: ['Hold', holdId], says: {} },
};

export class OwnMeaning {
  readonly #sequences: SequenceMeaning;
  /** By name of the unit, whether it is over. */
  readonly #shreds: Map<string, boolean> = new Map();
  /** By id, whether it is released. */
  readonly #holds: Map<string, boolean> = new Map();
  readonly #gateways: Map<string, { readonly seq: number; readonly counters: Counters }> = new Map();
  #epoch: number | undefined;
  #rotation = 0;
  #heartbeat: { readonly run: string; readonly received: number; readonly refused: number } | undefined;
  /** Own events were shredded: what a later one refers to may be gone. */
  #partial = false;

  constructor(sequences: SequenceMeaning) {
    this.#sequences = sequences;
  }

  passedOver(): void {
    this.#partial = true;
    this.#epoch = undefined;
  }

  /** An event of the ledger's own. @param run of the process that stored it */
  look(event: Event, index: number, run: string, tell: TellMeaning): void {
    const operation = event.operation ?? '';
    const shape = Object.hasOwn(shapes, operation) ? shapes[operation] : undefined;
    if (shape === undefined || !isShaped(event, shape, tell)) return;
    const id = event.targets?.[0]?.id ?? '';
    const said = (path: string): number => Number(saidOf(event, path));
    switch (operation) {
      case 'heartbeat':
        this.#beat({ run, received: said('/received'), refused: said('/refused') }, tell);
        break;
      case 'sequence-gap':
      case 'sequence-gap-closed':
      case 'sequence-repeat':
        this.#numbers(operation, id, { first: said('/seq/first'), last: said('/seq/last') }, tell);
        break;
      case 'sealing-begun':
      case 'epoch-sealed':
        atMost('/seal/size', said('/seal/size'), index, tell);
        this.#seal(operation, Number(id), tell);
        break;
      case 'checkpoint-key-rotated':
      case 'checkpoint-key-added':
        atMost('/rotation/size', said('/rotation/size'), index, tell);
        // All of them are said again where `sealing/` was lost.
        if (Number(id) > this.#rotation + 1 && !this.#partial)
          tell('own-event-senseless', `statement ${this.#rotation + 1} on a checkpoint key`, `statement ${id}`);
        this.#rotation = Math.max(this.#rotation, Number(id));
        break;
      case 'log-succeeds':
        if (index !== 0) tell('own-event-senseless', 'that a log goes on from another only at index 0', 'it later');
        this.passedOver();
        break;
      default:
        this.#ending(event, index, tell);
    }
  }

  /** Shreds and holds. */
  #ending(event: Event, index: number, tell: TellMeaning): void {
    const id = event.targets?.[0]?.id ?? '';
    const first = Number(saidOf(event, '/first'));
    const last = Number(saidOf(event, '/last'));
    switch (event.operation) {
      case 'shred-begun':
        if (first > last || last >= index)
          tell('own-event-senseless', 'a shred of earlier records', `one of ${first} to ${last}`);
        for (const hold of heldOf(event)) this.#needHold(hold, tell);
        this.#shreds.set(id, false);
        break;
      case 'shred-completed':
        if (this.#shreds.get(id) !== false && !this.#partial)
          tell('own-event-senseless', `that the shred of ${id} had begun, once`, 'no such event before');
        this.#shreds.set(id, true);
        break;
      case 'hold-added':
        if (this.#holds.has(id)) tell('own-event-senseless', 'a hold that is new', 'one that was added before');
        this.#holds.set(id, false);
        break;
      case 'hold-released':
        this.#needHold(id, tell);
        this.#holds.set(id, true);
        break;
      case 'hold-keys-ended':
        if (this.#holds.get(id) !== true && !this.#partial)
          tell('own-event-senseless', 'a hold that was released', 'one that was not');
        break;
      default:
        break;
    }
  }

  /** What a gateway says it counted; its own events come with the key of a sender. */
  counted(event: Event, tell: TellMeaning): void {
    if (!isCountersEvent(event)) return;
    const counters = countersOf(event);
    if (counters === undefined) {
      tell('own-event-invalid', 'each counter once, a number', 'some are not there');
      return;
    }
    const { received, recorded, flooded, faulted, unrecorded, inFlight } = counters;
    const sum = recorded + flooded + faulted + unrecorded + inFlight;
    if (received !== sum)
      tell('counters-unbalanced', `${received} requests received, each with what became of it`, `${sum}`);
    const { id, seq } = event.emitter;
    const before = this.#gateways.get(id);
    // Sent again, or overtaken: only what is newer is compared.
    if (before !== undefined && seq <= before.seq) return;
    if (before === undefined && this.#gateways.size >= gatewaysMax) return;
    this.#gateways.set(id, { seq, counters });
    if (before === undefined || before.counters.since !== counters.since) return;
    for (const [name, value] of Object.entries(counters)) {
      const was = before.counters[name as keyof Counters];
      if (name !== 'inFlight' && name !== 'eventsPending' && value < was)
        tell('counter-backwards', `at least ${was} at /${name}`, `${value}`);
    }
  }

  #beat(now: { readonly run: string; readonly received: number; readonly refused: number }, tell: TellMeaning): void {
    const before = this.#heartbeat;
    this.#heartbeat = now;
    if (before?.run !== now.run) return;
    for (const name of ['received', 'refused'] as const)
      if (now[name] < before[name]) tell('counter-backwards', `at least ${before[name]} at /${name}`, `${now[name]}`);
  }

  #numbers(
    operation: 'sequence-gap' | 'sequence-gap-closed' | 'sequence-repeat',
    id: string,
    span: { readonly first: number; readonly last: number },
    tell: TellMeaning,
  ): void {
    if (span.first < 1 || span.first > span.last)
      tell('own-event-invalid', 'numbers from 1, the first not past the last', `${span.first} to ${span.last}`);
    else if (!this.#sequences.said(operation, id, span) && !this.#partial)
      tell('own-event-senseless', `an emitter with numbers up to ${span.last}`, 'one that has sent no such number');
  }

  #seal(operation: string, epoch: number, tell: TellMeaning): void {
    const before = this.#epoch;
    this.#epoch = epoch;
    // The newest is said again where `sealing/` was lost.
    if (before === undefined || epoch === before) return;
    if (epoch !== before + 1) tell('own-event-senseless', `the seal of epoch ${before + 1}`, `that of epoch ${epoch}`);
    else if (operation === 'sealing-begun') tell('own-event-senseless', 'that sealing begins once', 'it again');
  }

  #needHold(id: string, tell: TellMeaning): void {
    if (this.#holds.get(id) !== false && !this.#partial)
      tell('own-event-senseless', 'a hold that was added and is on', 'one that is not');
  }
}

function isShaped(event: Event, { target, says }: OwnShape, tell: TellMeaning): boolean {
  const [first] = event.targets ?? [];
  if (target !== undefined && (first?.type !== target[0] || !target[1].test(first.id ?? ''))) {
    tell('own-event-invalid', `${event.operation} about a target of type ${target[0]}: ${target[1].words}`, 'another');
    return false;
  }
  for (const [path, form] of Object.entries(says)) {
    const values = (event.changes ?? []).filter((change) => change.path === path);
    if (values.length === 1 && form.test(values[0]?.after ?? '')) continue;
    tell(
      'own-event-invalid',
      `${event.operation} with ${path} once: ${form.words}`,
      `${values.length} of it, or another form`,
    );
    return false;
  }
  return true;
}

function saidOf(event: Event, path: string): string | undefined {
  return event.changes?.find((change) => change.path === path)?.after;
}

function heldOf(event: Event): string[] {
  return (event.changes ?? []).flatMap(({ path, after }) => (path === '/held' ? [after?.split(' ')[0] ?? ''] : []));
}

function atMost(path: string, size: number, index: number, tell: TellMeaning): void {
  if (size > index) tell('own-event-senseless', `a size of the log as it was, at most ${index}, at ${path}`, `${size}`);
}

function isVerifierKey(value: string): boolean {
  try {
    return parseVerifierKey(value).name.length > 0;
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    return false;
  }
}
