/** A running issuer with two people, for tests: what it recorded, and the way of a browser through its pages. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseTenantId } from '@watchglass/record';
import { TrustedProxies } from '@watchglass/record/source';
import type { Access, OwnEvent, Person } from '../access/access.ts';
import { checkKeysDirectory } from '../access/key-file.ts';
import { openAccess } from '../access/open-access.ts';
import { freePort } from '../free-ports.fixture.ts';
import { realWorld } from '../world/real-world.ts';
import type { Clock } from '../world/world.ts';
import { apiAudience, watchglassScope } from './claims.ts';
import type { IssuerClient } from './issuer-client.ts';
import { loadIssuer } from './load-issuer.ts';
import { openSigningKey } from './signing-key.ts';

export const password = 'correct horse battery';
export const redirectUri = 'http://localhost:1/auth/callback';
const tenant = parseTenantId('clinic');

export interface RunningIssuer extends AsyncDisposable {
  readonly url: string;
  readonly access: Access;
  readonly recorded: OwnEvent[];
  readonly nurse: Person;
  readonly idle: () => Promise<void>;
  /** Stops the process's parts and starts them again over the same files: `access` is another one then. */
  readonly restart: () => Promise<void>;
}

export async function startIssuer(
  clients: readonly IssuerClient[],
  options: { readonly fhirUrl?: string; readonly trustedProxies?: readonly string[]; readonly clock?: Clock } = {},
): Promise<RunningIssuer> {
  const dir = await mkdtemp(join(tmpdir(), 'watchglass-issuer-'));
  const world = { ...realWorld(), ...(options.clock === undefined ? {} : { clock: options.clock }) };
  const keysDir = join(dir, 'keys');
  const url = `http://localhost:${await freePort()}`;
  await checkKeysDirectory(world, keysDir);
  const signingKey = await openSigningKey(world, keysDir);
  const recorded: OwnEvent[] = [];
  const record = async (event: OwnEvent): Promise<void> => {
    recorded.push(event);
  };
  const trust = {
    issuer: url,
    audience: apiAudience,
    algorithms: ['RS256'],
    keys: signingKey.publicKeys,
    knownPeopleOnly: true,
    scope: watchglassScope,
  };
  const open = () => openAccess({ path: join(dir, 'state.sqlite'), keysDir, world, record, trust });
  let access = await open();
  access.tenants.add(tenant);
  const nurse = await access.people.add(
    { username: 'n.abara', name: 'N. Abara', tenant, roles: ['nurse', 'auditor'], password },
    'server',
  );
  const { openIssuer } = await loadIssuer();
  const serve = async () => {
    const made = await openIssuer({
      url,
      world,
      keysDir,
      signingKey,
      people: access.people,
      factors: access.factors,
      logouts: access.logouts,
      issued: access.issued,
      record,
      homeTenant: tenant,
      clients,
      demo: true,
      proxies: new TrustedProxies(options.trustedProxies ?? []),
      ...(options.fhirUrl === undefined ? {} : { smart: { fhirUrl: options.fhirUrl } }),
      report: (message, error) => console.error(message, error),
    });
    await made.listen({ host: '127.0.0.1', port: Number(new URL(url).port) });
    return made;
  };
  let issuer = await serve();
  const stop = async (): Promise<void> => {
    await issuer[Symbol.asyncDispose]();
    await access[Symbol.asyncDispose]();
  };
  return {
    url,
    get access() {
      return access;
    },
    recorded,
    nurse,
    idle: () => issuer.idle(),
    async restart() {
      await stop();
      access = await open();
      issuer = await serve();
    },
    async [Symbol.asyncDispose]() {
      await stop();
      await rm(dir, { recursive: true });
    },
  };
}
