/**
 * A compiled policy, and how it is asked: by role, interaction and resource type to the few rules that could allow it, in the order of the file. Rules without
 * conditions decide by look-ups alone. The answer names the rule that decided, or the one that came nearest.
 */
import { type DataClass, dataClasses } from '@watchglass/record';

import type { Interaction, InteractionName } from '../fhir/fhir-interaction.ts';
import { dataClassOf } from '../fhir/fhir-types.ts';
import type { Principal } from '../identity/token.ts';
import { type Assurance, type Circumstances, type Conditions, type Lack, lackOf, lacks } from './conditions.ts';

export interface Rule {
  /** Its place: `roles.nurse.allow.0`. */
  readonly path: string;
  readonly line: number;
  /** Its name, or its place where it has none. */
  readonly label: string;
  /** Classes of data it lets through, as bits. */
  readonly classes: number;
  readonly conditions: Conditions | undefined;
  /** Of a requirement that is not for everybody. */
  readonly roles?: ReadonlySet<string>;
}

export interface TypeTable {
  /** Rules about every type: what is left for an interaction that names none. */
  readonly any: readonly Rule[];
  /** Those about this type, and those about every type. */
  readonly byType: ReadonlyMap<string, readonly Rule[]>;
  readonly all: readonly Rule[];
}

export interface Table {
  readonly interactions: ReadonlyMap<InteractionName, TypeTable>;
  readonly operations: ReadonlyMap<string, TypeTable>;
}

export interface RoleTables {
  readonly allow: Table;
  readonly glass: Table | undefined;
}

export interface BreakGlassRule {
  readonly purpose: string;
  readonly reasonHeader: string;
  readonly patientHeader: string;
  readonly reasons: ReadonlySet<string>;
  readonly minutes: number;
  readonly patientsMax: number;
  readonly overridesConsent: boolean;
}

export interface ConsentRule {
  readonly url: string | undefined;
  readonly timeoutMs: number;
  readonly cacheSeconds: number;
  readonly patientsMax: number;
  readonly onFailure: 'deny' | 'allow-and-flag';
}

export interface Policy {
  /** SHA-256 of the file, in hexadecimal. */
  readonly digest: string;
  /** What it was compiled from. */
  readonly text: string;
  readonly anonymous: ReadonlySet<InteractionName>;
  readonly purposeOfUse: { readonly header: string; readonly allow: ReadonlySet<string> } | undefined;
  readonly roles: ReadonlyMap<string, RoleTables>;
  /** What has to hold besides, whatever a role allows. */
  readonly requirements: Table;
  /** Names of operations that it speaks of. */
  readonly operations: ReadonlySet<string>;
  readonly breakGlass: BreakGlassRule | undefined;
  readonly consent: ConsentRule | undefined;
  /** A file of Cedar policies that have to allow it too. */
  readonly cedar: { readonly file: string } | undefined;
  /** Those policies, once they are loaded. Without them a policy that names some allows nothing. */
  readonly engine?: Engine;
}

/** A second opinion: both have to allow. */
export interface Engine {
  /** SHA-256 of what it was loaded from. */
  readonly digest: string;
  readonly text: string;
  permits(question: EngineQuestion): EngineAnswer;
}

export interface EngineQuestion {
  readonly principal: Principal;
  readonly interaction: Interaction;
  readonly circumstances: Circumstances;
  /** Whom it is about, as far as the request says. */
  readonly patient: string | undefined;
  readonly breakGlass: boolean;
}

/** `by` names the policy that decided, where one did. */
export interface EngineAnswer {
  readonly permitted: boolean;
  readonly by: string | undefined;
}

/** Bits of every class. */
export const allClasses: number = 2 ** dataClasses.length - 1;
const bits: ReadonlyMap<DataClass, number> = new Map(dataClasses.map((name, position) => [name, 2 ** position]));

export function classBits(classes: Iterable<DataClass>): number {
  let sum = 0;
  for (const name of classes) sum |= bits.get(name) ?? 0;
  return sum;
}

export type Asked = Pick<Interaction, 'name' | 'operation' | 'type'>;

export type Verdict =
  | { readonly kind: 'allowed'; readonly classes: number; readonly rule: Rule }
  /** Nothing is missing but a better sign-in. */
  | { readonly kind: 'step-up'; readonly assurance: Assurance; readonly rule: Rule }
  /** `lack` is undefined where no rule speaks of it at all. */
  | {
      readonly kind: 'refused';
      readonly lack: Exclude<Lack, 'assurance'> | undefined;
      readonly rule: Rule | undefined;
    };

/** May somebody with these roles do this, under these circumstances? */
export function judge(
  policy: Policy,
  roles: readonly string[],
  asked: Asked,
  of: Circumstances,
  which: keyof RoleTables = 'allow',
): Verdict {
  const search = new Search(of, asked.type === undefined ? allClasses : classBits([dataClassOf(asked.type)]));
  for (const role of roles) {
    const table = policy.roles.get(role)?.[which];
    if (table === undefined) continue;
    // A condition is a search: it tells whether something exists.
    const conditional = asked.operation.startsWith('conditional-') && asked.name !== 'operation';
    if (conditional && !search.holds(rulesFor(table, { ...asked, name: 'search' }))) continue;
    search.look(rulesFor(table, asked));
  }
  const verdict = search.verdict();
  if (verdict.kind !== 'allowed') return verdict;
  return lackingRequirement(policy, roles, asked, of) ?? verdict;
}

