/** `watchglass-hospital serve`: makes or reads the hospital, writes the roster, and serves FHIR until told to leave. */
import { readBulk, subjectsIn } from './bulk.ts';
import { createFhirHandler } from './fhir/handler.ts';
import { type FhirServer, serveFhir } from './fhir/http.ts';
import { Store } from './fhir/store.ts';
import type { Resource } from './resource.ts';
import { type Roster, rosterOf, writeRoster } from './roster.ts';
import type { Day } from './world/calendar.ts';
import { generateHospital, type Hospital, hospitalAround } from './world/hospital.ts';

export interface WorldOptions {
  readonly seed: string;
  readonly today: Day;
  readonly patients: number;
  readonly staff: number;
  /** A directory of bulk FHIR NDJSON, to serve instead of generated patients. */
  readonly data: string | undefined;
}

export interface ServeOptions extends WorldOptions {
  readonly host: string;
  readonly port: number;
  readonly publicUrl?: string | undefined;
  readonly rosterOut?: string | undefined;
  readonly now: () => Date;
  readonly onFailure: (error: unknown) => void;
}

export interface World {
  readonly hospital: Hospital;
  readonly resources: readonly Resource[];
  readonly roster: Roster;
}

/** The hospital as the options describe it, not yet served. */
export async function makeWorld(options: WorldOptions): Promise<World> {
  const { seed, today, staff } = options;
  if (options.data === undefined) {
    const hospital = generateHospital({ seed, today, staff, patients: options.patients });
    return { hospital, resources: hospital.resources, roster: rosterOf(hospital, hospital.resources) };
  }
  const records = await readBulk(options.data);
  const hospital = hospitalAround({ seed, today, staff, subjects: subjectsIn(records, today) });
  const resources = [...hospital.resources, ...records];
  return { hospital, resources, roster: rosterOf(hospital, resources) };
}

export async function startHospital(options: ServeOptions): Promise<FhirServer & { readonly roster: Roster }> {
  const { resources, roster } = await makeWorld(options);
  const store = new Store(options.now);
  for (const resource of resources) store.load(resource);
  const server = await serveFhir({
    handler: createFhirHandler(store, options.now),
    host: options.host,
    port: options.port,
    publicUrl: options.publicUrl,
    onFailure: options.onFailure,
  });
  try {
    if (options.rosterOut !== undefined) await writeRoster(options.rosterOut, roster);
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
  return { url: server.url, roster, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}
