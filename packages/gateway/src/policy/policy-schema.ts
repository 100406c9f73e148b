/**
 * What a policy file may say, and no more: the shape of the YAML, before anything is compiled. Everything that was added after the first version is optional, and
 * a file without it means what it always meant. There are no regular expressions to write in it, so none can be slow.
 */
import { type DataClass, dataClasses } from '@watchglass/record';
import { z } from 'zod';

import { type InteractionName, interactionNames } from '../fhir/fhir-interaction.ts';
import { resourceTypes } from '../fhir/fhir-types.ts';
import { isSafeUrl } from '../identity/issuer-keys.ts';
import { isRange } from './networks.ts';

export const weekdays = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
const readingNames = ['read', 'vread', 'search', 'history'] as const;

export type Weekday = (typeof weekdays)[number];

export interface WindowDocument {
  readonly zone: string;
  readonly days: readonly Weekday[];
  readonly from: string;
  readonly to: string;
}

export interface AssuranceDocument {
  readonly acr?: readonly string[] | undefined;
  readonly amr?: readonly string[] | undefined;
  readonly mfa?: true | undefined;
  readonly maxAgeSeconds?: number | undefined;
}

interface ConditionsDocument {
  readonly name?: string | undefined;
  readonly hours?: readonly string[] | undefined;
  readonly networks?: readonly string[] | undefined;
  readonly assurance?: string | undefined;
}

export interface RuleDocument extends ConditionsDocument {
  readonly interactions: readonly Exclude<InteractionName, 'operation'>[];
  readonly operations: readonly string[];
  readonly types: readonly string[];
  readonly classes?: readonly DataClass[] | undefined;
  readonly purposes?: readonly string[] | undefined;
}

export interface GlassRuleDocument extends ConditionsDocument {
  readonly interactions: readonly (typeof readingNames)[number][];
  readonly operations: readonly string[];
  readonly types: readonly string[];
}

export interface RequirementDocument extends ConditionsDocument {
  readonly roles?: readonly string[] | undefined;
  readonly interactions: readonly (Exclude<InteractionName, 'operation'> | '*')[];
  readonly operations: readonly string[];
  readonly types: readonly string[];
  readonly purposes?: readonly string[] | undefined;
}

export interface PolicyDocument {
  readonly version: 1;
  readonly anonymous: readonly 'capabilities'[];
  readonly purposeOfUse?: { readonly header: string; readonly allow: readonly string[] } | undefined;
  readonly networks: Readonly<Record<string, readonly string[]>>;
  readonly hours: Readonly<Record<string, readonly WindowDocument[]>>;
  readonly assurance: Readonly<Record<string, AssuranceDocument>>;
  readonly require: readonly RequirementDocument[];
  readonly breakGlass?:
    | {
        readonly purpose: string;
        readonly reasonHeader: string;
        readonly patientHeader: string;
        readonly reasons: readonly string[];
        readonly minutes: number;
        readonly patientsMax: number;
        readonly overridesConsent: boolean;
      }
    | undefined;
  readonly consent?:
    | {
        readonly url?: string | undefined;
        readonly timeoutMs: number;
        readonly cacheSeconds: number;
        readonly patientsMax: number;
        readonly onFailure: 'deny' | 'allow-and-flag';
      }
    | undefined;
  readonly engine: 'tables' | 'cedar';
  readonly cedar?: { readonly policies: string } | undefined;
  readonly roles: Readonly<
    Record<
      string,
      {
        readonly allow: readonly RuleDocument[];
        readonly breakGlass?: readonly GlassRuleDocument[] | undefined;
      }
    >
  >;
}

const ruleNames = interactionNames.filter((name) => name !== 'operation');

const typeName = z.string().refine((name) => name === '*' || resourceTypes.has(name), {
  error: "expected a FHIR R4 resource type, in its exact case, or '*'",
});
const operationName = z
  .string()
  .regex(/^\$[a-z][A-Za-z-]{0,39}$/, { error: 'expected the name of an operation, such as $everything' });
