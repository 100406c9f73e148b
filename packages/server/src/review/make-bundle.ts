/**
 * Makes bundles of evidence (docs/bundle.md): chooses events, opens them, and gives the contents a digest that the maker's own event names. That event must be
 * durable before anything leaves; only then can the proof be made, which covers it too. So a bundle is made in two steps, and what lies between is the caller's.
 */
import { createHash } from 'node:crypto';
import {
  type BundleContents,
  encodeContents,
  encodeProof,
  evidenceCharsMax,
  hashLeaf,
  joinEvidence,
  pageDigest,
  parseCheckpoint,
  splitPage,
  type Target,
  type TenantId,
} from '@watchglass/record';
import { ServerError } from '../errors.ts';
import type { Indexes } from '../indexes/indexes.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { readEvents, shreddedEvents, statementsOf } from './bundle-parts.ts';
import { type BundleRequest, parseBundleRequest, tooMany } from './bundle-request.ts';
import { type ChooseDeps, type ChosenEvents, chooseEvents } from './choose-events.ts';
import { describeQuery } from './describe-query.ts';
import { namesOf } from './query.ts';
import { showEvents } from './show-fields.ts';
import { targetsOf } from './targets-of.ts';

/** Ranges named in the maker's event. */
const rangesNamedMax = 50;

export interface BundleDeps extends ChooseDeps {
  readonly ledger: Pick<
    Ledger,
    'head' | 'read' | 'open' | 'leafAt' | 'shreds' | 'statements' | 'resource' | 'proveAll' | 'vkeys' | 'leafType'
  >;
  readonly indexes: Pick<Indexes, 'find' | 'reached' | 'matcher' | 'pseudonyms'>;
  /** The page without evidence; undefined where it is not built. */
  readonly page: string | undefined;
  /** The newest checkpoint with cosignatures, and the witnesses' verifier keys. */
  readonly cosigned?: (tenant: TenantId) => Promise<Cosigned | undefined>;
}

export interface Cosigned {
  readonly note: string;
  readonly witnesses: readonly string[];
}

export interface BundleMaker {
  /** @throws ServerError `input-invalid`, `query-invalid`, `not-found`, `bundle-too-large`, `withholding-refused`, `shredded`, `unavailable` */
  prepare(asked: {
    readonly tenant: TenantId;
    readonly input: unknown;
    readonly by: BundleContents['by'];
    readonly signal: AbortSignal;
  }): Promise<PreparedBundle>;
}

export interface PreparedBundle {
  readonly count: number;
  /** For the maker's event: names of filters, what was asked by pseudonym, and the digest of the contents. */
  readonly filters: readonly string[];
  readonly targets: readonly Target[];
  readonly purpose: string;
  readonly reason: string;
  readonly fileName: string;
  /** The file, once the maker's event is durable at this index. */
  complete(makerIndex: number): Promise<AsyncIterable<string>>;
}

export function createBundleMaker(deps: BundleDeps): BundleMaker {
  return {
    async prepare({ tenant, input, by, signal }) {
      const request = parseBundleRequest(input);
      if (deps.page === undefined)
        throw new ServerError('unavailable', 'the page that bundles are put into is not built; build the console');
      const { before, after } = splitPage(deps.page);
      const chosen = await chooseEvents(deps, tenant, request.events, signal);
      const cosigned = await cosignedOf(deps, tenant);
      const contents = await contentsOf({ deps, tenant, request, chosen, by, signal, cosigned, page: deps.page });
      const text = encodeContents(contents);
      if (text.length > evidenceCharsMax) throw tooMany();
      const digest = createHash('sha256').update(text).digest('hex');
      return {
        count: contents.events.length,
        ...auditOf(deps, tenant, request, digest),
        purpose: request.purpose,
        reason: request.reason,
        fileName: `evidence-${tenant}-${contents.made.replaceAll(/[-:]|\.\d+/g, '')}.html`,
        async complete(makerIndex) {
          const proof = await proofOf(deps, tenant, { contents, makerIndex });
          return pieces([before, joinEvidence(text, proof), after]);
        },
      };
    },
  };
}

