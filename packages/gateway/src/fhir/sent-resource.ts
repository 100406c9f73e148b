/**
 * Is the resource that is sent the one that its path names? What is judged and recorded is the path; an API that heeds the body instead would create or replace something else
 * (R4 §3.1.0.8 and §3.1.0.4 have it refuse that, and not every one does).
 */
import type { Interaction } from './fhir-interaction.ts';
import { isObject } from './reference.ts';

/** Only of what is written whole: a patch and the parameters of an operation are no resource of their path. */
export function isAnother({ name, type, id }: Pick<Interaction, 'name' | 'type' | 'id'>, sent: unknown): boolean {
  if (name !== 'create' && name !== 'update') return false;
  if (!isObject(sent)) return true;
  for (const key of Object.keys(sent)) {
    const lower = key.toLowerCase();
    // Parsers that don't heed case would take it.
    if ((lower === 'resourcetype' && key !== 'resourceType') || (lower === 'id' && key !== 'id')) return true;
  }
  if (sent.resourceType !== undefined && sent.resourceType !== type) return true;
  return name === 'update' && id !== undefined && sent.id !== undefined && sent.id !== id;
}
