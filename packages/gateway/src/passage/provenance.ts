/**
 * A field that has the API create something besides: `X-Provenance` on a change. Judged like the create that it is.
 */
import type { IncomingMessage } from 'node:http';

import { type Interaction, recognise } from '../fhir/fhir-interaction.ts';
import { type Asker, authorise } from '../policy/authorise.ts';

/** `X-Provenance` creates a Provenance beside the change (R4 Provenance §6.3.4.3): is it theirs to create? Undefined where nothing is. */
export function createsProvenance(
  { request, interaction }: { readonly request: Pick<IncomingMessage, 'headers'>; readonly interaction: Interaction },
  asker: Asker | undefined,
): 'allowed' | 'denied' | undefined {
  if (request.headers['x-provenance'] === undefined || interaction.safe) return undefined;
  const create = recognise({ method: 'POST', prefix: '', segments: ['Provenance'], parameters: [] });
  if (asker === undefined || create.kind !== 'interaction') return 'denied';
  return authorise({ ...asker, interaction: create.interaction, parameters: [] }).kind;
}
