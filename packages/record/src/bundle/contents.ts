/**
 * The evidence in a bundle (docs/bundle.md): what it holds, and its one spelling. Nothing is verified here.
 *
 * `readEvidence(encodeEvidence(e))` gives e again, and `readEvidence` takes no other text than the one that `encodeEvidence`
 * writes: so no byte of it can be another without being noticed, whatever a reader makes of it.
 */
import { encodeBase64, tryDecodeBase64 } from '../bytes.ts';
import { RecordError } from '../errors.ts';
import { saltBytes } from '../field-commitment.ts';
import { formSource } from './read-form.ts';

/** Events in a bundle. */
export const bundleEventsMax = 20_000;
/** Characters of the evidence. */
export const evidenceCharsMax: number = 48 * 1024 * 1024;

/** An event with its opening. */
export interface WholeEvent {
  readonly index: number;
  /** Leaf hash, 32 bytes. */
  readonly leaf: Uint8Array;
  /** 32 bytes. */
  readonly r: Uint8Array;
  /** The text of the stored record. */
  readonly m: string;
}

/** An event of which fields are withheld (`Disclosure` in field-commitment.ts). */
export interface PartialEvent {
  readonly index: number;
  readonly leaf: Uint8Array;
  readonly m: string;
  readonly salts: Uint8Array;
  readonly holes: Uint8Array;
}

/** An event whose content was shredded: that it is in the log is proven, and that it was shredded. */
export interface ShreddedEvent {
  readonly index: number;
  readonly leaf: Uint8Array;
  /** Position in `shreds` of the contents. */
  readonly shred: number;
}

export type ShownEvent = WholeEvent | PartialEvent;
export type BundleEvent = ShownEvent | ShreddedEvent;

/** Why the content of events is gone (docs/format.md, "Shreds"). */
export interface ShredEvidence {
  /** First line of the shred's record, without its line end. */
  readonly terms: string;
  /** The indexes that went, 12 bytes a range. */
  readonly ranges: Uint8Array;
  /** The event of the log that says it is done. */
  readonly done: WholeEvent;
}

/** What a log with more than one checkpoint key states about them, so that who pinned an older one gets to the newest. */
export interface BundleStatements {
  /** Each as it stands in its file. */
  readonly rotations: readonly string[];
  /** From the first to that of the epoch before the last rotation's. */
  readonly seals: readonly string[];
}

/** How the events were chosen, as their maker says. */
export interface BundleQuery {
  /** `chosen`: by index; `index`: the search index was asked; `scan`: every record was opened and compared. */
  readonly how: 'chosen' | 'index' | 'scan';
  /** Names of filters, and their values as far as they are in what is shown; pseudonyms or `…` otherwise. */
  readonly filters: readonly (readonly [name: string, value: string])[];
  /** Events in the log when it was asked. */
  readonly size: number;
  /** How many of them the index did not hold yet. */
  readonly unindexed: number;
  /** How many of them were shredded, and could not be looked at unless a legal hold keeps them; none unless said. */
  readonly shredded?: number;
}

/** What the maker's own event commits to by its digest: everything but what proves it. */
export interface BundleContents {
  readonly origin: string;
  readonly tenant: string;
  /** Type of the log's leaves. */
  readonly leafType: 1 | 2;
  /** RFC 3339, UTC, milliseconds. */
  readonly made: string;
  readonly by: { readonly id: string; readonly name: string; readonly roles: readonly string[] };
  readonly purpose: { readonly code: string; readonly reason: string };
  readonly query: BundleQuery;
  /** JSON Pointers into the event; `*` stands for every position. */
  readonly withheld: readonly string[];
  /** Verifier keys of the log. */
  readonly vkeys: readonly string[];
  /** Verifier keys of witnesses. */
  readonly witnesses: readonly string[];
  /** The newest checkpoint with cosignatures, where there is one. */
  readonly cosigned: string;
  /** Absent where the log never had another key. */
  readonly statements?: BundleStatements;
  /** Absent where no event in it was shredded. */
  readonly shreds?: readonly ShredEvidence[];
  /** SHA-256 of the page around the evidence, hex. */
  readonly page: string;
  /** Ascending. */
  readonly events: readonly BundleEvent[];
}

