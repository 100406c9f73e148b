/**
 * A batch or transaction: a Bundle of requests in one body. Each entry is recognised and judged like a request of its own; one that isn't allowed
 * denies them all, and every entry is recorded.
 */
import { canonicalise, type Parameter, parseParameters } from '../http/canonical.ts';
import { parseOneReading, parseUtf8 } from '../http/one-reading.ts';
import { type Interaction, permission, recognise } from './fhir-interaction.ts';
import { isObject } from './reference.ts';
import { isAnother } from './sent-resource.ts';

export const batchEntriesMax = 100;

export interface BatchEntry {
  readonly interaction: Interaction;
  readonly parameters: readonly Parameter[];
}

export type Batch =
  | { readonly kind: 'batch'; readonly entries: readonly BatchEntry[] }
  /** `reason` is a code from a fixed list. */
  | {
      readonly kind: 'unreadable';
      readonly reason: 'not-json' | 'not-a-bundle' | 'too-many-entries' | 'entry-unknown';
    };

/** Reads the entries' methods and URLs; of their resources only whether they are what the URL says. */
export function parseBatch(body: Uint8Array, prefix: string): Batch {
  const bundle = parseOneReading(body);
  if (!isObject(bundle)) return { kind: 'unreadable', reason: 'not-json' };
  if (!hasExactNames(bundle, bundleMembers)) return { kind: 'unreadable', reason: 'not-a-bundle' };
  if (bundle.resourceType !== 'Bundle' || (bundle.type !== 'batch' && bundle.type !== 'transaction')) {
    return { kind: 'unreadable', reason: 'not-a-bundle' };
  }
  const raw = Array.isArray(bundle.entry) ? bundle.entry : [];
  if (raw.length > batchEntriesMax) return { kind: 'unreadable', reason: 'too-many-entries' };
  const entries: BatchEntry[] = [];
  for (const item of raw) {
    const entry = parseEntry(item, prefix);
    if (entry === undefined) return { kind: 'unreadable', reason: 'entry-unknown' };
    entries.push(entry);
  }
  return { kind: 'batch', entries };
}

/** The HTTP status of each entry in the answer, by position; undefined where it says none. */
export function batchStatuses(body: Uint8Array, count: number): readonly (number | undefined)[] {
  const bundle = parseUtf8(body);
  const entries = isObject(bundle) ? bundle.entry : undefined;
  return Array.from({ length: count }, (_, position) => {
    const status = Array.isArray(entries)
      ? (entries[position] as { response?: { status?: unknown } } | null)?.response?.status
      : undefined;
    return typeof status === 'string' && /^[1-5]\d\d/.test(status) ? Number(status.slice(0, 3)) : undefined;
  });
}

/**
 * `If-None-Exist` makes a create tell whether something exists: a search as well, whose parameters are judged like those of any other. Undefined where they have more
 * than one reading, and where it is no create.
 */
export function conditionally(interaction: Interaction, condition: string): BatchEntry | undefined {
  // On anything else it would be a condition that nobody judges, for an API that heeds it there.
  if (interaction.name !== 'create') return undefined;
  // Some servers take a whole search, `Patient?identifier=1`.
  const parameters = parseParameters(condition.slice(condition.indexOf('?') + 1));
  if (typeof parameters === 'string') return undefined;
  return {
    interaction: { ...interaction, operation: 'conditional-create', permissions: permission.c | permission.s },
    parameters,
  };
}

const bundleMembers = ['resourceType', 'type', 'entry'];
const entryMembers = ['request', 'resource', 'fullUrl'];
const requestMembers = ['method', 'url', 'ifNoneMatch', 'ifModifiedSince', 'ifMatch', 'ifNoneExist', 'id', 'extension'];

/** Parsers that don't heed case would take `Request` for `request`. */
function hasExactNames(object: object, names: readonly string[]): boolean {
  const lower = new Map(names.map((name) => [name.toLowerCase(), name]));
  return Object.keys(object).every((key) => (lower.get(key.toLowerCase()) ?? key) === key);
}

/** Relative URLs only: an absolute one could mean another server. */
function parseEntry(item: unknown, prefix: string): BatchEntry | undefined {
  const request = (item as { request?: { method?: unknown; url?: unknown; ifNoneExist?: unknown } } | null)?.request;
  if (typeof request !== 'object' || request === null) return undefined;
  if (!hasExactNames(item as object, entryMembers) || !hasExactNames(request, requestMembers)) return undefined;
  if (typeof request.method !== 'string' || typeof request.url !== 'string') return undefined;
  const target = canonicalise(`/${request.url.replace(/^\//, '')}`);
  if (target.kind === 'refused') return undefined;
  const { segments, parameters } = target;
  const recognition = recognise({
    method: request.method,
    prefix,
    segments: segments[0] === '' ? [] : segments,
    parameters,
  });
  if (recognition.kind !== 'interaction') return undefined;
  const { interaction } = recognition;
  if (interaction.name === 'batch' || interaction.form) return undefined;
  const { resource } = item as { readonly resource?: unknown };
  if (resource !== undefined && isAnother(interaction, resource)) return undefined;
  if (request.ifNoneExist === undefined) return { interaction, parameters };
  if (typeof request.ifNoneExist !== 'string') return undefined;
  const conditional = conditionally(interaction, request.ifNoneExist);
  if (conditional === undefined) return undefined;
  return { interaction: conditional.interaction, parameters: [...parameters, ...conditional.parameters] };
}