const headerName = z.string().regex(/^[a-z0-9-]{1,64}$/i, { error: 'expected the name of a header' });
const purposeCode = z.string().regex(/^[A-Z]{2,16}$/, { error: 'expected codes of HL7 v3 PurposeOfUse' });
const label = z.string().regex(/^[a-z][a-z0-9-]{0,63}$/, { error: 'expected a name in lower case, such as at-night' });
/** It stands inside quotes in a header field of the answer (RFC 9470 §3). */
const context = z
  .string()
  .regex(/^[!#-[\]-~]{1,128}$/, { error: 'expected an acr or amr value: printable ASCII without spaces and quotes' });
const interactionName = z.enum(ruleNames, { error: `expected one of ${ruleNames.join(', ')}` });
const time = z
  .string()
  .regex(/^(?:[01]\d|2[0-3]):[0-5]\d$|^24:00$/, { error: 'expected a time of day in quotes, such as "07:30"' });

const windowSchema = z
  .strictObject({
    zone: z.string().refine(isZone, { error: 'expected a time zone, such as Europe/Berlin or UTC' }),
    days: z
      .array(z.enum(weekdays, { error: `expected one of ${weekdays.join(', ')}` }))
      .min(1, { error: 'expected at least one day' })
      .default([...weekdays]),
    from: time.default('00:00'),
    to: time.default('24:00'),
  })
  .refine(({ from, to }) => from !== to, { error: 'expected from and to to differ: such a window is never open' });

const assuranceSchema = z
  .strictObject({
    acr: z.array(context).min(1).max(16).optional(),
    amr: z.array(context).min(1).max(16).optional(),
    mfa: z.literal(true, { error: 'expected mfa: true' }).optional(),
    maxAgeSeconds: z.int().min(1).max(31_536_000).optional(),
  })
  .refine((assurance) => Object.keys(assurance).length > 0, {
    error: 'expected acr, amr, mfa or maxAgeSeconds',
  });

const conditions = {
  purposes: z.array(purposeCode).min(1).optional(),
  hours: z.array(label).min(1).optional(),
  networks: z.array(label).min(1).optional(),
  assurance: label.optional(),
} as const;

const ruleSchema = z
  .strictObject({
    name: label.optional(),
    interactions: z.array(interactionName).default([]),
    operations: z.array(operationName).default([]),
    types: z.array(typeName).default([]),
    classes: z
      .array(z.enum(dataClasses, { error: `expected one of ${dataClasses.join(', ')}` }))
      .min(1)
      .optional(),
    ...conditions,
  })
  .refine((rule) => rule.interactions.length + rule.operations.length > 0, {
    error: 'expected interactions or operations',
  });

/** Only what reads: the answer shows whose record it was, and a change can't be taken back. */
const glassRuleSchema = z
  .strictObject({
    name: label.optional(),
    interactions: z.array(z.enum(readingNames, { error: `expected one of ${readingNames.join(', ')}` })).default([]),
    operations: z.array(operationName).default([]),
    types: z.array(typeName).default([]),
    hours: conditions.hours,
    networks: conditions.networks,
    assurance: conditions.assurance,
  })
  .refine((rule) => rule.interactions.length + rule.operations.length > 0, {
    error: 'expected interactions or operations',
  });

/** Here `*` is every interaction, and every operation. */
const requirementSchema = z
  .strictObject({
    name: label.optional(),
    roles: z.array(z.string().min(1).max(128)).min(1).optional(),
    interactions: z
      .array(z.enum([...ruleNames, '*'], { error: `expected one of ${ruleNames.join(', ')}, or '*'` }))
      .default([]),
    operations: z.array(operationName.or(z.literal('*'))).default([]),
    types: z.array(typeName).default([]),
    ...conditions,
  })
  .refine((rule) => rule.interactions.length + rule.operations.length > 0, {
    error: 'expected interactions or operations',
  })
  .refine(({ purposes, hours, networks, assurance }) => [purposes, hours, networks, assurance].some(Boolean), {
    error: 'expected what is required: purposes, hours, networks or assurance',
  });

const breakGlassSchema = z.strictObject({
  purpose: purposeCode.default('BTG'),
  reasonHeader: headerName.default('X-Break-Glass-Reason'),
  patientHeader: headerName.default('X-Break-Glass-Patient'),
  reasons: z.array(label).min(1, { error: 'expected at least one reason' }).max(64),
  minutes: z.int().min(1).max(1_440).default(60),
  patientsMax: z.int().min(1).max(1_000).default(10),
  overridesConsent: z.boolean().default(false),
});

const consentSchema = z.strictObject({
  url: z
    .url({ protocol: /^https?$/, error: 'expected an http or https URL' })
    .refine(isSafeUrl, { error: 'expected an https URL; plain http only to this machine' })
    .optional(),
  timeoutMs: z.int().min(1).max(10_000).default(500),
  cacheSeconds: z.int().min(0).max(3_600).default(30),
  patientsMax: z.int().min(1).max(1_000).default(100),
  onFailure: z.enum(['deny', 'allow-and-flag'], { error: 'expected deny or allow-and-flag' }).default('deny'),
});

export const policySchema: z.ZodType<PolicyDocument> = z.strictObject({
  version: z.literal(1, { error: 'expected version: 1' }),
  /** Answered without a token. */
  anonymous: z.array(z.enum(['capabilities'], { error: 'expected nothing but capabilities' })).default([]),
  purposeOfUse: z.strictObject({ header: headerName, allow: z.array(purposeCode).min(1) }).optional(),
  networks: z
    .record(
      label,
      z
        .array(
          z.string().refine(isRange, { error: 'expected an address or a range, such as 10.0.0.0/8 or 2001:db8::/32' }),
        )
        .min(1, { error: 'expected at least one range' }),
    )
    .default({}),
  hours: z.record(label, z.array(windowSchema).min(1, { error: 'expected at least one window' })).default({}),
  assurance: z.record(label, assuranceSchema).default({}),
  require: z.array(requirementSchema).max(1_000).default([]),
  breakGlass: breakGlassSchema.optional(),
  consent: consentSchema.optional(),
  engine: z.enum(['tables', 'cedar'], { error: 'expected tables or cedar' }).default('tables'),
  cedar: z.strictObject({ policies: z.string().min(1) }).optional(),
  roles: z.record(
    z.string().min(1).max(128),
    z.strictObject({ allow: z.array(ruleSchema), breakGlass: z.array(glassRuleSchema).optional() }),
  ),
});

function isZone(zone: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: zone }) !== undefined;
  } catch {
    return false;
  }
}