/** What proves the contents: made after the maker's event was durable. */
export interface BundleProof {
  /** The maker's own event: its record names the digest of the contents. */
  readonly maker: WholeEvent;
  /** Of the events' leaves and the maker's, under the checkpoint. */
  readonly hashes: readonly Uint8Array[];
  /** That the tree of `cosigned` is the beginning of the checkpoint's. */
  readonly growth: readonly Uint8Array[];
  /** The signed checkpoint. */
  readonly checkpoint: string;
}

export interface Evidence {
  readonly contents: BundleContents;
  readonly proof: BundleProof;
}

/** The text of the contents, whose SHA-256 the maker's event names. `<` is escaped, so that a page can hold it. */
export function encodeContents(contents: BundleContents): string {
  const { events, by, purpose, query, ...rest } = contents;
  const isSecond = needsSecond(contents);
  const head = {
    v: isSecond ? 2 : 1,
    origin: rest.origin,
    tenant: rest.tenant,
    leafType: rest.leafType,
    made: rest.made,
    by: { id: by.id, name: by.name, roles: by.roles },
    purpose: { code: purpose.code, reason: purpose.reason },
    query: {
      how: query.how,
      filters: query.filters,
      size: query.size,
      unindexed: query.unindexed,
      ...(isSecond ? { shredded: query.shredded ?? 0 } : {}),
    },
    withheld: rest.withheld,
    vkeys: rest.vkeys,
    witnesses: rest.witnesses,
    cosigned: rest.cosigned,
    ...(isSecond ? secondForm(rest) : {}),
    page: rest.page,
  };
  const lines = events.map((event) => textOf(eventForm(event)));
  return `${textOf(head).slice(0, -1)},"events":[\n${lines.join(',\n')}\n]}`;
}

/** Version 1 has no place for statements and shreds; what needs none is written as it always was, for older readers. */
function needsSecond({ statements, shreds, query }: BundleContents): boolean {
  return (statements?.rotations.length ?? 0) > 0 || (shreds?.length ?? 0) > 0 || (query.shredded ?? 0) > 0;
}

function secondForm({ statements, shreds = [] }: Pick<BundleContents, 'statements' | 'shreds'>): object {
  return {
    statements: { rotations: statements?.rotations ?? [], seals: statements?.seals ?? [] },
    shreds: shreds.map(({ terms, ranges, done }) => ({ terms, ranges: encodeBase64(ranges), done: eventForm(done) })),
  };
}

export function encodeProof({ maker, hashes, growth, checkpoint }: BundleProof): string {
  return textOf({
    maker: eventForm(maker),
    hashes: hashes.map(encodeBase64),
    growth: growth.map(encodeBase64),
    checkpoint,
  });
}

/** The evidence around texts that are encoded already. */
export function joinEvidence(contents: string, proof: string): string {
  return `{"contents":${contents},\n"proof":${proof}}`;
}

export function encodeEvidence({ contents, proof }: Evidence): string {
  return joinEvidence(encodeContents(contents), encodeProof(proof));
}

/**
 * @returns the evidence, and the text of its contents as it stands there
 * @throws {RecordError} `bundle-malformed`
 */
export function readEvidence(text: string): Evidence & { readonly contentsText: string } {
  if (text.length > evidenceCharsMax) throw malformed(`expected at most ${evidenceCharsMax} characters`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The engine's message quotes the text, which may be PHI.
    throw malformed('expected one JSON value');
  }
  const form = formSource(value, malformed);
  const contents = readContents(form);
  const proof = readProof(form);
  const contentsText = encodeContents(contents);
  const spelled = joinEvidence(contentsText, encodeProof(proof));
  if (spelled !== text) {
    const at = firstDifference(spelled, text);
    const line = text.slice(0, at).split('\n').length;
    throw malformed(`expected its one spelling; line ${line} of the evidence has another`);
  }
  return { contents, proof, contentsText };
}

