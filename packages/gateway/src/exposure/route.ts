/** One API behind the gateway: the prefix of its paths, and how its requests are understood: as FHIR, or by the map of any other JSON. */
import { type Recognition, recognise, subscription } from '../fhir/fhir-interaction.ts';
import type { Parameter } from '../http/canonical.ts';
import { type ExportLinks, exportSegment } from './export-links.ts';
import { type JsonMap, recogniseMapped } from './json-map.ts';

export type Route = RouteBase &
  (
    | {
        readonly kind: 'fhir';
        /** Parameters that a search for people may have in its URL; undefined where any may stand there. */
        readonly urlParameters?: ReadonlySet<string>;
      }
    | { readonly kind: 'json'; readonly map: JsonMap }
  );

interface RouteBase {
  /** `/fhir`, without a slash at the end; '' for the root. */
  readonly prefix: string;
  /** The API behind it, where that is not the first. */
  readonly upstream?: string | undefined;
  /** Whether its WebSockets are let through: of FHIR the one at `/websocket` below the prefix, of a map those that it names. */
  readonly websocket?: boolean | undefined;
}

/** `routes` are in order, the longest prefix first. */
export function routeOf(routes: readonly Route[], path: string): Route | undefined {
  return routes.find(({ prefix }) => path === prefix || path.startsWith(`${prefix}/`));
}

/** Which interaction a path is. */
export function recogniseIn(
  routes: readonly Route[],
  request: {
    readonly method: string;
    readonly segments: readonly string[];
    readonly parameters: readonly Parameter[];
    readonly links: Pick<ExportLinks, 'recognise'>;
  },
): Recognition {
  const path = `/${request.segments.join('/')}`;
  const route = routeOf(routes, path);
  if (route === undefined) return { kind: 'no-route' };
  const { prefix } = route;
  const segments = path === prefix || path === '/' ? [] : path.slice(prefix.length + 1).split('/');
  const input = { ...request, prefix, segments };
  if (route.kind === 'fhir' && segments[0] === exportSegment && segments.length === 2)
    return request.links.recognise(request.method, prefix, segments[1] ?? '');
  if (route.kind === 'fhir' && route.websocket === true && segments[0] === 'websocket' && segments.length === 1)
    return request.method === 'GET'
      ? { kind: 'interaction', interaction: subscription(prefix) }
      : { kind: 'method-not-allowed', allow: 'GET' };
  return route.kind === 'fhir' ? recognise(input) : recogniseMapped(route.map, input);
}
