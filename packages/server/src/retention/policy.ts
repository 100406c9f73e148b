/**
 * How long a class is kept, and when an epoch of it is over. Counted in whole days from the end of the epoch, so that its youngest event has had all of them.
 *
 * Six years are 2,192 days: 45 CFR 164.316(b)(2)(i) says six years, and six years hold one leap day or two. Below that nothing goes unless a person who
 * has the right has confirmed it.
 */
import { type RetentionClass, retentionClasses } from '@watchglass/record';

export const dayMs: number = 86_400_000;
/** Six years, two leap days in them. */
export const floorDays = 2192;

/** Days; null is for ever. */
export const presets: Readonly<Record<string, number | null>> = {
  /** 45 CFR 164.316(b)(2)(i). */
  'hipaa-6y': floorDays,
  /** ASTM E2147-18 §4.1: ten years, three leap days in them. */
  'astm-10y': 3653,
  /** As long as the record it is about; how long that is nobody here knows, so nothing goes by itself. */
  'life-of-record': null,
};
export const presetDefault = 'hipaa-6y';

/** A preset or a number of days, as the configuration has it. */
export type Keeping = string | number;

export interface RetentionSettings {
  readonly classes: Readonly<Record<RetentionClass, Keeping>>;
  /** Classes that a tenant keeps otherwise. */
  readonly tenants: Readonly<Record<string, Partial<Readonly<Record<RetentionClass, Keeping>>>>>;
  readonly approval: ApprovalSettings;
}

export interface ApprovalSettings {
  /** How long ago a sign-in may be. */
  readonly maxAgeMs: number;
  /** How long a proposal stands. */
  readonly proposalMs: number;
  /** `acr` values of the issuer that say as much as a second factor. */
  readonly acr: readonly string[];
}

export const defaultRetention: RetentionSettings = {
  classes: { access: presetDefault, security: presetDefault, oversight: presetDefault },
  tenants: {},
  approval: { maxAgeMs: 15 * 60_000, proposalMs: 7 * dayMs, acr: [] },
};

export interface Policy {
  readonly retentionClass: RetentionClass;
  /** Of the configuration: a preset, or days. */
  readonly configured: Keeping;
  /** In force: days, or null for ever. */
  readonly days: number | null;
  /** Fewer than six years are configured, and nobody has confirmed them: six years are in force. */
  readonly unconfirmed: boolean;
}

/** @param confirmed days below the floor that a person confirmed for this class */
export function policyOf(
  settings: RetentionSettings,
  tenant: string,
  retentionClass: RetentionClass,
  confirmed: number | undefined,
): Policy {
  const configured = settings.tenants[tenant]?.[retentionClass] ?? settings.classes[retentionClass];
  const days = daysOf(configured);
  const unconfirmed = days !== null && days < floorDays && confirmed !== days;
  return { retentionClass, configured, days: unconfirmed ? floorDays : days, unconfirmed };
}

export function daysOf(keeping: Keeping): number | null {
  return typeof keeping === 'number' ? keeping : (presets[keeping] ?? null);
}

/** The first millisecond after an epoch: epochs are months since January 1970. */
export function epochEndMs(epoch: number): number {
  return Date.UTC(1970, epoch + 1, 1);
}

/** Whether an epoch has been kept for so long at a moment. */
export function isOver(epoch: number, days: number | null, atMs: number): boolean {
  return days !== null && epochEndMs(epoch) + days * dayMs <= atMs;
}

export function eachClass<T>(make: (retentionClass: RetentionClass) => T): T[] {
  return retentionClasses.map(make);
}
