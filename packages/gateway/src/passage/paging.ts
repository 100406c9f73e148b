/**
 * The pages of a search: where an answer says how to go on, the client is told a sealed way through the gateway, and who follows it is judged as the search that it continues. What would
 * lead past the gateway, and a page without our seal, is refused.
 */
import type { IncomingHttpHeaders } from 'node:http';

import { BundleLinks, type Relink, relinkBatch, relinkBundle } from '../exposure/bundle-links.ts';
import { isMapped } from '../exposure/json-map.ts';
import { type PageLinks, pathOf } from '../exposure/page-links.ts';
import { type Route, routeOf } from '../exposure/route.ts';
import { type Interaction, recognise } from '../fhir/fhir-interaction.ts';
import { canonicalise, type Parameter } from '../http/canonical.ts';
import { isJson } from '../http/media-type.ts';
import type { Admitted, Carried } from './admission.ts';
import { hasPages, isPageParameter } from './followed-page.ts';
import type { HeldBeginning, HeldWhole } from './forward.ts';
import { openedBody } from './learn.ts';
import { denied } from './refused.ts';

export interface PagingParts {
  readonly pageLinks: PageLinks;
  readonly routes: readonly Route[];
  /** The gateway's, as clients reach it. */
  readonly publicUrl: URL;
  /** How much of an answer is held. */
  readonly exposureBytesMax: number;
  /** Names of parameters, in lower case, by which a server finds a page without being told what was searched for. */
  readonly opaqueParameters: ReadonlySet<string>;
}

/** Does it name a page without saying which search that is of? */
export function isOpaque({ name }: Parameter, { opaqueParameters }: Pick<PagingParts, 'opaqueParameters'>): boolean {
  return opaqueParameters.has(name.toLowerCase());
}

/** By what no seal vouches for nobody knows which search would go on. Throws `Refused`. */
export function refuseUnsealed(
  admitted: Admitted,
  { parameters, entries }: Pick<Carried, 'parameters' | 'entries'>,
  parts: Pick<PagingParts, 'opaqueParameters'>,
): void {
  if (isMapped(admitted.interaction)) return;
  const isUnsealed = (parameter: Parameter): boolean => isPageParameter(parameter) || isOpaque(parameter, parts);
  const own = admitted.page !== undefined ? [] : parameters;
  if (own.some(isUnsealed) || entries.some((entry) => entry.parameters.some(isUnsealed)))
    throw denied({ ...admitted, parameters }, 'page-refused', 'page-unsealed');
}

/** Who asked what, and where. */
export interface Exchange {
  readonly admitted: Admitted;
  readonly carried: Carried;
  /** Of the upstream. */
  readonly origins: readonly string[];
  /** The one of them that was asked. */
  readonly origin: string | undefined;
}

/** The answer with the gateway's links in place of the upstream's; undefined where one of them can't be followed through it. */
export function pagesThroughGateway(
  held: HeldWhole | HeldBeginning,
  exchange: Exchange,
  parts: PagingParts,
): HeldWhole | HeldBeginning | undefined {
  const { admitted, carried } = exchange;
  const { interaction } = admitted;
  const batch = interaction.name === 'batch';
  if (isMapped(interaction) || !(batch || hasPages(interaction))) return held;
  const relink = relinkOf(
    { ...exchange, interaction, parameters: carried.parameters, clear: isClear(admitted) },
    parts,
  );
  if (held.status >= 300 && held.status < 400) return redirected(held, relink);
  // What was only taken on has no pages yet.
  if (held.status >= 400 || held.status === 202) return held;
  // The same links in fields of the answer, for clients that look there.
  const { link: _link, 'content-location': _location, ...headers } = held.headers;
  const type = headers['content-type'];
  if (typeof type !== 'string' || !isJson(type)) return { ...held, headers };
  if (held.kind === 'beginning') return batch ? { ...held, headers } : relinked({ ...held, headers }, relink);
  const body = openedBody(held, parts.exposureBytesMax);
  if (batch && (body === undefined || !carried.entries.some((entry) => hasPages(entry.interaction))))
    return { ...held, headers };
  // The API was asked for plain bytes; its links would lead past the gateway.
  if (body === undefined) return undefined;
  const changed = batch
    ? relinkBatch(body, (position) => ofEntry(exchange, position, parts))
    : relinkBundle(body, relink);
  if (changed === undefined) return undefined;
  return changed === body ? { ...held, headers } : { ...held, headers: ofChanged(headers), body: changed };
}

/** Whoever follows it goes where a page would be, and what was searched for by POST would stand in its URL. */
function redirected(held: HeldWhole | HeldBeginning, relink: Relink): HeldWhole | HeldBeginning | undefined {
  const { location } = held.headers;
  if (location === undefined) return held;
  // Said twice, it is a list.
  const moved = typeof location === 'string' ? relink({ relation: 'next', url: location }) : undefined;
  return moved === undefined ? undefined : { ...held, headers: { ...held.headers, location: String(moved.url) } };
}

