/**
 * Where a link of an answer leads, as the client is told: a sealed way through the gateway that goes on with the search, the plain way where the client itself said as much, nowhere, or
 * where it led before, to others.
 */
import type { PageLinks } from '../exposure/page-links.ts';
import { pathOf } from '../exposure/page-links.ts';
import { type Route, routeOf } from '../exposure/route.ts';
import { type Interaction, recognise } from '../fhir/fhir-interaction.ts';
import type { Json } from '../fhir/reference.ts';
import { canonicalise, type Parameter } from '../http/canonical.ts';
import type { Admitted, Carried } from './admission.ts';
import { isPageParameter } from './followed-page.ts';

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

/** Who asked what, and where. */
export interface Exchange {
  readonly admitted: Admitted;
  readonly carried: Carried;
  /** Of the upstream. */
  readonly origins: readonly string[];
  /** The one of them that was asked. */
  readonly origin: string | undefined;
}

export function publicBaseOf({ publicUrl }: Pick<PagingParts, 'publicUrl'>): string {
  return publicUrl.href.replace(/\/+$/, '');
}

interface Places {
  readonly path: string;
  readonly prefix: string;
  /** Of the API and of the gateway. */
  readonly origins: readonly string[];
}

export function placesOf({ origins }: Exchange, path: string, { routes, publicUrl }: PagingParts): Places {
  return { path, prefix: routeOf(routes, path)?.prefix ?? '', origins: [...origins, publicUrl.origin] };
}

/** Of the Bundle that was asked for. Undefined where it can't be followed through the gateway. */
export type Lead = (link: Json) => Json | undefined;

export function leadOf(
  search: Exchange & {
    readonly interaction: Interaction;
    readonly parameters: readonly Parameter[];
    readonly clear: boolean;
  },
  parts: PagingParts,
): Lead {
  const { admitted, interaction, parameters, clear } = search;
  const path = pathOf(interaction);
  const places = placesOf(search, path, parts);
  const { prefix } = places;
  const publicBase = publicBaseOf(parts);
  // Of several that are alike only this one may know the page.
  const origin = search.origins.length > 1 ? search.origin : undefined;
  const sealed = (target: string, continued: readonly Parameter[]): string | undefined => {
    const names = new Set(parameters.map(({ name }) => name));
    const all = [...parameters, ...continued.filter(({ name }) => !names.has(name))];
    const actor = admitted.actor.id;
    return parts.pageLinks.seal({ target, origin, actor, parameters: all }, interaction, admitted.captured.timeMs);
  };
  return (link) => {
    if (typeof link.url !== 'string') return link;
    const target = targetOf(link.url, places);
    const continued = target === undefined ? undefined : ofTarget(target, { interaction, prefix });
    // Nobody goes on by it, so it need not end here.
    const bare = link.relation === 'self' ? { ...link, url: publicBase + path } : undefined;
    if (target === undefined || continued === undefined) {
      if (bare !== undefined || paging.has(link.relation)) return bare;
      // To something else: as good as asking for it.
      return target !== undefined && isBelow(target, prefix) ? { ...link, url: publicBase + target } : link;
    }
    if (clear && link.relation === 'self' && isBelow(target, prefix)) return { ...link, url: publicBase + target };
    const url = sealed(target, continued);
    // What was searched for by POST can be longer than any URL.
    return url === undefined ? bare : { ...link, url: publicBase + url };
  };
}

/**
 * Of a Bundle inside of the answer, which may be a resource that anybody wrote: it is never sealed, or a link that somebody planted there would go on with a search that its reader may
 * do and its target not. Where it says all that it asks for, it is the plain way to ask for that; else it leads nowhere. One of others stays.
 */
export function plainly(link: Json, exchange: Exchange, parts: PagingParts): Json {
  const { url, relation } = link;
  // Of other resources something else may be called a link.
  if (typeof url !== 'string' || (typeof relation !== 'string' && !isAbsolute(url))) return link;
  const { interaction } = exchange.admitted;
  const places = placesOf(exchange, pathOf(interaction), parts);
  const target = targetOf(url, places);
  if (target === undefined) return link;
  const canonical = canonicalise(target);
  // What was searched for by POST must not be said in a URL.
  const says =
    !interaction.form &&
    isBelow(target, places.prefix) &&
    canonical.kind === 'canonical' &&
    !canonical.parameters.some(
      (parameter) => isPageParameter(parameter) || parts.opaqueParameters.has(parameter.name.toLowerCase()),
    );
  return says ? { ...link, url: publicBaseOf(parts) + target } : withoutUrl(link);
}

/** R4 §3.1.1.6, and how some spell them. */
const paging: ReadonlySet<unknown> = new Set(['first', 'prev', 'previous', 'next', 'last']);

/**
 * Path and query at the upstream; undefined for what leads elsewhere. An API often calls itself by another name than the gateway reaches it by: below the route's prefix the name
 * does not matter, since it is asked where it always is.
 */
function targetOf(url: string, { path, prefix, origins }: Places): string | undefined {
  const absolute = isAbsolute(url);
  const from = url.startsWith('?') ? path + url : url.startsWith('/') ? url : `${prefix}/${url}`;
  const parsed = URL.parse(absolute ? url : `http://upstream.invalid${from}`);
  if (parsed === null || !/^https?:$/.test(parsed.protocol)) return undefined;
  const target = parsed.pathname + parsed.search;
  return !absolute || origins.includes(parsed.origin) || isBelow(target, prefix) ? target : undefined;
}

function isAbsolute(url: string): boolean {
  return /^[A-Za-z][A-Za-z0-9+.-]*:|^\/\//.test(url);
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
  const operation = interaction.name === 'operation';
  // What an operation gives may be a Bundle that somebody wrote: it goes on with that operation, or by a page that the API knows.
  if (!isBelow(path, prefix)) return operation ? undefined : parameters;
  const segments = path.length <= prefix.length + 1 ? [] : path.slice(prefix.length + 1).split('/');
  const recognition = recognise({ method: 'GET', prefix, segments, parameters });
  const type = recognition.kind === 'interaction' ? recognition.interaction.type : undefined;
  // Some servers keep a page as a Bundle of its own.
  const other = type !== undefined && interaction.type !== undefined && type !== interaction.type && type !== 'Bundle';
  const elsewhere = operation && type !== undefined && type !== 'Bundle' && path !== pathOf(interaction);
  return other || elsewhere ? undefined : parameters;
}

export function withoutUrl(link: Json): Json {
  return Object.fromEntries(Object.entries(link).filter(([name]) => name !== 'url'));
}
