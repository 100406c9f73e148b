/**
 * The people of the demo: made-up staff from the hospital's roster, and one person for each role of Watchglass. They get
 * random passwords at the first start, kept in `keys/`, and access tokens that last a day and are made anew twice a day.
 * What the demo's supervisor needs is written to `DIR/demo/tokens.json`, by rename, readable by its owner only.
 */
import { join } from 'node:path';
import type { TenantId } from '@watchglass/record';
import { z } from 'zod';
import type { Access, NewPerson, Person } from '../access/access.ts';
import { readKeyFile, writeKeyFile } from '../access/key-file.ts';
import { freshPassword } from '../access/passwords.ts';
import { ServerError } from '../errors.ts';
import type { World } from '../world/world.ts';
import type { Issuer } from './issuer.ts';

/** Client id in the tokens of the demo. */
export const demoClientId = 'demo-cli';
const tokenLifetimeSeconds = 24 * 3_600;
const renewPeriodMs = 12 * 3_600_000;
/** Passwords hashed side by side at the first start. */
const addingMax = 4;

export interface DemoOptions {
  readonly world: World;
  readonly access: Access;
  readonly issuer: Pick<Issuer, 'mint'>;
  readonly tenant: TenantId;
  /** The roster, JSON. */
  readonly peopleFile: string;
  readonly keysDir: string;
  /** `DIR/demo`. */
  readonly demoDir: string;
  readonly report: (message: string, error: unknown) => void;
}

type DemoPerson = Pick<NewPerson, 'id' | 'username' | 'name' | 'fhirUser'> & {
  readonly id: string;
  readonly role: string;
  readonly department: string;
};

const watchglassPeople: readonly DemoPerson[] = [
  {
    id: 'wg-po-0001',
    username: 'dana.privacy',
    name: 'Dana Whitfield',
    role: 'privacy-officer',
    department: 'privacy-office',
  },
  { id: 'wg-sa-0001', username: 'sam.security', name: 'Sam Okonkwo', role: 'security-analyst', department: 'security' },
  { id: 'wg-au-0001', username: 'alex.audit', name: 'Alex Lindqvist', role: 'auditor', department: 'internal-audit' },
  {
    id: 'wg-ad-0001',
    username: 'robin.admin',
    name: 'Robin Castellanos',
    role: 'administrator',
    department: 'it-operations',
  },
];

const rosterSchema = z.object({
  staff: z.array(
    z.object({ id: z.string(), username: z.string(), name: z.string(), role: z.string(), department: z.string() }),
  ),
  patients: z.array(z.string()).default([]),
});

/** Adds who is missing, writes `tokens.json`, and renews it until disposed. */
export async function openDemo(options: DemoOptions): Promise<AsyncDisposable> {
  const { world, access } = options;
  const people = [...watchglassPeople, ...(await readRoster(options))];
  const passwords = await keepPasswords(options, people);
  const queue = people.filter(({ id }) => access.people.get(id) === undefined);
  await Promise.all(Array.from({ length: addingMax }, () => addFrom(queue, passwords, options)));
  const keys = await keepWriteKeys(options);

  const write = async (): Promise<void> => {
    const members = await Promise.all(people.map((person) => describe(person, passwords, options)));
    const issuedAt = new Date(world.clock.now()).toISOString();
    const text = JSON.stringify({ people: members, ...keys, tenant: options.tenant, issuedAt }, null, 2);
    await world.disk.makeDirectory(options.demoDir);
    await world.disk.replace(join(options.demoDir, 'tokens.json'), new TextEncoder().encode(`${text}\n`), {
      mode: 0o600,
    });
  };
  await write();
  const timer = world.clock.every(renewPeriodMs, () => {
    write().catch((error: unknown) => options.report('demo: tokens could not be renewed', error));
  });
  return {
    async [Symbol.asyncDispose]() {
      timer.cancel();
    },
  };
}

