/**
 * From the YAML document to tables. What can't mean anything is refused here with its line: names that nobody defined, two rules of one name, a rule
 * that could never hold.
 */
import { createHash } from 'node:crypto';

import { type InteractionName, interactionNames } from '../fhir/fhir-interaction.ts';
import { dataClassOf } from '../fhir/fhir-types.ts';
import type { Conditions } from './conditions.ts';
import { Hours } from './hours.ts';
import { Networks } from './networks.ts';
import type { GlassRuleDocument, PolicyDocument, RequirementDocument, RuleDocument } from './policy-schema.ts';
import { allClasses, classBits, type Policy, type Rule, type Table, type TypeTable } from './tables.ts';

type AnyRule = RuleDocument | GlassRuleDocument | RequirementDocument;
type Path = readonly PropertyKey[];

export interface Problem {
  readonly path: Path;
  readonly message: string;
}

export type Compiled =
  | { readonly kind: 'policy'; readonly policy: Policy }
  | { readonly kind: 'problems'; readonly problems: readonly Problem[] };

export function compilePolicy(document: PolicyDocument, text: string, lineOf: (path: Path) => number): Compiled {
  const compiler = new Compiler(document, lineOf);
  const policy = compiler.compile(text);
  const { problems } = compiler;
  return problems.length > 0 ? { kind: 'problems', problems } : { kind: 'policy', policy };
}

class Compiler {
  readonly problems: Problem[] = [];
  readonly #document: PolicyDocument;
  readonly #lineOf: (path: Path) => number;
  readonly #hours: ReadonlyMap<string, Hours>;
  readonly #networks: ReadonlyMap<string, Networks>;
  readonly #assurance: ReadonlyMap<string, PolicyDocument['assurance'][string]>;
  readonly #named = new Map<string, Path>();
  readonly #operations = new Set<string>();

  constructor(document: PolicyDocument, lineOf: (path: Path) => number) {
    this.#document = document;
    this.#lineOf = lineOf;
    this.#hours = new Map(Object.entries(document.hours).map(([name, windows]) => [name, new Hours(windows)]));
    this.#networks = new Map(Object.entries(document.networks).map(([name, ranges]) => [name, new Networks(ranges)]));
    this.#assurance = new Map(Object.entries(document.assurance));
  }

  compile(text: string): Policy {
    const { anonymous, purposeOfUse, roles, require: required, cedar, consent } = this.#document;
    this.#checkWhole();
    return {
      digest: createHash('sha256').update(text).digest('hex'),
      text,
      anonymous: new Set(anonymous),
      purposeOfUse:
        purposeOfUse === undefined
          ? undefined
          : { header: purposeOfUse.header.toLowerCase(), allow: new Set(purposeOfUse.allow) },
      roles: new Map(
        Object.entries(roles).map(([role, { allow, breakGlass }]) => [
          role,
          {
            allow: this.#table(allow, ['roles', role, 'allow']),
            glass: breakGlass === undefined ? undefined : this.#table(breakGlass, ['roles', role, 'breakGlass']),
          },
        ]),
      ),
      requirements: this.#table(required, ['require']),
      operations: this.#operations,
      breakGlass: this.#breakGlass(),
      consent: consent === undefined ? undefined : { ...consent, url: consent.url },
      cedar: cedar === undefined ? undefined : { file: cedar.policies },
    };
  }

