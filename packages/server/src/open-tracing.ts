/**
 * Opens the way of spans to a collector, where one is configured, and puts the rooms whose work is worth a span behind one. Where none is configured the rooms stay as they are.
 */
import type { TenantId } from '@watchglass/record';
import { isSampled, linksMax, openSpans, parseTraceparent, readTracing, type SpanFate } from '@watchglass/trace';
import type { Logger } from 'pino';
import type { RecordOwn, RecordPlaced } from './access/access.ts';
import { readKeyFile } from './access/key-file.ts';
import type { ServerConfig } from './config/config.ts';
import { ServerError } from './errors.ts';
import type { Appended, AppendItem, Ledger } from './ledger/ledger.ts';
import type { Completeness } from './review/completeness/completeness.ts';
import type { BundleMaker } from './review/make-bundle.ts';
import type { Review } from './review/review.ts';
import { Tracing } from './trace/tracing.ts';
import type { World } from './world/world.ts';

/** Disposed of by the caller, last of all. @throws ServerError `config-invalid`, `key-file-exposed` */
export async function openTracing(config: ServerConfig, world: World, log: Logger): Promise<Tracing | undefined> {
  const { tracing: section, url } = config;
  if (section === undefined) return undefined;
  const { headersFile, ca } = section;
  const headers = headersFile === undefined ? undefined : await readKeyFile(world, headersFile);
  if (headersFile !== undefined && headers === undefined)
    throw new ServerError(
      'config-invalid',
      `tracing.headersFile: there is no ${headersFile}; put the header there, mode 0600`,
    );
  const read = readTracing(section, { headers, ca: ca === undefined ? undefined : await readAuthorities(world, ca) });
  if ('problem' in read)
    throw new ServerError('config-invalid', `tracing.headersFile: ${headersFile}: ${read.problem}`);
  const fates = new Map<SpanFate, number>();
  const spans = await openSpans(read.settings, {
    scope: 'watchglass-server',
    instance: new URL(url).host,
    onSpans: (fate, count) => fates.set(fate, (fates.get(fate) ?? 0) + count),
    onReach(reached) {
      if (reached) log.info('spans reach the collector again');
      else log.warn('spans do not reach the collector; they are dropped and counted');
    },
  });
  return new Tracing(spans, fates);
}

async function readAuthorities(world: World, path: string): Promise<string> {
  const bytes = await world.disk.readFile(path);
  if (bytes === undefined)
    throw new ServerError('config-invalid', `tracing.ca: there is no ${path}; put the certificates there, PEM`);
  return new TextDecoder().decode(bytes);
}

/** The wait until events of others are durable; their requests' traces are linked to that of the delivery. */
export function tracedLedger<Doors extends Pick<Ledger, 'append'>>(ledger: Doors, tracing: Tracing | undefined): Doors {
  if (tracing === undefined) return ledger;
  return withMethods(ledger, {
    append(tenant: TenantId, items: readonly AppendItem[]): Promise<Appended> {
      tracing.current?.span.link(tracesIn(items));
      // Called at once: what waits keeps nothing of the events themselves.
      const appended = ledger.append(tenant, items);
      return tracing.phase('append', () => appended, { 'watchglass.events': items.length });
    },
  });
}

/** One traceparent a trace; only sampled ones, since of others there is nothing to find. */
function tracesIn(items: readonly AppendItem[]): readonly string[] {
  const found = new Map<string, string>();
  for (const { event } of items) {
    if (found.size === linksMax) break;
    const text = event.request?.traceparent;
    const told = parseTraceparent(text);
    if (text !== undefined && told !== undefined && isSampled(told)) found.set(told.traceId, text);
  }
  return [...found.values()];
}

/** The wait until an event of our own is durable. */
export function tracedRecord(
  record: RecordOwn & { readonly placed: RecordPlaced },
  tracing: Tracing | undefined,
): RecordOwn & { readonly placed: RecordPlaced } {
  if (tracing === undefined) return record;
  const traced: RecordOwn = (event) => tracing.phase('record', () => record(event));
  const placed: RecordPlaced = (event) => tracing.phase('record', () => record.placed(event));
  return Object.assign(traced, { placed });
}

export function tracedReview(review: Review, tracing: Tracing | undefined): Review {
  if (tracing === undefined) return review;
  return withMethods(review, {
    search: (...asked: Parameters<Review['search']>) => tracing.phase('search', () => review.search(...asked)),
    summary: (...asked: Parameters<Review['summary']>) => tracing.phase('summarise', () => review.summary(...asked)),
    read: (...asked: Parameters<Review['read']>) => tracing.phase('read', () => review.read(...asked)),
    prove: (...asked: Parameters<Review['prove']>) => tracing.phase('prove', () => review.prove(...asked)),
  });
}

export function tracedBundles(bundles: BundleMaker, tracing: Tracing | undefined): BundleMaker {
  return tracing === undefined
    ? bundles
    : { prepare: (asked) => tracing.phase('bundle', () => bundles.prepare(asked)) };
}

export function tracedCompleteness(completeness: Completeness, tracing: Tracing | undefined): Completeness {
  return tracing === undefined
    ? completeness
    : { report: (...asked) => tracing.phase('completeness', () => completeness.report(...asked)) };
}

/** The same object behind some methods of its own: what reads its state reads the object's. */
function withMethods<T extends object, M extends object>(whole: T, methods: M): T & M {
  return Object.assign(Object.create(whole) as T, methods);
}
