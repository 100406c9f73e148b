/**
 * What an interaction is called where it is recorded. Whoever asks writes the name of an operation: only one that everybody knows, or that the policy speaks of, is repeated, and so is
 * every one that was let through, since none is without being named there.
 */
import { isMapped } from '../exposure/json-map.ts';
import type { Interaction } from '../fhir/fhir-interaction.ts';
import { isKnownOperation } from '../fhir/known-operations.ts';

/** Stands for every name that isn't repeated. */
const otherOperation = 'other';

export function recordedNamesOf(
  interaction: Interaction,
  ofPolicy: ReadonlySet<string>,
): Pick<Interaction, 'operation' | 'route'> {
  const { name, operation, route } = interaction;
  const written = name === 'operation' && operation.startsWith('$') && !isMapped(interaction);
  if (!written || isKnownOperation(operation) || ofPolicy.has(operation)) return { operation, route };
  return { operation: otherOperation, route: `${route.slice(0, -operation.length)}{operation}` };
}
