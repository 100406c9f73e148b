/**
 * A record for a bundle: whole, or without the fields that are to be withheld. What is withheld in one place must not stand in another, so that whoever forgot the
 * other place is told instead of the recipient.
 */
import { type LeafType, type ShownEvent, type StoredRecord, withhold } from '@watchglass/record';
import { type ErrorPlace, ServerError } from '../errors.ts';

export interface OpenedEvent {
  readonly index: number;
  readonly leaf: Uint8Array;
  readonly r: Uint8Array;
  readonly m: Uint8Array;
}

/** Fields that name somebody or something: a value of theirs that is withheld must be withheld everywhere. */
const naming: ReadonlySet<string> = new Set([
  'id',
  'patient',
  'client',
  'session',
  'tokenId',
  'address',
  'device',
  'justification',
  'before',
  'after',
]);

/**
 * @param pointers JSON Pointers into the event
 * @throws ServerError `withholding-refused` where leaves commit to whole records, a pointer names nothing in any of the events, or a value still stands elsewhere
 */
export function showEvents(
  events: readonly OpenedEvent[],
  pointers: readonly string[],
  leafType: LeafType,
): ShownEvent[] {
  if (pointers.length === 0) return events.map(({ index, leaf, r, m }) => ({ index, leaf, r, m: textOf(m) }));
  if (leafType !== 2)
    throw new ServerError(
      'withholding-refused',
      'the leaves of this log commit to whole records, so no field can be withheld and the rest proven; a log that can is made for a tenant that `withholding` of the configuration names before its first event',
    );
  const taken = pointers.map(() => 0);
  const shown = events.map((event) => show(event, pointers, taken));
  const unknown = pointers.flatMap((_, i) => (taken[i] === 0 ? [i] : []));
  if (unknown.length > 0)
    throw refused(
      unknown.map((i) => ({ path: `/withhold/${i}`, expected: 'a field that one of the events has', got: 'none' })),
    );
  return shown;
}

function show(event: OpenedEvent, pointers: readonly string[], taken: number[]): ShownEvent {
  const { index, leaf, r, m } = event;
  const within = pointers.map((pointer) => `/event${pointer}`);
  const once = withhold(r, m, within);
  for (const [i, count] of once.taken.entries()) taken[i] = (taken[i] as number) + count;
  if (once.disclosure.holes.length === 0) return { index, leaf, r, m: textOf(m) };
  // The digest of the bytes that were sent would let anybody try values until it fits.
  const { disclosure } = withhold(r, m, [...within, '/digest']);
  const shown = textOf(disclosure.m);
  refuseRemains(textOf(m), shown, index);
  return { index, leaf, m: shown, salts: disclosure.salts, holes: disclosure.holes };
}

/** @throws ServerError where a name that is withheld stands in what is shown */
function refuseRemains(whole: string, shown: string, index: number): void {
  const withheld = new Set<string>();
  const before = JSON.parse(whole) as StoredRecord;
  const after = JSON.parse(shown) as StoredRecord;
  collect(before, after, withheld);
  const places: ErrorPlace[] = [];
  walk(after.event, '', (path, name, value) => {
    if (naming.has(name) && withheld.has(value))
      places.push({
        path,
        expected: 'withheld too, as the same value is elsewhere',
        got: `shown in event ${index}`,
      });
  });
  if (places.length > 0) throw refused(places.slice(0, 20));
}

/** The names in `before` that are withheld in `after`. */
function collect(before: unknown, after: unknown, into: Set<string>): void {
  if (after === null) {
    walk(before, '', (_path, _name, value) => void into.add(value));
    return;
  }
  if (typeof before !== 'object' || before === null) return;
  for (const [name, value] of Object.entries(before)) {
    const still = (after as Record<string, unknown>)[name];
    if (still === null && typeof value === 'string') {
      if (naming.has(name)) into.add(value);
    } else collect(value, still, into);
  }
}

function walk(value: unknown, path: string, visit: (path: string, name: string, value: string) => void): void {
  if (typeof value !== 'object' || value === null) return;
  for (const [name, one] of Object.entries(value)) {
    const at = `${path}/${name}`;
    if (typeof one === 'string') {
      if (naming.has(name)) visit(at, name, one);
    } else walk(one, at, visit);
  }
}

function textOf(m: Uint8Array): string {
  return Buffer.from(m.buffer, m.byteOffset, m.length).toString('utf8');
}

function refused(errors: readonly ErrorPlace[]): ServerError {
  const [first] = errors as [ErrorPlace];
  return new ServerError('withholding-refused', `${first.at}: expected ${first.expected}, got ${first.got}`, {
    errors,
  });
}
