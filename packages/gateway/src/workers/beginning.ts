/**
 * What a worker begins with: which one it is, the configuration and the policy exactly as its primary has them in force (the files may say something else by now), and the
 * state of what it will from then on hear changes of.
 */
import { z } from 'zod';

import type { KeptRevocation, Revocation } from '../identity/revocations.ts';
import { parseSnapshot, type Snapshot } from '../limits/decisions.ts';
import { type PolicyTexts, policyTexts } from '../policy/load-policy.ts';
import type { ConditionState } from '../upstream/condition.ts';
import type { OwnedCommons } from './commons.ts';

export interface Beginning {
  /** From 1 on. */
  readonly slot: number;
  /** How many workers there are. */
  readonly count: number;
  readonly config: { readonly file: string; readonly text: string };
  readonly policy: PolicyTexts;
  /** Where all of them listen. */
  readonly port: number;
  readonly logLevel: string;
  readonly sinceMs: number;
  /** Base64. */
  readonly nonceKey: string;
  readonly revocations: readonly KeptRevocation[];
  readonly lockedOut: readonly LockedOut[];
  readonly conditions: readonly ConditionState[];
  readonly decisions: Snapshot;
  /** Whether a function of the primary's program is asked for consent. */
  readonly consent: boolean;
}

export interface LockedOut {
  readonly key: string;
  /** 0 when it is over. */
  readonly leftMs: number;
}

const revocation = {
  by: z.enum(['all', 'sub', 'sub-without-session', 'sid', 'jti', 'client']),
  value: z.string(),
  issuer: z.string().optional(),
  issuedUntil: z.number().optional(),
};

export const revocationsSchema: z.ZodType<Revocation[]> = z.array(z.strictObject(revocation));
export const policySchema: z.ZodType<PolicyTexts> = z.strictObject({
  text: z.string(),
  cedar: z.string().exactOptional(),
});
export const lockedOutSchema: z.ZodType<LockedOut> = z.strictObject({ key: z.string(), leftMs: z.number().min(0) });

export const conditionSchema: z.ZodType<ConditionState> = z.strictObject({
  upstream: z.string(),
  origin: z.string(),
  well: z.boolean(),
  sparedMs: z.number().min(0).optional(),
});

const schema: z.ZodType<Omit<Beginning, 'decisions'> & { readonly decisions: unknown }> = z.strictObject({
  slot: z.int().min(1),
  count: z.int().min(1),
  config: z.strictObject({ file: z.string(), text: z.string() }),
  policy: policySchema,
  port: z.int().min(0).max(65_535),
  logLevel: z.string(),
  sinceMs: z.number(),
  nonceKey: z.string(),
  revocations: z.array(z.strictObject({ ...revocation, untilMs: z.number() })),
  lockedOut: z.array(lockedOutSchema),
  conditions: z.array(conditionSchema),
  decisions: z.unknown(),
  consent: z.boolean(),
});

/** Throws what zod says of what is none. */
export function parseBeginning(body: unknown): Beginning {
  const { decisions, ...rest } = schema.parse(body);
  const snapshot = parseSnapshot(decisions);
  if (snapshot === undefined) throw new Error('expected the decisions in force, got something else');
  return { ...rest, decisions: snapshot };
}

/** The state of this moment: whoever is told it has to hear of every change after it. */
export function beginningOf(
  commons: OwnedCommons,
  worker: Pick<Beginning, 'slot' | 'count' | 'config' | 'port' | 'logLevel'>,
): Beginning {
  const { memory, lockout, conditions, decisions, policies, consent } = commons;
  return {
    ...worker,
    policy: policyTexts(policies.current),
    sinceMs: memory.together.sinceMs,
    nonceKey: Buffer.from(memory.together.nonceKey).toString('base64'),
    revocations: [...memory.revocations.entries],
    lockedOut: lockout?.blocked() ?? [],
    conditions: conditions.states,
    decisions: decisions.snapshot,
    consent: consent !== undefined,
  };
}
