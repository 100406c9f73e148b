/**
 * What comes in over the wire becomes a resource here or is refused: strict UTF-8, JSON no deeper than
 * {@link depthMax}, an object with a resourceType, ids as FHIR spells them. FHIR's own profiles are not validated.
 */
import { isRecord, type Resource } from '../resource.ts';
import { FhirError } from './outcome.ts';

export const bodyBytesMax: number = 4 * 1024 * 1024;
export const depthMax = 64;

export function parseJson(body: Uint8Array): unknown {
  if (body.length === 0) throw new FhirError(400, 'structure', 'expected a body, got none');
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch {
    throw new FhirError(400, 'structure', 'expected UTF-8');
  }
  checkDepth(text);
  try {
    return JSON.parse(text);
  } catch {
    throw new FhirError(400, 'structure', 'expected JSON');
  }
}

function checkDepth(text: string): void {
  let depth = 0;
  let inString = false;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (inString) {
      if (unit === 0x5c) at++;
      else if (unit === 0x22) inString = false;
    } else if (unit === 0x22) inString = true;
    else if (unit === 0x7b || unit === 0x5b) {
      depth++;
      if (depth > depthMax) throw new FhirError(400, 'too-long', `expected JSON no deeper than ${depthMax}`);
    } else if (unit === 0x7d || unit === 0x5d) depth--;
  }
}

export function isId(text: string): boolean {
  return /^[A-Za-z0-9\-.]{1,64}$/.test(text);
}

/** A resource of this type; `id` is what it will be called, and has to agree with one the body carries. */
export function resourceFrom(
  value: unknown,
  type: string,
  id: string | undefined,
): Omit<Resource, 'id'> & { id?: string } {
  if (!isRecord(value)) throw new FhirError(400, 'structure', 'expected a resource as a JSON object');
  if (value.resourceType !== type)
    throw new FhirError(400, 'invalid', `expected resourceType to be ${type}, as in the URL`);
  if (id !== undefined && value.id !== id)
    throw new FhirError(400, 'invalid', 'expected the id in the body to be the id in the URL');
  if (value.meta !== undefined && !isRecord(value.meta))
    throw new FhirError(400, 'structure', 'expected meta to be an object');
  return value as Omit<Resource, 'id'> & { id?: string };
}