async function readRoster({ world, peopleFile }: DemoOptions): Promise<readonly DemoPerson[]> {
  const bytes = await world.disk.readFile(peopleFile);
  if (bytes === undefined) {
    throw new ServerError(
      'config-invalid',
      `demo.people: there is no ${peopleFile}; write it with watchglass-hospital roster`,
    );
  }
  try {
    const { staff, patients } = rosterSchema.parse(JSON.parse(new TextDecoder().decode(bytes)));
    const [first] = patients;
    return [
      ...staff.map((member) => ({ ...member, fhirUser: `Practitioner/${member.id}` })),
      ...(first === undefined ? [] : [portalUser(first)]),
    ];
  } catch (error) {
    throw new ServerError(
      'config-invalid',
      `demo.people: ${peopleFile} is not a roster; write it with watchglass-hospital roster`,
      {
        cause: error,
      },
    );
  }
}

/** Somebody who sees a record of their own: the hospital's first patient. */
function portalUser(patient: string): DemoPerson {
  const department = 'portal';
  return {
    id: 'wg-pa-0001',
    username: 'pat.portal',
    name: 'Pat Portal',
    role: 'patient',
    department,
    fhirUser: `Patient/${patient}`,
  };
}

/** The password of each person by id: those of before, and fresh ones for who is new. */
async function keepPasswords(
  options: DemoOptions,
  people: readonly DemoPerson[],
): Promise<ReadonlyMap<string, string>> {
  const { world, access } = options;
  const path = join(options.keysDir, 'demo-people.json');
  const stored = parseStrings(await readKeyFile(world, path));
  const passwords = new Map(Object.entries(stored));
  for (const { id } of people) {
    if (passwords.has(id)) continue;
    passwords.set(id, freshPassword(world));
    // The file was lost while the person stayed: the password has to follow.
    if (access.people.get(id) !== undefined) await access.people.setPassword(id, passwords.get(id) ?? '', 'server');
  }
  if (passwords.size !== Object.keys(stored).length) {
    await writeKeyFile(world, path, JSON.stringify(Object.fromEntries(passwords), null, 2));
  }
  return passwords;
}

async function addFrom(
  queue: DemoPerson[],
  passwords: ReadonlyMap<string, string>,
  options: DemoOptions,
): Promise<void> {
  for (let person = queue.shift(); person !== undefined; person = queue.shift()) {
    const { id, username, name, role, department, fhirUser } = person;
    const password = passwords.get(id) ?? '';
    await options.access.people.add(
      {
        ...{ id, username, name, tenant: options.tenant, roles: [role], department, password },
        ...(fhirUser === undefined ? {} : { fhirUser }),
      },
      'server',
    );
  }
}

/** Two keys, for the people who try things and for the gateway; the same over restarts. */
async function keepWriteKeys(options: DemoOptions): Promise<{ writeKey: string; gatewayWriteKey: string }> {
  const { world, access, tenant } = options;
  const path = join(options.keysDir, 'demo-keys.json');
  const stored = parseStrings(await readKeyFile(world, path));
  const keep = async (name: string, emitter: string): Promise<string> => {
    const secret = stored[name];
    if (secret !== undefined && access.writeKeys.verify(secret) !== undefined) return secret;
    return (await access.writeKeys.create({ tenant, emitter, name }, 'server')).secret;
  };
  const keys = {
    writeKey: await keep('writeKey', 'demo'),
    gatewayWriteKey: await keep('gatewayWriteKey', 'demo-gateway'),
  };
  if (keys.writeKey !== stored.writeKey || keys.gatewayWriteKey !== stored.gatewayWriteKey) {
    await writeKeyFile(world, path, JSON.stringify(keys, null, 2));
  }
  return keys;
}

async function describe(
  { id, role, department }: DemoPerson,
  passwords: ReadonlyMap<string, string>,
  { access, issuer }: DemoOptions,
): Promise<Record<string, unknown>> {
  const person = access.people.get(id) as Person;
  const token = await issuer.mint({ person, clientId: demoClientId, lifetimeSeconds: tokenLifetimeSeconds });
  const { username, name, roles } = person;
  return { id, username, name, password: passwords.get(id), role, roles, department, token };
}

function parseStrings(text: string | undefined): Record<string, string> {
  return text === undefined ? {} : z.record(z.string(), z.string()).parse(JSON.parse(text));
}
