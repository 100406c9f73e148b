/** Where a route wants it, what is searched for stands in no URL: no proxy, browser or log on the way gets to see it. */
import { type Route, routeOf } from '../exposure/route.ts';
import type { Interaction } from '../fhir/fhir-interaction.ts';
import { isAboutPatients } from '../fhir/fhir-types.ts';
import type { Parameter } from '../http/canonical.ts';
import { asksAboutOthers } from '../policy/narrowing.ts';

/** They say how the result is to look, and nothing about anybody in it (R4 §3.1.1.5). */
const shaping: ReadonlySet<string> = new Set([
  '_contained',
  '_containedType',
  '_count',
  '_elements',
  '_format',
  '_include',
  '_lastUpdated',
  '_maxresults',
  '_pretty',
  '_revinclude',
  '_score',
  '_since',
  '_sort',
  '_summary',
  '_total',
  '_type',
]);

/** `parameters` are those of the URL. The condition of a change stands there as well: it can be sent as an entry of a batch. */
export function mustBePosted(
  { routes }: { readonly routes: readonly Route[] },
  asked: { readonly path: string; readonly interaction: Interaction; readonly parameters: readonly Parameter[] },
): boolean {
  const { path, interaction, parameters } = asked;
  const route = routeOf(routes, path);
  if (route?.kind !== 'fhir' || route.urlParameters === undefined) return false;
  const { urlParameters } = route;
  const { name, operation, type } = interaction;
  if (name !== 'search' && !operation.startsWith('conditional-')) return false;
  if (type !== undefined && !isAboutPatients(type)) return asksAboutOthers(parameters);
  return !parameters.every(({ name }) => {
    const colon = name.indexOf(':');
    const bare = colon === -1 ? name : name.slice(0, colon);
    const modifier = colon === -1 ? '' : name.slice(colon + 1);
    return shaping.has(bare) ? !modifier.includes('.') : urlParameters.has(bare) && keepsValue.test(modifier);
  });
}

/** None, a type, or whether there is one. By any other the value is a name, a number or a text; and behind a type a chain may go on: `patient:Patient.name`. */
const keepsValue = /^(?:[A-Z][A-Za-z]*|missing|not)?$/;