/** Of one that is too large to hold: a link is held until it ends, wherever it stands. */
function relinked(held: HeldBeginning, relink: Relink): HeldBeginning | undefined {
  const encoding = held.headers['content-encoding'] ?? 'identity';
  const trial = new BundleLinks(relink);
  const beginning = encoding === 'identity' ? trial.change(held.beginning) : undefined;
  if (beginning === undefined) return undefined;
  if (trial.broken) return held;
  const links = new BundleLinks(relink);
  return {
    ...held,
    headers: ofChanged(held.headers),
    streamTo: async (response, tap) => {
      const end = await held.streamTo(response, tap, (chunk) => links.change(chunk));
      return { ...end, bytes: end.bytes + links.addedBytes };
    },
  };
}

/** What a field says about the bytes that came is not so any more. */
function ofChanged(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !aboutBytes.has(name)));
}

const aboutBytes: ReadonlySet<string> = new Set([
  'content-digest',
  'content-encoding',
  'content-length',
  'content-md5',
  'digest',
  'etag',
  'last-modified',
  'repr-digest',
]);

function ofEntry(exchange: Exchange, position: number, parts: PagingParts): Relink | undefined {
  const entry = exchange.carried.entries[position];
  if (entry === undefined || !hasPages(entry.interaction)) return undefined;
  return relinkOf({ ...exchange, ...entry, clear: false }, parts);
}

/** The client itself put what it searches for into a URL: there it may stand once more. */
function isClear({ page, captured, interaction }: Admitted): boolean {
  return page === undefined && !interaction.form && captured.method === 'GET';
}

function relinkOf(
  search: Exchange & {
    readonly interaction: Interaction;
    readonly parameters: readonly Parameter[];
    readonly clear: boolean;
  },
  { pageLinks, publicUrl, routes }: PagingParts,
): Relink {
  const { admitted, interaction, parameters, clear } = search;
  const path = pathOf(interaction);
  const prefix = routeOf(routes, path)?.prefix ?? '';
  const publicBase = publicUrl.href.replace(/\/+$/, '');
  const origins = [...search.origins, publicUrl.origin];
  // Of several that are alike only this one may know the page.
  const origin = search.origins.length > 1 ? search.origin : undefined;
  return (link) => {
    if (typeof link.url !== 'string') return link;
    // Nobody goes on by it, so it need not end here.
    const bare = link.relation === 'self' ? { ...link, url: publicBase + path } : undefined;
    const target = targetOf(link.url, { path, prefix, origins });
    const continued = target === undefined ? undefined : ofTarget(target, { interaction, prefix });
    if (target === undefined || continued === undefined) return bare ?? (paging.has(link.relation) ? undefined : link);
    if (clear && link.relation === 'self' && isBelow(target, prefix)) return { ...link, url: publicBase + target };
    const names = new Set(parameters.map(({ name }) => name));
    const all = [...parameters, ...continued.filter(({ name }) => !names.has(name))];
    const actor = admitted.actor.id;
    const sealed = pageLinks.seal({ target, origin, actor, parameters: all }, interaction, admitted.captured.timeMs);
    // What was searched for by POST can be longer than any URL.
    return sealed === undefined ? bare : { ...link, url: publicBase + sealed };
  };
}

/** R4 §3.1.1.6, and how some spell them. */
const paging: ReadonlySet<unknown> = new Set(['first', 'prev', 'previous', 'next', 'last']);

/**
 * Path and query at the upstream; undefined for what leads elsewhere. An API often calls itself by another name than the gateway reaches it by: below the route's prefix the name
 * does not matter, since it is asked where it always is.
 */
function targetOf(
  url: string,
  { path, prefix, origins }: { readonly path: string; readonly prefix: string; readonly origins: readonly string[] },
): string | undefined {
  const absolute = /^[A-Za-z][A-Za-z0-9+.-]*:|^\/\//.test(url);
  const from = url.startsWith('?') ? path + url : url.startsWith('/') ? url : `${prefix}/${url}`;
  const parsed = URL.parse(absolute ? url : `http://upstream.invalid${from}`);
  if (parsed === null || !/^https?:$/.test(parsed.protocol)) return undefined;
  const target = parsed.pathname + parsed.search;
  return !absolute || origins.includes(parsed.origin) || isBelow(target, prefix) ? target : undefined;
}

function isBelow(target: string, prefix: string): boolean {
  return target === prefix || ['/', '?'].some((next) => target.startsWith(prefix + next));
}

/** What a link says itself: its parameters, for they are judged as well; undefined where it goes on with something else than what was searched for. */
function ofTarget(
  target: string,
  { interaction, prefix }: { readonly interaction: Interaction; readonly prefix: string },
): readonly Parameter[] | undefined {
  const canonical = canonicalise(target);
  if (canonical.kind === 'refused') return [];
  const { path, parameters } = canonical;
  if (!isBelow(path, prefix)) return parameters;
  const segments = path.length <= prefix.length + 1 ? [] : path.slice(prefix.length + 1).split('/');
  const recognition = recognise({ method: 'GET', prefix, segments, parameters });
  const type = recognition.kind === 'interaction' ? recognition.interaction.type : undefined;
  // Some servers keep a page as a Bundle of its own.
  const other = type !== undefined && interaction.type !== undefined && type !== interaction.type && type !== 'Bundle';
  return other ? undefined : parameters;
}