/** Bits of the classes in which resources of this type may reach them; without a type: of any type. For what a response brings along. */
export function receivable(
  policy: Policy,
  roles: readonly string[],
  type: string | undefined,
  of: Circumstances,
  which: keyof RoleTables = 'allow',
): number {
  let classes = 0;
  for (const name of ['read', 'search'] as const) {
    const asked: Asked = { name, operation: name, type };
    const search = new Search(of, allClasses);
    for (const role of roles) {
      const table = policy.roles.get(role)?.[which];
      if (table !== undefined) search.look(rulesFor(table, asked));
    }
    const verdict = search.verdict();
    if (verdict.kind === 'allowed' && lackingRequirement(policy, roles, asked, of) === undefined)
      classes |= verdict.classes;
  }
  return classes;
}

/** Goes through rules, and keeps what those that hold give, or the one that came nearest. */
class Search {
  readonly #of: Circumstances;
  readonly #wanted: number;
  #classes = 0;
  #rule: Rule | undefined;
  #near: Rule | undefined;
  #lack: Lack | undefined;

  /** `wanted`: bits of which a rule has to let one through. */
  constructor(of: Circumstances, wanted: number) {
    this.#of = of;
    this.#wanted = wanted;
  }

  look(rules: readonly Rule[]): void {
    for (const rule of rules) {
      if (this.#classes === allClasses) return;
      if (!this.#speaks(rule)) continue;
      this.#classes |= rule.classes;
      this.#rule ??= rule;
    }
  }

  holds(rules: readonly Rule[]): boolean {
    return rules.some((rule) => this.#speaks(rule));
  }

  #speaks(rule: Rule): boolean {
    if ((rule.classes & this.#wanted) === 0) return false;
    const lack = lackOf(rule.conditions, this.#of);
    if (lack === undefined) return true;
    if (this.#lack === undefined || lacks.indexOf(lack) > lacks.indexOf(this.#lack)) {
      this.#lack = lack;
      this.#near = rule;
    }
    return false;
  }

  verdict(): Verdict {
    if (this.#rule !== undefined) return { kind: 'allowed', classes: this.#classes, rule: this.#rule };
    return lacking(this.#near, this.#lack);
  }
}

function lacking(rule: Rule | undefined, lack: Lack | undefined): Exclude<Verdict, { kind: 'allowed' }> {
  const assurance = rule?.conditions?.assurance;
  if (rule !== undefined && lack === 'assurance' && assurance !== undefined)
    return { kind: 'step-up', assurance, rule };
  return { kind: 'refused', lack: lack === 'assurance' ? undefined : lack, rule };
}

/** Of the requirements that speak of it, the first that is not met; one that signing in again would meet comes last. */
function lackingRequirement(
  policy: Policy,
  roles: readonly string[],
  asked: Asked,
  of: Circumstances,
): Exclude<Verdict, { kind: 'allowed' }> | undefined {
  let stepUp: Rule | undefined;
  for (const rule of rulesFor(policy.requirements, asked, 'all')) {
    if (rule.roles !== undefined && !roles.some((role) => rule.roles?.has(role))) continue;
    const lack = lackOf(rule.conditions, of);
    if (lack === 'assurance') stepUp ??= rule;
    else if (lack !== undefined) return lacking(rule, lack);
  }
  return stepUp === undefined ? undefined : lacking(stepUp, 'assurance');
}

const none: readonly Rule[] = [];

/** Without a type the whole system is meant: what allows has to be about every type, what requires is about any. */
function rulesFor(table: Table, { name, operation, type }: Asked, untyped: 'any' | 'all' = 'any'): readonly Rule[] {
  const rules =
    name === 'operation'
      ? (table.operations.get(operation) ?? table.operations.get('*'))
      : table.interactions.get(name);
  if (rules === undefined) return none;
  // A batch is judged by its entries, and the capability statement is about no type.
  if (name === 'batch' || name === 'capabilities') return rules.all;
  return type === undefined ? rules[untyped] : (rules.byType.get(type) ?? rules.any);
}

/** Every rule that speaks of it, whether it holds or not: for who wants to know why. */
export function rulesSpeaking(
  policy: Policy,
  roles: readonly string[],
  asked: Asked,
  which: keyof RoleTables | 'require',
): readonly Rule[] {
  const bit = asked.type === undefined ? allClasses : classBits([dataClassOf(asked.type)]);
  if (which === 'require')
    return rulesFor(policy.requirements, asked, 'all').filter(
      (rule) => rule.roles === undefined || roles.some((role) => rule.roles?.has(role)),
    );
  return roles.flatMap((role) => {
    const table = policy.roles.get(role)?.[which];
    return table === undefined ? [] : rulesFor(table, asked).filter(({ classes }) => (classes & bit) !== 0);
  });
}