  #breakGlass(): Policy['breakGlass'] {
    const { breakGlass } = this.#document;
    if (breakGlass === undefined) return undefined;
    const { reasonHeader, patientHeader, reasons } = breakGlass;
    return {
      ...breakGlass,
      reasonHeader: reasonHeader.toLowerCase(),
      patientHeader: patientHeader.toLowerCase(),
      reasons: new Set(reasons),
    };
  }

  #table(rules: readonly AnyRule[], at: Path): Table {
    const interactions = new Map<InteractionName, TypeTableMaker>();
    const operations = new Map<string, TypeTableMaker>();
    rules.forEach((document, position) => {
      const path = [...at, position];
      const rule = this.#rule(document, path);
      const add = <K>(table: Map<K, TypeTableMaker>, key: K): void => {
        const maker = table.get(key) ?? new TypeTableMaker();
        table.set(key, maker);
        maker.add(rule, document.types);
      };
      for (const name of expand(document.interactions)) add(interactions, name);
      const everything = (document.interactions as readonly string[]).includes('*');
      for (const name of everything ? ['*'] : document.operations) add(operations, name);
      for (const name of document.operations) if (name !== '*') this.#operations.add(name);
    });
    // What is required of every operation is required of those that something else is required of, too.
    const always = operations.get('*');
    if (always !== undefined) for (const [name, maker] of operations) if (name !== '*') maker.join(always);
    return { interactions: made(interactions), operations: made(operations) };
  }

  #rule(document: AnyRule, path: Path): Rule {
    const place = path.join('.');
    if (document.name !== undefined) {
      const other = this.#named.get(document.name);
      if (other !== undefined)
        this.#complain([...path, 'name'], `expected a name that no other rule has, ${other.join('.')} has it`);
      this.#named.set(document.name, path);
    }
    const classes = 'classes' in document && document.classes !== undefined ? classBits(document.classes) : allClasses;
    document.types.forEach((type, position) => {
      if (type !== '*' && (classes & classBits([dataClassOf(type)])) === 0)
        this.#complain(
          [...path, 'types', position],
          `expected a type whose class is in classes, got ${type}, which holds ${dataClassOf(type)}`,
        );
    });
    return {
      path: place,
      line: this.#lineOf(path),
      // It stands in events: a role may have any name.
      label: document.name ?? place.replace(/[^!-~]/g, '?'),
      classes,
      conditions: this.#conditions(document, path),
      ...('roles' in document && document.roles !== undefined ? { roles: this.#roles(document.roles, path) } : {}),
    };
  }

  #conditions(document: AnyRule, path: Path): Conditions | undefined {
    const purposes = 'purposes' in document ? document.purposes : undefined;
    const { hours, networks, assurance } = document;
    const known = new Set(this.#document.purposeOfUse?.allow);
    purposes?.forEach((code, position) => {
      if (!known.has(code))
        this.#complain([...path, 'purposes', position], 'expected a purpose that purposeOfUse.allow names');
    });
    if (purposes === undefined && hours === undefined && networks === undefined && assurance === undefined)
      return undefined;
    return {
      purposes: purposes === undefined ? undefined : new Set(purposes),
      hours: this.#look(hours, this.#hours, [...path, 'hours']),
      networks: this.#look(networks, this.#networks, [...path, 'networks']),
      assurance: this.#look(assurance === undefined ? undefined : [assurance], this.#assurance, [
        ...path,
        'assurance',
      ])?.[0],
    };
  }

  #look<T>(names: readonly string[] | undefined, table: ReadonlyMap<string, T>, path: Path): T[] | undefined {
    return names?.flatMap((name) => {
      const found = table.get(name);
      if (found !== undefined) return [found];
      const known = [...table.keys()];
      const advice = known.length === 0 ? 'there are none' : `there are ${known.slice(0, 10).join(', ')}`;
      this.#complain(path, `expected names defined under ${String(path.at(-1))} at the top; ${advice}`);
      return [];
    });
  }

  #roles(roles: readonly string[], path: Path): ReadonlySet<string> {
    const known = this.#document.roles;
    roles.forEach((role, position) => {
      if (!Object.hasOwn(known, role))
        this.#complain([...path, 'roles', position], 'expected one of the roles of this file');
    });
    return new Set(roles);
  }

  /** What only the parts together can get wrong. */
  #checkWhole(): void {
    const { breakGlass, purposeOfUse, roles, engine, cedar } = this.#document;
    for (const [role, { breakGlass: rules }] of Object.entries(roles)) {
      if (rules !== undefined && breakGlass === undefined)
        this.#complain(
          ['roles', role, 'breakGlass'],
          'expected breakGlass with its reasons at the top of the file too',
        );
    }
    if (breakGlass !== undefined) {
      if (purposeOfUse?.allow.includes(breakGlass.purpose) !== true)
        this.#complain(['breakGlass'], `expected purposeOfUse.allow to name ${breakGlass.purpose}`);
      const headers = [breakGlass.reasonHeader, breakGlass.patientHeader, purposeOfUse?.header ?? ''];
      if (new Set(headers.map((name) => name.toLowerCase())).size < headers.length)
        this.#complain(['breakGlass'], 'expected different headers for purpose, reason and patient');
    }
    if ((engine === 'cedar') !== (cedar !== undefined))
      this.#complain(
        [cedar === undefined ? 'engine' : 'cedar'],
        'expected engine: cedar and cedar: {policies: FILE} together',
      );
    this.#checkContradictions();
  }

  /** A rule for purposes of which none is left by a requirement that speaks of all it allows. */
  #checkContradictions(): void {
    const { roles, require: required } = this.#document;
    for (const [role, { allow }] of Object.entries(roles)) {
      allow.forEach((rule, position) => {
        for (const [number, requirement] of required.entries()) {
          const { purposes } = requirement;
          if (purposes === undefined || rule.purposes === undefined || !covers(requirement, role, rule)) continue;
          if (rule.purposes.some((code) => purposes.includes(code))) continue;
          this.#complain(
            ['roles', role, 'allow', position, 'purposes'],
            `expected a purpose that require.${number} leaves: as it is, this rule never holds`,
          );
        }
      });
    }
  }

  #complain(path: Path, message: string): void {
    this.problems.push({ path, message });
  }
}

function covers(requirement: RequirementDocument, role: string, rule: RuleDocument): boolean {
  const within = (all: readonly string[], some: readonly string[]): boolean =>
    all.includes('*') || some.every((one) => all.includes(one));
  return (
    (requirement.roles === undefined || requirement.roles.includes(role)) &&
    within(requirement.types, rule.types) &&
    within(requirement.interactions, rule.interactions) &&
    within(requirement.interactions.includes('*') ? ['*'] : requirement.operations, rule.operations)
  );
}

class TypeTableMaker {
  readonly #entries: { readonly rule: Rule; readonly types: ReadonlySet<string> }[] = [];

  add(rule: Rule, types: readonly string[]): void {
    this.#entries.push({ rule, types: new Set(types) });
  }

  join(other: TypeTableMaker): void {
    this.#entries.push(...other.#entries);
  }

  make(): TypeTable {
    const about = (type: string | undefined): readonly Rule[] =>
      this.#entries
        .filter(({ types }) => types.has('*') || (type !== undefined && types.has(type)))
        .map(({ rule }) => rule);
    const named = new Set(this.#entries.flatMap(({ types }) => [...types]));
    named.delete('*');
    return {
      any: about(undefined),
      byType: new Map([...named].map((type) => [type, about(type)])),
      all: this.#entries.map(({ rule }) => rule),
    };
  }
}

/** Operations are allowed by name. */
const everyInteraction = interactionNames.filter((name) => name !== 'operation');

function expand(names: readonly (InteractionName | '*')[]): ReadonlySet<InteractionName> {
  return new Set(names.flatMap((name) => (name === '*' ? everyInteraction : [name])));
}

function made<K>(makers: ReadonlyMap<K, TypeTableMaker>): ReadonlyMap<K, TypeTable> {
  return new Map([...makers].map(([key, maker]) => [key, maker.make()]));
}
