/**
 * Bulk export (FHIR Bulk Data Access 2.0): `$export` and `Patient/$export` begin a job, the job says on the second asking where its files lie, and each file is the resources
 * of one type. What stands in the files is what there is when they are fetched; a few jobs are kept, the oldest go first.
 */
import type { FhirRequest, FhirResponse } from './message.ts';
import { FhirError } from './outcome.ts';
import { servedTypes } from './parameters.ts';
import type { Store } from './store.ts';

const jobsMax = 16;

interface Job {
  readonly types: readonly string[];
  readonly time: string;
  askedCount: number;
}

export class Exports {
  readonly #store: Store;
  readonly #jobs = new Map<string, Job>();
  #count = 0;

  constructor(store: Store) {
    this.#store = store;
  }

  /** Undefined where there is nothing. */
  handle(request: FhirRequest, now: Date): FhirResponse | undefined {
    const [first, second = '', type, ...rest] = request.path.slice(1).split('/');
    if (first !== '_jobs') return this.#begin(request, now);
    const job = this.#jobs.get(second);
    if (job === undefined || rest.length > 0) return undefined;
    if (type !== undefined) return this.#file(job, type);
    if (request.method === 'DELETE') {
      this.#jobs.delete(second);
      return { status: 202, headers: {}, body: undefined };
    }
    job.askedCount += 1;
    if (job.askedCount === 1) return { status: 202, headers: { 'x-progress': 'writing files' }, body: undefined };
    const output = job.types.map((name) => ({
      type: name,
      url: `${request.base}/_jobs/${second}/${name}`,
      count: this.#store.count(name),
    }));
    const body = {
      transactionTime: job.time,
      request: `${request.base}/$export`,
      requiresAccessToken: false,
      output,
      error: [],
    };
    return { status: 200, headers: { 'content-type': 'application/json' }, body };
  }

  #begin(request: FhirRequest, now: Date): FhirResponse {
    if (!(request.headers.prefer ?? '').includes('respond-async'))
      throw new FhirError(400, 'value', 'expected Prefer: respond-async with an export');
    const wanted = request.query.get('_type')?.split(',');
    const types = servedTypes.filter((type) => this.#store.count(type) > 0 && (wanted?.includes(type) ?? true));
    this.#count += 1;
    const id = `job-${this.#count}`;
    this.#jobs.set(id, { types, time: now.toISOString(), askedCount: 0 });
    for (const old of this.#jobs.keys()) if (this.#jobs.size > jobsMax) this.#jobs.delete(old);
    return { status: 202, headers: { 'content-location': `${request.base}/_jobs/${id}` }, body: undefined };
  }

  #file({ types }: Job, type: string): FhirResponse | undefined {
    return types.includes(type)
      ? { status: 200, headers: {}, lines: [...this.#store.all(type)], body: undefined }
      : undefined;
  }
}