function readContents(whole: ReturnType<typeof formSource>): BundleContents {
  const form = whole.member('contents');
  const version = form.whole('v', Number.MAX_SAFE_INTEGER);
  if (version !== 1 && version !== 2) throw malformed('expected version 1 or 2; a newer watchglass may read it');
  const by = form.member('by');
  const purpose = form.member('purpose');
  const query = form.member('query');
  const how = query.text('how');
  if (how !== 'chosen' && how !== 'index' && how !== 'scan')
    throw malformed('expected query.how as this version has it');
  const leafType = form.whole('leafType', 2);
  if (leafType !== 1 && leafType !== 2) throw malformed('expected leafType 1 or 2');
  return {
    origin: form.text('origin'),
    tenant: form.text('tenant'),
    leafType,
    made: form.text('made'),
    by: { id: by.text('id'), name: by.text('name'), roles: by.texts('roles') },
    purpose: { code: purpose.text('code'), reason: purpose.text('reason') },
    query: {
      how,
      filters: query.list('filters').map((pair): readonly [string, string] => {
        const [name, given] = pair.ownTexts();
        if (name === undefined || given === undefined) throw malformed('expected filters as pairs of texts');
        return [name, given];
      }),
      size: query.whole('size', Number.MAX_SAFE_INTEGER),
      unindexed: query.whole('unindexed', Number.MAX_SAFE_INTEGER),
      ...(version === 2 ? { shredded: query.whole('shredded', Number.MAX_SAFE_INTEGER) } : {}),
    },
    withheld: form.texts('withheld'),
    vkeys: form.texts('vkeys'),
    witnesses: form.texts('witnesses'),
    cosigned: form.text('cosigned'),
    ...(version === 2 ? readSecond(form) : {}),
    page: form.text('page'),
    events: readEvents(form),
  };
}

function readSecond(form: ReturnType<typeof formSource>): Required<Pick<BundleContents, 'statements' | 'shreds'>> {
  const statements = form.member('statements');
  return {
    statements: { rotations: statements.texts('rotations'), seals: statements.texts('seals') },
    shreds: form.list('shreds').map((shred): ShredEvidence => {
      const done = readEvent(shred.member('done'));
      if (!('r' in done)) throw malformed('expected the whole event that ends a shred');
      return { terms: shred.text('terms'), ranges: listOf(shred.text('ranges'), 12), done };
    }),
  };
}

function readEvents(form: ReturnType<typeof formSource>): BundleEvent[] {
  const given = form.list('events');
  if (given.length === 0 || given.length > bundleEventsMax)
    throw malformed(`expected 1 to ${bundleEventsMax} events, got ${given.length}`);
  let last = -1;
  return given.map((one) => {
    const event = readEvent(one);
    if (event.index <= last) throw malformed(`expected events in the order of the log; index ${event.index} is not`);
    last = event.index;
    return event;
  });
}

function readEvent(form: ReturnType<typeof formSource>): BundleEvent {
  const index = form.whole('index', Number.MAX_SAFE_INTEGER);
  const leaf = bytesOf(form.text('leaf'), 32);
  if (form.has('shred')) return { index, leaf, shred: form.whole('shred', bundleEventsMax) };
  const m = form.text('m');
  if (form.has('r')) return { index, leaf, r: bytesOf(form.text('r'), 32), m };
  return { index, leaf, m, salts: listOf(form.text('salts'), saltBytes), holes: listOf(form.text('holes'), 32) };
}

function readProof(whole: ReturnType<typeof formSource>): BundleProof {
  const form = whole.member('proof');
  const maker = readEvent(form.member('maker'));
  if (!('r' in maker)) throw malformed('expected the whole event of its maker');
  return {
    maker,
    hashes: form.texts('hashes').map((hash) => bytesOf(hash, 32)),
    growth: form.texts('growth').map((hash) => bytesOf(hash, 32)),
    checkpoint: form.text('checkpoint'),
  };
}

function eventForm(event: BundleEvent): object {
  const { index, leaf } = event;
  const head = { index, leaf: encodeBase64(leaf) };
  if ('shred' in event) return { ...head, shred: event.shred };
  const { m } = event;
  if ('r' in event) return { ...head, r: encodeBase64(event.r), m };
  return { ...head, m, salts: encodeBase64(event.salts), holes: encodeBase64(event.holes) };
}

function textOf(value: object): string {
  return JSON.stringify(value).replaceAll('<', '\\u003c');
}

function bytesOf(text: string, length: number): Uint8Array {
  const bytes = tryDecodeBase64(text);
  if (bytes?.length !== length) throw malformed(`expected canonical base64 of ${length} bytes`);
  return bytes;
}

function listOf(text: string, width: number): Uint8Array {
  const bytes = tryDecodeBase64(text);
  if (bytes === undefined || bytes.length % width !== 0)
    throw malformed(`expected canonical base64 of a multiple of ${width} bytes`);
  return bytes;
}

function firstDifference(a: string, b: string): number {
  let at = 0;
  while (at < a.length && a[at] === b[at]) at++;
  return at;
}

function malformed(message: string): RecordError {
  return new RecordError('bundle-malformed', `the evidence cannot be read: ${message}`);
}
