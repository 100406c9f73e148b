/**
 * Finds patients for whoever has to say which one an application is for: by the gateway, with a token of that person for a minute. So it is the gateway that decides whether
 * they may look, and its record that says whom they looked at; the issuer keeps no patients.
 */
import { httpCall } from '../world/http-call.ts';

const answerBytesMax = 1024 * 1024;
const deadlineMs = 8_000;
const foundMax = 10;
export const termCharsMax = 64;
const idPattern = /^[A-Za-z0-9\-.]{1,64}$/;

export interface FoundPatient {
  readonly id: string;
  readonly name: string;
  readonly birthDate?: string;
}

export type Found =
  | { readonly kind: 'found'; readonly patients: readonly FoundPatient[] }
  /** The gateway lets this person not look, or not so. */
  | { readonly kind: 'refused' }
  | { readonly kind: 'unavailable' };

export interface PatientSearch {
  /** By a part of the name, or by the id. */
  find(term: string, token: string): Promise<Found>;
  /** Whether this person may read this patient's record. */
  read(id: string, token: string): Promise<Found>;
}

export function createPatientSearch(settings: { readonly fhirUrl: string; readonly ca?: string }): PatientSearch {
  const ask = async (path: string, token: string, form?: URLSearchParams): Promise<Found> => {
    try {
      const { status, text } = await httpCall(
        {
          method: form === undefined ? 'GET' : 'POST',
          url: new URL(settings.fhirUrl + path),
          headers: {
            accept: 'application/fhir+json',
            authorization: `Bearer ${token}`,
            ...(form === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
          },
          ...(form === undefined ? {} : { body: form.toString() }),
          ...(settings.ca === undefined ? {} : { ca: settings.ca }),
        },
        { signal: AbortSignal.timeout(deadlineMs), bytesMax: answerBytesMax },
      );
      if (status === 404 || status === 410) return { kind: 'found', patients: [] };
      if (status === 401 || status === 403) return { kind: 'refused' };
      return status === 200 ? { kind: 'found', patients: patientsIn(JSON.parse(text)) } : { kind: 'unavailable' };
    } catch {
      return { kind: 'unavailable' };
    }
  };
  return {
    async find(term, token) {
      // What is typed stands in no URL.
      const looks = idPattern.test(term) && /\d/.test(term) ? { _id: term } : { name: term };
      return ask('/Patient/_search', token, new URLSearchParams({ ...looks, _count: String(foundMax) }));
    },
    async read(id, token) {
      return idPattern.test(id) ? ask(`/Patient/${id}`, token) : { kind: 'found', patients: [] };
    },
  };
}

function patientsIn(answer: unknown): readonly FoundPatient[] {
  const { resourceType, entry } = answer as { resourceType?: unknown; entry?: unknown };
  const resources =
    resourceType === 'Bundle'
      ? (Array.isArray(entry) ? entry : []).map((one) => (one as { resource?: unknown } | null)?.resource)
      : [answer];
  return resources.flatMap((one) => patientOf(one) ?? []).slice(0, foundMax);
}

function patientOf(resource: unknown): FoundPatient | undefined {
  const { resourceType, id, name, birthDate } = (resource ?? {}) as Readonly<Record<string, unknown>>;
  if (resourceType !== 'Patient' || typeof id !== 'string' || !idPattern.test(id)) return undefined;
  return {
    id,
    name: nameOf(name) ?? 'No name',
    ...(typeof birthDate === 'string' ? { birthDate: birthDate.slice(0, 10) } : {}),
  };
}

function nameOf(names: unknown): string | undefined {
  const [first] = (Array.isArray(names) ? names : []) as { text?: unknown; given?: unknown; family?: unknown }[];
  const given = Array.isArray(first?.given) ? first.given.filter((part) => typeof part === 'string') : [];
  const parts =
    typeof first?.text === 'string'
      ? [first.text]
      : [...given, first?.family].filter((part) => typeof part === 'string');
  const said = parts.join(' ').replaceAll(/\p{C}/gu, '').slice(0, 120);
  return said === '' ? undefined : said;
}
