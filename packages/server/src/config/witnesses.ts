/** The part of `watchglass.yaml` about who vouches for the logs: a policy for all tenants, or one for each. */
import { parseTenantId } from '@watchglass/record';
import { z } from 'zod';
import type { PolicySource, WitnessSettings } from './witness-policies.ts';

const policyFile = z
  .string()
  .min(1)
  .describe('File with a policy (c2sp.org/tlog-policy): witnesses, their URLs, the quorum.');
const policyText = z.string().min(1).describe('The policy itself, instead of a file.');

interface WitnessKeys {
  readonly policy?: string | undefined;
  readonly text?: string | undefined;
  readonly tenants: Readonly<
    Record<string, { readonly policy?: string | undefined; readonly text?: string | undefined }>
  >;
  readonly strict: boolean;
  readonly ageMinutes: number;
}

export const witnessesSchema: z.ZodOptional<z.ZodType<WitnessKeys>> = z
  .strictObject({
    policy: policyFile.optional(),
    text: policyText.optional(),
    tenants: z
      .record(z.string(), z.strictObject({ policy: policyFile.optional(), text: policyText.optional() }))
      .default({})
      .describe('Policies of tenants that have one of their own, by tenant: `policy` or `text` each.'),
    strict: z
      .boolean()
      .default(false)
      .describe(
        'Answer 503 at `/readyz` while no quorum of witnesses vouches for a checkpoint of the last `ageMinutes`.',
      ),
    ageMinutes: z
      .number()
      .positive()
      .max(525_600)
      .default(30)
      .describe('How old the newest witnessed checkpoint may be before health and metrics call it old.'),
  })
  .optional()
  .describe('Who vouches that the logs only grow (docs/witnesses.md).');

export function buildWitnesses(
  { tenants, strict, ageMinutes, ...common }: WitnessKeys,
  at: (path: string) => string,
): WitnessSettings {
  const sourceOf = ({ policy, text }: { policy?: string | undefined; text?: string | undefined }): PolicySource =>
    policy === undefined ? { text: text ?? '' } : { file: at(policy) };
  const own = new Map(Object.entries(tenants).map(([tenant, one]) => [parseTenantId(tenant), sourceOf(one)]));
  const some = common.policy !== undefined || common.text !== undefined;
  return { ...(some ? { policy: sourceOf(common) } : {}), tenants: own, strict, ageSecondsMax: ageMinutes * 60 };
}

export function* contradictionsInWitnesses(
  witnesses: WitnessKeys | undefined,
  tenants: readonly string[],
): Generator<string> {
  if (witnesses === undefined) return;
  const common = witnesses.policy !== undefined || witnesses.text !== undefined;
  if (!common && Object.keys(witnesses.tenants).length === 0)
    yield 'witnesses: expected `policy`, `text` or `tenants`; without any of them nobody vouches for anything';
  if (witnesses.policy !== undefined && witnesses.text !== undefined)
    yield 'witnesses: `policy` and `text` are both set; keep one';
  for (const [tenant, { policy, text }] of Object.entries(witnesses.tenants)) {
    if (!tenants.includes(tenant)) yield `witnesses.tenants.${tenant}: there is no such tenant`;
    if ((policy === undefined) === (text === undefined))
      yield `witnesses.tenants.${tenant}: expected one of \`policy\` and \`text\``;
  }
}
