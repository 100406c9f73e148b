/**
 * SMART App Launch scopes, v1 and v2, as grants.
 *
 *     ("patient" | "user" | "system") "/" (Type | "*") "." [c][r][u][d][s] ["?" parameter=value ["&" …]]
 *
 * v1 is read as v2: `.read` is `rs`, `.write` is `cud`, `.*` is `cruds`. What can't be enforced exactly grants nothing: letters out of order,
 * modifiers, chained parameters and `_filter` inside a scope.
 */
import { decodeParameter, type Parameter } from '../http/canonical.ts';
import { type Interaction, permissionBits } from './fhir-interaction.ts';
import { resourceTypes } from './fhir-types.ts';

export const scopesMax = 200;

export interface Grant {
  readonly context: 'patient' | 'user' | 'system';
  /** A resource type or `*`. */
  readonly type: string;
  /** Bits of `permission`. */
  readonly permissions: number;
  /** A search has to say all of these; empty for an unrestricted grant. */
  readonly restrictions: readonly { readonly name: string; readonly value: string }[];
}

const scopePattern = /^(patient|user|system)\/(\*|[A-Z][A-Za-z]{1,63})\.(read|write|\*|c?r?u?d?s?)(?:\?(.+))?$/;
const v1Permissions: Readonly<Record<string, string>> = { read: 'rs', write: 'cud', '*': 'cruds' };

/** One scope as a grant; undefined for `openid` and the like, and for what grants nothing. */
export function parseScope(scope: string): Grant | undefined {
  if (scope.length > 512) return undefined;
  const match = scopePattern.exec(scope);
  if (match === null) return undefined;
  const [, context, type, letters, query] = match;
  if (type === undefined || (type !== '*' && !resourceTypes.has(type))) return undefined;
  if (letters === undefined || letters === '') return undefined;
  const permissions = permissionBits(v1Permissions[letters] ?? letters);
  const restrictions = query === undefined ? [] : parseRestrictions(query);
  if (restrictions === undefined) return undefined;
  return { context: context as Grant['context'], type, permissions, restrictions };
}

/** The grants of a token's `scope` claim. */
export function parseScopes(claim: string): readonly Grant[] {
  const grants: Grant[] = [];
  for (const scope of claim.split(' ', scopesMax)) {
    const grant = parseScope(scope);
    if (grant !== undefined) grants.push(grant);
  }
  return grants;
}

export type ScopeVerdict =
  | { readonly kind: 'covered' }
  /** Covered only by `patient/` scopes: whatever leaves has to be this patient's. */
  | { readonly kind: 'covered-for-patient'; readonly patient: string }
  | { readonly kind: 'not-covered' };

/** Do the grants cover the interaction? One grant gives all its permissions, or several give them together. */
export function judgeScopes(input: {
  readonly grants: readonly Grant[];
  /** The token's `patient` claim: the launch context. */
  readonly patient: string | undefined;
  readonly interaction: Pick<Interaction, 'name' | 'type' | 'permissions'>;
  readonly parameters: readonly Parameter[];
}): ScopeVerdict {
  const { permissions } = input.interaction;
  if (permissions === 0) return { kind: 'covered' };
  let given = 0;
  let givenForPatient = 0;
  for (const grant of input.grants) {
    if (!coversType(grant.type, input.interaction.type)) continue;
    // A restricted grant speaks of searches only: a read or a history doesn't heed search parameters.
    const restricted = grant.restrictions.length > 0;
    if (restricted && input.interaction.name !== 'search') continue;
    const bits = restricted ? grant.permissions & permissionBits('s') : grant.permissions;
    if (!grant.restrictions.every((restriction) => isMet(restriction, input.parameters))) continue;
    if (grant.context === 'patient') givenForPatient |= bits;
    else given |= bits;
  }
  if ((given & permissions) === permissions) return { kind: 'covered' };
  if (input.patient !== undefined && ((given | givenForPatient) & permissions) === permissions) {
    return { kind: 'covered-for-patient', patient: input.patient };
  }
  return { kind: 'not-covered' };
}

/** Interactions without a type reach every type. */
function coversType(granted: string, wanted: string | undefined): boolean {
  return granted === '*' || granted === wanted;
}

function parseRestrictions(query: string): Grant['restrictions'] | undefined {
  const restrictions: { name: string; value: string }[] = [];
  for (const part of query.split('&')) {
    const equals = part.indexOf('=');
    const name = part.slice(0, equals);
    if (equals < 1 || !/^[A-Za-z_-]+$/.test(name) || name === '_filter' || name === '_has') return undefined;
    const value = decodeParameter(part.slice(equals + 1));
    if (value === undefined || value === '') return undefined;
    restrictions.push({ name, value });
  }
  return restrictions;
}

/** Exactly once and with exactly that value: a second one of the same name would be an "and" for some servers, an "or" for others. */
function isMet(
  restriction: { readonly name: string; readonly value: string },
  parameters: readonly Parameter[],
): boolean {
  const named = parameters.filter(({ name }) => name === restriction.name || name.startsWith(`${restriction.name}:`));
  const [only] = named;
  return named.length === 1 && only?.name === restriction.name && decodeParameter(only.rawValue) === restriction.value;
}
