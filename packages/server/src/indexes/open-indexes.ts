/**
 * Opens the indexes: one worker writes, one answers questions, and a follower per tenant feeds the first. Owns both workers and all followers.
 */
import type { TenantId } from '@watchglass/record';
import type { Unit } from '@watchglass/record/reader';
import { ServerError } from '../errors.ts';
import type { Filters } from './filters.ts';
import { Follower } from './follower.ts';
import { removeIndex } from './forget-index.ts';
import { pseudonymKey } from './index-keys.ts';
import type { FindQuery, Found, Indexes, IndexesDeps, IndexStatus, Summary, SummaryQuery } from './indexes.ts';
import { matcherOf } from './match-record.ts';
import type { FindAnswer, ReadRequest, SummaryAnswer, WriteRequest } from './messages.ts';
import { Pseudonyms } from './tokens.ts';
import { isDamage, WorkerClient } from './worker-client.ts';

/** Questions waiting for the reading worker. */
const questionsUnderWayMax = 64;

/** Resolves once every tenant's files are open; what is missing is then being built. */
export async function openIndexes(deps: IndexesDeps): Promise<Indexes> {
  const indexes = new SqliteIndexes(deps);
  try {
    for (const tenant of deps.ledger.tenants()) await indexes.follow(tenant);
    return indexes;
  } catch (error) {
    await indexes[Symbol.asyncDispose]();
    throw error;
  }
}

interface Followed {
  readonly follower: Follower;
  readonly pseudonyms: Pseudonyms;
}

class SqliteIndexes implements Indexes {
  readonly #deps: IndexesDeps;
  readonly #writer: WorkerClient<WriteRequest> = new WorkerClient('write-worker');
  readonly #reader: WorkerClient<ReadRequest> = new WorkerClient('read-worker');
  readonly #followed: Map<TenantId, Promise<Followed>> = new Map();
  readonly #ready: Map<TenantId, Followed> = new Map();

  constructor(deps: IndexesDeps) {
    this.#deps = deps;
  }

  async follow(tenant: TenantId): Promise<void> {
    let followed = this.#followed.get(tenant);
    if (followed === undefined) {
      followed = this.#start(tenant);
      this.#followed.set(tenant, followed);
    }
    this.#ready.set(tenant, await followed);
  }

  async find(tenant: TenantId, query: FindQuery, signal?: AbortSignal): Promise<Found> {
    const { follower } = this.#of(tenant);
    const { filters, before, limit, countBelow } = query;
    const unindexed = unindexedBy(follower);
    const answer = await this.#ask<FindAnswer>(
      follower,
      (cancel) => ({ kind: 'find', files: follower.files, filters, before, limit, countBelow, cancel }),
      signal,
    );
    return {
      indexes: answer.indexes,
      next: answer.next,
      unindexed,
      ...(answer.count === undefined ? {} : { count: answer.count, countTruncated: answer.countTruncated }),
    };
  }

  async summarise(tenant: TenantId, query: SummaryQuery, signal?: AbortSignal): Promise<Summary> {
    const { follower } = this.#of(tenant);
    const { filters, below, bucketsMax } = query;
    const unindexed = unindexedBy(follower);
    const answer = await this.#ask<SummaryAnswer>(
      follower,
      (cancel) => ({ kind: 'summarise', files: follower.files, filters, below, bucketsMax, cancel }),
      signal,
    );
    return { ...answer, unindexed };
  }

  async reached(tenant: TenantId, size: number, signal?: AbortSignal): Promise<void> {
    await this.#of(tenant).follower.reached(size, signal);
  }

  matcher(tenant: TenantId, filters: Filters): (m: Uint8Array) => boolean {
    return matcherOf(filters, this.#of(tenant).pseudonyms);
  }

  async forget(tenant: TenantId, unit: Unit): Promise<void> {
    const followed = this.#ready.get(tenant);
    // Nobody has the files of a tenant open that isn't followed, and they go all the same.
    if (followed === undefined) return removeIndex(this.#deps.world, this.#deps.dir, tenant, unit);
    await followed.follower.forget(unit, (paths) => this.#reader.request<undefined>({ kind: 'close', paths }));
  }

  status(): readonly IndexStatus[] {
    return [...this.#ready.values()].map(({ follower }) => follower.status);
  }

  pseudonyms(tenant: TenantId): Pseudonyms {
    return this.#of(tenant).pseudonyms;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const followed = await Promise.allSettled(this.#followed.values());
    // The reader first: whoever closes a file last folds its write-ahead log into it, and only the writer can.
    await this.#reader[Symbol.asyncDispose]();
    for (const one of followed) if (one.status === 'fulfilled') await one.value.follower[Symbol.asyncDispose]();
    await this.#writer[Symbol.asyncDispose]();
  }

  async #start(tenant: TenantId): Promise<Followed> {
    const key = await pseudonymKey(this.#deps, this.#deps.keysDir, tenant);
    const follower = new Follower({ ...this.#deps, tenant, pseudonymKey: key, writer: this.#writer });
    await follower.start();
    return { follower, pseudonyms: new Pseudonyms(key) };
  }

  #of(tenant: TenantId): Followed {
    const followed = this.#ready.get(tenant);
    if (followed === undefined) throw new ServerError('not-found', `expected a tenant of this installation`);
    return followed;
  }

  async #ask<Answer>(
    follower: Follower,
    make: (cancel: Int32Array) => ReadRequest,
    signal: AbortSignal | undefined,
  ): Promise<Answer> {
    signal?.throwIfAborted();
    if (this.#reader.underWay >= questionsUnderWayMax) {
      throw new ServerError('over-capacity', 'too many searches are waiting; search again shortly', {
        retryAfterMs: 1_000,
      });
    }
    const cancel = new Int32Array(new SharedArrayBuffer(4));
    const onAbort = (): void => {
      Atomics.store(cancel, 0, 1);
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      return await this.#reader.request<Answer>(make(cancel));
    } catch (cause) {
      if (isDamage(cause)) follower.doubt();
      throw new ServerError('unavailable', 'the index could not answer; try again shortly', {
        cause,
        retryAfterMs: 2_000,
      });
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  }
}

function unindexedBy({ status: { size, indexed, failure } }: Follower): number {
  if (failure === undefined) return Math.max(0, size - indexed);
  throw new ServerError(
    'unavailable',
    'the index does not follow the ledger and would answer with less than there is; GET /v1/status says why',
    { retryAfterMs: 2_000 },
  );
}