async function contentsOf(parts: {
  readonly deps: BundleDeps;
  readonly tenant: TenantId;
  readonly request: BundleRequest;
  readonly chosen: ChosenEvents;
  readonly by: BundleContents['by'];
  readonly signal: AbortSignal;
  readonly cosigned: Cosigned | undefined;
  readonly page: string;
}): Promise<BundleContents> {
  const { deps, tenant, request, chosen, by, cosigned } = parts;
  const leafType = deps.ledger.leafType(tenant);
  const { opened, shredded, shreds } = await readEvents(deps.ledger, tenant, chosen.indexes, parts.signal);
  const shown = showEvents(opened, request.withhold, leafType);
  const statements = await statementsOf(deps.ledger, tenant);
  const names = deps.indexes.pseudonyms(tenant);
  const filters =
    request.events.kind === 'matching'
      ? describeQuery(request.events.filters, shown, names)
      : [['indexes', request.events.asked.join(', ')] as const];
  return {
    origin: parseCheckpoint(deps.ledger.head(tenant).checkpoint).origin,
    tenant,
    leafType,
    made: new Date(deps.world.clock.now()).toISOString(),
    by,
    purpose: { code: request.purpose, reason: request.reason },
    query: {
      ...chosen.how,
      filters,
      ...(request.events.kind === 'matching' ? { shredded: await shreddedEvents(deps.ledger, tenant) } : {}),
    },
    withheld: request.withhold,
    vkeys: [...deps.ledger.vkeys(tenant)],
    witnesses: cosigned?.witnesses ?? [],
    cosigned: cosigned?.note ?? '',
    ...(statements === undefined ? {} : { statements }),
    ...(shreds.length === 0 ? {} : { shreds }),
    page: pageDigest(parts.page),
    events: [...shown, ...shredded].sort((a, b) => a.index - b.index),
  };
}

/** A checkpoint of a size that the log hasn't reached yet in our eyes is left for the next bundle. */
async function cosignedOf(deps: BundleDeps, tenant: TenantId): Promise<Cosigned | undefined> {
  const cosigned = await deps.cosigned?.(tenant);
  if (cosigned === undefined) return undefined;
  const { size } = parseCheckpoint(cosigned.note);
  return size > 0n && Number(size) <= deps.ledger.head(tenant).size ? cosigned : undefined;
}

async function proofOf(
  { ledger }: BundleDeps,
  tenant: TenantId,
  { contents, makerIndex }: { readonly contents: BundleContents; readonly makerIndex: number },
): Promise<string> {
  const { r, m, leaf } = await ledger.open(tenant, makerIndex);
  const since = contents.cosigned === '' ? undefined : Number(parseCheckpoint(contents.cosigned).size);
  const shreds = (contents.shreds ?? []).map(({ done }) => done.index);
  const indexes = [...new Set([...contents.events.map(({ index }) => index), ...shreds, makerIndex])].sort(
    (a, b) => a - b,
  );
  const { hashes, growth, checkpoint } = await ledger.proveAll(tenant, indexes, since);
  const maker = { index: makerIndex, leaf: hashLeaf(leaf), r, m: Buffer.from(m).toString('utf8') };
  return encodeProof({ maker, hashes, growth, checkpoint });
}

function auditOf(
  { indexes }: BundleDeps,
  tenant: TenantId,
  { events }: BundleRequest,
  digest: string,
): Pick<PreparedBundle, 'filters' | 'targets'> {
  const bundle: Target = { type: 'Bundle', id: digest, role: 'object' };
  if (events.kind === 'matching')
    return {
      filters: namesOf(events.filters),
      targets: [bundle, ...targetsOf(events.filters, indexes.pseudonyms(tenant))],
    };
  const named = events.asked
    .slice(0, rangesNamedMax)
    .map((range): Target => ({ type: 'Event', id: range, role: 'query' }));
  return { filters: ['indexes'], targets: [bundle, ...named] };
}

const pieceChars = 64 * 1024;

/** In pieces, so that a slow reader holds no second copy of the whole. */
async function* pieces(texts: readonly string[]): AsyncIterable<string> {
  for (const text of texts) {
    for (let at = 0; at < text.length; ) {
      let end = Math.min(at + pieceChars, text.length);
      // Never between the halves of a surrogate pair: each piece becomes bytes by itself.
      if (end < text.length && (text.charCodeAt(end - 1) & 0xfc00) === 0xd800) end--;
      yield text.slice(at, end);
      at = end;
    }
  }
}
