/** The `retention` part of `watchglass.yaml`: how long each class is kept, and what an approval takes. Presets and the floor are in retention/policy.ts. */
import { z } from 'zod';
import { type Keeping, presetDefault, presets, type RetentionSettings } from '../retention/policy.ts';

const daysMax = 36_525;
const presetNames = Object.keys(presets) as [string, ...string[]];
const keeping = z.union([z.enum(presetNames), z.int().min(1).max(daysMax)]);
const presetWords = `\`hipaa-6y\` (2,192 days), \`astm-10y\` (3,653), \`life-of-record\` (never by itself), or a number of days`;

export interface RetentionKeys {
  readonly access: Keeping;
  readonly security: Keeping;
  readonly oversight: Keeping;
  readonly tenants: Readonly<
    Record<
      string,
      {
        readonly access?: Keeping | undefined;
        readonly security?: Keeping | undefined;
        readonly oversight?: Keeping | undefined;
      }
    >
  >;
  readonly approval: {
    readonly signInMinutes: number;
    readonly proposalHours: number;
    readonly acr: readonly string[];
  };
}

export const retentionSchema: z.ZodType<RetentionKeys> = z.strictObject({
  access: keeping
    .default(presetDefault)
    .describe(
      `How long events of the class \`access\` (kinds api, data, file) are kept, from the end of their month: ${presetWords}. Fewer than 2,192 days come into force only when a person confirms them.`,
    ),
  security: keeping
    .default(presetDefault)
    .describe('The same for the class `security` (auth, access-change, network).'),
  oversight: keeping.default(presetDefault).describe('The same for the class `oversight` (review, system).'),
  tenants: z
    .record(
      z.string(),
      z.strictObject({ access: keeping.optional(), security: keeping.optional(), oversight: keeping.optional() }),
    )
    .default({})
    .describe('Tenants that keep a class otherwise: `{ clinic-b: { access: astm-10y } }`.'),
  approval: z
    .strictObject({
      signInMinutes: z
        .int()
        .min(1)
        .max(720)
        .default(15)
        .describe('How long ago the sign-in (`auth_time`) of somebody who proposes, approves or orders may be.'),
      proposalHours: z.int().min(1).max(2160).default(168).describe('How long a proposal stands.'),
      acr: z
        .array(z.string().min(1).max(128))
        .default([])
        .describe(
          'Values of `acr` at your issuer that count as a strong sign-in, beside an `amr` with `mfa`. At the embedded issuer a code or a passkey makes it strong; `urn:watchglass:acr:password` here says that a password alone is enough for you.',
        ),
    })
    .default({ signInMinutes: 15, proposalHours: 168, acr: [] })
    .describe('What it takes to end something: two people, strong and recent sign-ins.'),
});

export function buildRetention({ access, security, oversight, tenants, approval }: RetentionKeys): RetentionSettings {
  return {
    classes: { access, security, oversight },
    tenants: Object.fromEntries(
      Object.entries(tenants).map(([tenant, classes]) => [
        tenant,
        Object.fromEntries(Object.entries(classes).filter(([, value]) => value !== undefined)),
      ]),
    ),
    approval: {
      maxAgeMs: approval.signInMinutes * 60_000,
      proposalMs: approval.proposalHours * 3_600_000,
      acr: approval.acr,
    },
  };
}

export function* contradictionsInRetention({ tenants }: RetentionKeys, known: readonly string[]): Generator<string> {
  for (const tenant of Object.keys(tenants))
    if (!known.includes(tenant))
      yield `retention.tenants.${tenant}: there is no such tenant; correct the name, or add it to \`tenants\``;
}
