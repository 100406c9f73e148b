/**
 * Who may do what, by role: a YAML document compiled to tables. A role that isn't named may do nothing; a rule only ever allows. The SMART
 * scopes of the token narrow it further (scope.ts): both have to agree.
 *
 *     version: 1
 *     roles:
 *       nurse:
 *         allow:
 *           - interactions: [read, search]
 *             types: ['*']
 *           - operations: ['$everything']
 *             types: [Patient]
 */
import { z } from 'zod';

import { type Interaction, type InteractionName, interactionNames } from '../fhir/fhir-interaction.ts';
import { isResourceType } from '../fhir/fhir-types.ts';
import { parseStrictYaml } from './strict-yaml.ts';

const typeName = z.string().refine((name) => name === '*' || isResourceType(name), {
  error: "expected a FHIR R4 resource type, in its exact case, or '*'",
});
const ruleNames = interactionNames.filter((name) => name !== 'operation');

const ruleSchema = z
  .strictObject({
    interactions: z.array(z.enum(ruleNames, { error: `expected one of ${ruleNames.join(', ')}` })).default([]),
    operations: z
      .array(
        z
          .string()
          .regex(/^\$[a-z][A-Za-z-]{0,39}$/, { error: 'expected the name of an operation, such as $everything' }),
      )
      .default([]),
    types: z.array(typeName).default([]),
  })
  .refine((rule) => rule.interactions.length + rule.operations.length > 0, {
    error: 'expected interactions or operations',
  });

const policySchema = z.strictObject({
  version: z.literal(1, { error: 'expected version: 1' }),
  /** Answered without a token. */
  anonymous: z.array(z.enum(['capabilities'], { error: 'expected nothing but capabilities' })).default([]),
  purposeOfUse: z
    .strictObject({
      header: z.string().regex(/^[a-z0-9-]{1,64}$/i, { error: 'expected the name of a header' }),
      allow: z.array(z.string().regex(/^[A-Z]{2,16}$/, { error: 'expected codes of HL7 v3 PurposeOfUse' })).min(1),
    })
    .optional(),
  roles: z.record(z.string().min(1).max(128), z.strictObject({ allow: z.array(ruleSchema) })),
});

type Types = ReadonlySet<string>;

interface RoleTable {
  readonly interactions: ReadonlyMap<InteractionName, Types>;
  readonly operations: ReadonlyMap<string, Types>;
}

/** Compiled: a decision is a few look-ups in sets. */
export interface Policy {
  readonly anonymous: ReadonlySet<InteractionName>;
  readonly purposeOfUse: { readonly header: string; readonly allow: ReadonlySet<string> } | undefined;
  readonly roles: ReadonlyMap<string, RoleTable>;
}

/** Throws `policy-invalid` with every problem, its place and what was expected. */
export function parsePolicy(text: string, file: string): Policy {
  const document = parseStrictYaml(text, { schema: policySchema, file, code: 'policy-invalid' });
  const { purposeOfUse } = document;
  return {
    anonymous: new Set(document.anonymous),
    purposeOfUse:
      purposeOfUse === undefined
        ? undefined
        : { header: purposeOfUse.header.toLowerCase(), allow: new Set(purposeOfUse.allow) },
    roles: new Map(Object.entries(document.roles).map(([role, { allow }]) => [role, compileRole(allow)])),
  };
}

function compileRole(rules: readonly z.output<typeof ruleSchema>[]): RoleTable {
  const interactions = new Map<InteractionName, Set<string>>();
  const operations = new Map<string, Set<string>>();
  for (const rule of rules) {
    for (const name of rule.interactions) addAll(interactions, name, rule.types);
    for (const name of rule.operations) addAll(operations, name, rule.types);
  }
  return { interactions, operations };
}

function addAll<K>(table: Map<K, Set<string>>, key: K, types: readonly string[]): void {
  const set = table.get(key) ?? new Set<string>();
  for (const type of types) set.add(type);
  table.set(key, set);
}

/** Does any of the roles allow this interaction? */
export function allows(
  policy: Policy,
  roles: readonly string[],
  interaction: Pick<Interaction, 'name' | 'operation' | 'type'>,
): boolean {
  return roles.some((role) => {
    const table = policy.roles.get(role);
    if (table === undefined) return false;
    if (interaction.name === 'operation')
      return includes(table.operations.get(interaction.operation), interaction.type);
    const types = table.interactions.get(interaction.name);
    // A batch is judged by its entries, and the capability statement is about no type.
    if (interaction.name === 'batch' || interaction.name === 'capabilities') return types !== undefined;
    if (!includes(types, interaction.type)) return false;
    // A condition is a search: it tells whether something exists.
    return (
      !interaction.operation.startsWith('conditional-') || includes(table.interactions.get('search'), interaction.type)
    );
  });
}

/** May resources of this type reach somebody with these roles? For what a response brings along. */
export function mayReceive(policy: Policy, roles: readonly string[], type: string): boolean {
  return roles.some((role) => {
    const table = policy.roles.get(role);
    return includes(table?.interactions.get('read'), type) || includes(table?.interactions.get('search'), type);
  });
}

/** Without a type the whole system is meant, which only `*` covers. */
function includes(types: Types | undefined, type: string | undefined): boolean {
  return types !== undefined && (types.has('*') || (type !== undefined && types.has(type)));
}
