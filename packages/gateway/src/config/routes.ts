/** The section of `gateway.yaml` that says which APIs stand behind the gateway, and how their requests are understood: `routes`. */
import { z } from 'zod';
import { GatewayError } from '../errors.ts';
import { compileJsonMap, jsonMapSchema } from '../exposure/json-map.ts';
import type { Route } from '../exposure/route.ts';
import { parseStrictYaml } from '../policy/strict-yaml.ts';
import type { ConfigFiles } from './identity.ts';

export interface RouteSection {
  readonly prefix: string;
  readonly kind: 'fhir' | 'json';
  readonly map?: string | undefined;
  readonly search?: 'any' | 'post' | undefined;
  readonly urlParameters?: readonly string[] | undefined;
  readonly upstream?: string | undefined;
  readonly websocket: boolean;
}

const routeSchema: z.ZodType<RouteSection> = z
  .strictObject({
    prefix: z.string().regex(/^(?:\/[A-Za-z0-9_-]+)*$/, { error: "expected a path such as /fhir, or '' for the root" }),
    kind: z.enum(['fhir', 'json'], { error: 'expected kind: fhir or kind: json' }),
    map: z.string().min(1).optional(),
    search: z.enum(['any', 'post'], { error: 'expected search: any or search: post' }).optional(),
    urlParameters: z
      .array(z.string().regex(/^[A-Za-z_][A-Za-z0-9_-]{0,63}$/, { error: 'expected the name of a search parameter' }))
      .max(64)
      .optional(),
    upstream: z.string().min(1).max(63).optional(),
    websocket: z.boolean().default(false),
  })
  .refine(({ kind, map }) => (kind === 'json') === (map !== undefined), {
    error: 'expected map, a file, with kind: json, and only there',
  })
  .refine(({ kind, search }) => kind === 'fhir' || search === undefined, {
    error: 'expected search with kind: fhir only',
  })
  .refine(({ search, urlParameters }) => search === 'post' || urlParameters === undefined, {
    error: 'expected urlParameters with search: post only',
  });

export const routesSchema: z.ZodType<readonly RouteSection[]> = z
  .array(routeSchema)
  .min(1)
  .refine((routes) => new Set(routes.map(({ prefix }) => prefix)).size === routes.length, {
    error: 'expected each prefix once',
  });

/** The longest prefix first. */
export function readRoutes(routes: readonly RouteSection[], { file, from, read }: ConfigFiles): readonly Route[] {
  return routes
    .map(({ kind, map = '', search, urlParameters, ...rest }): Route => {
      if (kind === 'fhir')
        return search === 'post' ? { kind, ...rest, urlParameters: new Set(urlParameters) } : { kind, ...rest };
      const options = { schema: jsonMapSchema, file: from(map), code: 'config-invalid' } as const;
      const compiled = compileJsonMap(parseStrictYaml(read(map, 'routes[].map'), options));
      const lasting = [...compiled.operations.values()].flat().find(({ name }) => name === 'subscribe');
      if (lasting !== undefined && !rest.websocket)
        throw new GatewayError(
          'config-invalid',
          `${file}: routes: expected websocket: true with ${from(map)}, which has subscribe at ${lasting.template}`,
        );
      return { kind, ...rest, map: compiled };
    })
    .sort((a, b) => b.prefix.length - a.prefix.length);
}
