/**
 * The fixed table of roles and rights on the server. Clinical roles have none here, and Watchglass roles have none at
 * the gateway: whoever treats patients does not review, and whoever reviews does not read charts.
 */

/** What the server's doors ask for. */
export const rights = [
  'search',
  'open',
  'tail',
  'status',
  'keys',
  'configure',
  /** See retentions, plans, proposals and holds. */
  'retention',
  /** Add a legal hold. */
  'hold',
  /** Propose, approve and order what goes for good: two people, each with a strong and recent sign-in. */
  'shred',
  /** Make, see and lift decisions that every gateway follows. */
  'respond',
] as const;
export type Right = (typeof rights)[number];

/** The local credential's; never a person's. */
export const operatorRole = 'operator';
/** The roles of Watchglass itself that people can have. */
export const watchglassRoles = ['privacy-officer', 'security-analyst', 'auditor', 'administrator'] as const;
export const clinicalRoles = ['physician', 'nurse', 'billing', 'registration', 'patient'] as const;
export type Role = (typeof watchglassRoles)[number] | (typeof clinicalRoles)[number] | (string & {});

const table: ReadonlyMap<string, readonly Right[]> = new Map<string, readonly Right[]>([
  ['privacy-officer', ['search', 'open', 'tail', 'status', 'retention', 'hold', 'shred', 'respond']],
  ['auditor', ['search', 'open', 'status', 'retention']],
  ['security-analyst', ['search', 'tail', 'status', 'respond']],
  ['administrator', ['search', 'status', 'keys', 'configure', 'retention', 'shred', 'respond']],
  [operatorRole, ['search', 'tail', 'status', 'keys', 'configure', 'retention', 'respond']],
]);

/** The union of the rights of all roles; unknown and clinical roles add nothing. */
export function rightsOf(roles: readonly string[]): ReadonlySet<Right> {
  return new Set(roles.flatMap((role) => table.get(role) ?? []));
}
