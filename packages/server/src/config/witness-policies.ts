/**
 * The trust policies that a configuration names: read, parsed, and held to what this server can do with them. A policy that can never be
 * reached is refused at the start, not found out in the night.
 */
import { isQuorum, type Policy, parsePolicy, type TenantId } from '@watchglass/record';
import type { WitnessPolicy } from '../ledger/witness/witnessing.ts';
import type { Disk } from '../world/disk.ts';
import { ConfigError } from './error.ts';

/** Who must vouch for the logs; the policies themselves are read by `readPolicies`. */
export interface WitnessSettings {
  /** For every tenant that has none of its own. */
  readonly policy?: PolicySource;
  readonly tenants: ReadonlyMap<TenantId, PolicySource>;
  /** Not ready while no quorum vouches for a checkpoint younger than this. */
  readonly strict: boolean;
  readonly ageSecondsMax: number;
}

/** A tlog-policy: the path of its file, or its text. */
export type PolicySource = { readonly file: string } | { readonly text: string };

export interface PolicyPlaces {
  readonly witnesses?: WitnessSettings;
  readonly tenants: readonly TenantId[];
  /** Begin of the log origins. */
  readonly origin: string;
}

/** By tenant, for those that have one. @throws ConfigError naming every problem */
export async function readPolicies(
  disk: Pick<Disk, 'readFile'>,
  { witnesses, tenants, origin }: PolicyPlaces,
  file = 'the configuration',
): Promise<ReadonlyMap<TenantId, WitnessPolicy>> {
  const policies = new Map<TenantId, WitnessPolicy>();
  const problems: string[] = [];
  for (const tenant of tenants) {
    const own = witnesses?.tenants.get(tenant);
    const source = own ?? witnesses?.policy;
    if (source === undefined) continue;
    const key = own === undefined ? 'witnesses' : `witnesses.tenants.${tenant}`;
    const place = 'file' in source ? `${key}.policy: ${source.file}` : `${key}.text`;
    try {
      const text = await textOf(disk, source);
      if (text === undefined) {
        problems.push(`${place}: there is no such file; put a policy there (docs/witnesses.md)`);
        continue;
      }
      const policy = parsePolicy(text);
      problems.push(...problemsOf(policy, `${origin}/${tenant}`).map((problem) => `${place}: ${problem}`));
      policies.set(tenant, { policy, text: Buffer.from(text).toString('latin1') });
    } catch (error) {
      problems.push(`${place}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  if (problems.length > 0) throw new ConfigError(file, [...new Set(problems)]);
  return policies;
}

async function textOf(disk: Pick<Disk, 'readFile'>, source: PolicySource): Promise<Uint8Array | undefined> {
  return 'file' in source ? await disk.readFile(source.file) : Buffer.from(source.text);
}

function problemsOf({ witnesses, logs, quorum }: Policy, origin: string): string[] {
  const problems: string[] = [];
  const reachable = witnesses.filter(({ url }) => url !== undefined);
  if (!isQuorum(quorum, new Set(reachable)))
    problems.push('its quorum cannot be reached: give enough witnesses the URL of their submission prefix');
  for (const { name, url } of reachable) {
    const parsed = URL.parse(url ?? '');
    if (parsed === null || !/^https?:$/.test(parsed.protocol) || parsed.search !== '' || parsed.username !== '')
      problems.push(`expected an http or https URL of the witness ${name}, without a query`);
  }
  if (logs.length > 0 && !logs.some(({ verifier }) => verifier.name === origin))
    problems.push(`it names logs, and ${origin} is none of them; add its line, or leave log lines out`);
  return problems;
}
