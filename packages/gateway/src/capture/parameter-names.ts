/**
 * Names of parameters as they may stand on record. Whoever asks writes them: `?MRN12345` has a person's number for its name. So only names that mean something are repeated, those of
 * FHIR, of the map of a JSON API and of the configuration; of all others it is said that there were some.
 */
import { isMapped } from '../exposure/json-map.ts';
import type { Interaction } from '../fhir/fhir-interaction.ts';
import { isFhirParameter } from '../fhir/search-parameters.ts';
import { parametersMax } from '../http/canonical.ts';

/** No parameter is called that: it stands for every name that isn't repeated. */
export const otherParameter = 'other';

export function recordedNames(
  names: readonly string[],
  interaction: Interaction,
  configured: ReadonlySet<string>,
): readonly string[] {
  const known = isMapped(interaction)
    ? (name: string): boolean => interaction.map.patients.some((from) => from.in === 'query' && from.name === name)
    : isFhirParameter;
  const recorded = names.map((name) => (configured.has(name) || known(name) ? name : otherParameter));
  return [...new Set(recorded)].slice(0, parametersMax);
}
