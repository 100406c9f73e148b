/**
 * `POST [base]` with a batch or a transaction. Entries of a batch stand for themselves; a transaction is applied in
 * FHIR's order (DELETE, POST, PUT and PATCH, GET) with `urn:uuid:` references between its entries resolved, and
 * either all of it happens or nothing.
 */
import { Buffer } from 'node:buffer';
import { isRecord, type Resource } from '../resource.ts';
import type { FhirRequest, FhirResponse } from './message.ts';
import { FhirError } from './outcome.ts';
import { withReferences } from './references.ts';
import type { Store } from './store.ts';

export const entriesMax = 500;

export interface BundleContext {
  readonly store: Store;
  handle(request: Omit<FhirRequest, 'base'>): FhirResponse;
}

interface Job {
  readonly index: number;
  readonly method: string;
  readonly url: string;
  readonly fullUrl: string | undefined;
  readonly resource: unknown;
  readonly request: Record<string, unknown>;
}

export function applyBundle(value: unknown, context: BundleContext): Record<string, unknown> {
  if (!isRecord(value) || value.resourceType !== 'Bundle' || (value.type !== 'batch' && value.type !== 'transaction'))
    throw new FhirError(400, 'invalid', 'expected a Bundle of type batch or transaction');
  const entries = value.entry ?? [];
  if (!Array.isArray(entries) || entries.length > entriesMax)
    throw new FhirError(413, 'too-long', `expected at most ${entriesMax} entries in a bundle`);
  const jobs = entries.map(jobFrom);
  const answers =
    value.type === 'batch'
      ? jobs.map((job) => run(job, context))
      : context.store.atomically(() => runTransaction(jobs, context));
  return { resourceType: 'Bundle', type: `${value.type}-response`, entry: answers.map(entryFor) };
}

function jobFrom(entry: unknown, index: number): Job {
  const request = isRecord(entry) ? entry.request : undefined;
  if (!isRecord(entry) || !isRecord(request) || typeof request.method !== 'string' || typeof request.url !== 'string')
    throw new FhirError(400, 'structure', `expected request.method and request.url in entry ${index}`);
  const fullUrl = typeof entry.fullUrl === 'string' ? entry.fullUrl : undefined;
  return { index, method: request.method, url: request.url, fullUrl, resource: entry.resource, request };
}

const order = ['DELETE', 'POST', 'PUT', 'PATCH', 'GET', 'HEAD'];

function runTransaction(jobs: readonly Job[], context: BundleContext): FhirResponse[] {
  const ids = new Map<string, string>();
  const planned = jobs.map((job) => withKnownId(job, context.store, ids));
  const pending = new Set(ids.values());
  const answers: FhirResponse[] = [];
  for (const job of planned.toSorted((one, other) => order.indexOf(one.method) - order.indexOf(other.method))) {
    const resolved = { ...job, resource: withReferences(job.resource, (reference) => ids.get(reference) ?? reference) };
    const response = run(resolved, context, pending);
    if (response.status >= 400)
      throw new FhirError(
        response.status === 412 ? 412 : 400,
        'business-rule',
        `entry ${job.index} was refused with ${response.status}; nothing was changed`,
      );
    answers[job.index] = response;
  }
  return answers;
}

/** A created entry that others may refer to gets its id before anything runs, and is then written under it. */
function withKnownId(job: Job, store: Store, ids: Map<string, string>): Job {
  if (job.method !== 'POST' || !isRecord(job.resource) || job.request.ifNoneExist !== undefined) return job;
  const type = job.url;
  if (typeof job.resource.resourceType !== 'string' || job.resource.resourceType !== type) return job;
  const id = store.freeId(type);
  if (job.fullUrl !== undefined) ids.set(job.fullUrl, `${type}/${id}`);
  return { ...job, url: `${type}/${id}`, resource: { ...job.resource, id } };
}

function run(job: Job, context: BundleContext, pending?: ReadonlySet<string>): FhirResponse {
  const [path = '', search = ''] = job.url.split('?', 2);
  if (path === '' || path.startsWith('/') || path.includes(':')) return { status: 400, headers: {}, body: undefined };
  const text = (name: string): string | undefined =>
    typeof job.request[name] === 'string' ? (job.request[name] as string) : undefined;
  // A created entry whose id is known is a PUT underneath; nothing has that id yet.
  const method = job.method === 'POST' && path.includes('/') && !path.endsWith('_search') ? 'PUT' : job.method;
  return context.handle({
    method,
    path: `/${path}`,
    query: new URLSearchParams(search),
    headers: {
      'content-type': 'application/fhir+json',
      'if-match': text('ifMatch'),
      'if-none-match': text('ifNoneMatch'),
      'if-none-exist': text('ifNoneExist'),
    },
    ...(pending === undefined ? {} : { pending }),
    body: job.resource === undefined ? new Uint8Array() : Buffer.from(JSON.stringify(job.resource), 'utf8'),
  });
}

function entryFor(response: FhirResponse): Record<string, unknown> {
  const { etag, location, 'last-modified': modified } = response.headers;
  const isOutcome = isRecord(response.body) && response.body.resourceType === 'OperationOutcome';
  return {
    ...(response.body !== undefined && !isOutcome ? { resource: response.body as Resource } : {}),
    response: {
      status: String(response.status),
      ...(location === undefined ? {} : { location }),
      ...(etag === undefined ? {} : { etag }),
      ...(modified === undefined ? {} : { lastModified: new Date(modified).toISOString() }),
      ...(isOutcome ? { outcome: response.body } : {}),
    },
  };
}
